"""The tcp transport: round trips, slow start, restart after silence; an edge that hits or misses.

A response goes out in rounds. A round is one congestion window, and the link carries it at its own
pace, exactly integrated. The next round begins a round trip after this one began, which is when its
acknowledgements come back, or when the link has carried this one, if that is later: from there on
the window covers the link, and only the link limits. Every acknowledged byte opens the window by
another one, so it doubles each round up to what a sender buffers. It stays open between requests,
and after a silence longer than a retransmission timeout it is as at first.

    plain    |--latency--|============== link ==============|
    tcp      |--rtt------|==w==|......|====2w====|..|=========== link ============|
                          <--- rtt ---><--- rtt ---->

Within a round the pace of the acknowledgements is not modelled: where the link's rate more than
doubles within a round trip, a round may begin to flow faster than they would let it. Losses, and
what a sender does about them, are not modelled at all (docs/adr/0009-two-transports.md).

A request that follows one which was given up comes over a new connection, as in HTTP/1.1, which
costs a round trip more and starts with the first window; so does the first one of a session.

A miss is fetched over a backhaul with a round trip, a link and a window of its own, and streams
through. The answer is whole when both legs have carried it; what one leg cannot use while the other
holds it up counts as carried all the same, so where they take turns in being slow the answer is
a little early.

Sources: RFC 5681, 6928 and 6298 for the window (simulation.slow_start); Cardwell, Savage and
Anderson, "Modeling TCP Latency", INFOCOM 2000, for counting a short transfer in rounds. Differs
from that in that the link is a trace and not a rate, and nothing is lost.
"""

from __future__ import annotations

import msgspec
import numpy as np

from abr.view import Flags, Floats, Rungs
from nearcast.units import BITS_PER_BYTE
from simulation.sessions.capacity import Capacity
from simulation.slow_start import SlowStart

TIME_S_TOLERANCE = 1e-9


class Backhaul(msgspec.Struct, frozen=True, kw_only=True):
    """From the edge to the origin, for what the edge does not hold. Each session has the capacity
    of its row; connections are open already, as an edge keeps them."""

    capacity: Capacity
    rtt_s: float


class TcpTransport:
    """Requests over persistent connections, one a session. `latency_s` is what the edge thinks
    before it answers. Without a backhaul a miss is like a hit."""

    def __init__(
        self,
        capacity: Capacity,
        rtt_s: float,
        *,
        latency_s: float = 0.0,
        slow_start: SlowStart | None = None,
        backhaul: Backhaul | None = None,
    ) -> None:
        slow_start = slow_start or SlowStart()
        self._rtt_s = rtt_s
        self._latency_s = latency_s
        self._last_mile = _Leg(capacity, rtt_s, slow_start)
        self._backhaul: _Leg | None = None
        self._backhaul_rtt_s = 0.0
        if backhaul is not None:
            self._backhaul = _Leg(backhaul.capacity, backhaul.rtt_s, slow_start)
            self._backhaul_rtt_s = backhaul.rtt_s
        self._end_s = np.full(capacity.session_count, np.nan)  # of the request before

    def send(
        self, session: Rungs, now_s: Floats, gap_s: Floats, size_bits: Floats, is_hit: Flags
    ) -> TcpFlight:
        del gap_s  # the windows know when they were used
        before_s = self._end_s[session]
        is_new = np.isnan(before_s) | (now_s < before_s - TIME_S_TOLERANCE)
        first_s = now_s + self._rtt_s * np.where(is_new, 2.0, 1.0) + self._latency_s
        missed = np.zeros(0, dtype=np.int64)
        far = None
        if self._backhaul is not None:
            missed = np.flatnonzero(~is_hit)
            first_s[missed] += self._backhaul_rtt_s
            if missed.size:
                far = self._backhaul.carry(session[missed], first_s[missed], size_bits[missed])
        self._last_mile.close(session[is_new])
        near = self._last_mile.carry(session, first_s, size_bits)
        flight = TcpFlight(near, far, missed)
        self._end_s[session] = flight.end_s
        return flight


class TcpFlight:
    """Requests under way over the tcp transport; those of `missed` through `far` as well."""

    def __init__(self, near: _Rounds, far: _Rounds | None, missed: Rungs) -> None:
        self._near = near
        self._far = far
        self._far_row = np.full(near.end_s.size, -1)
        self._far_row[missed] = np.arange(missed.size)
        self.first_s: Floats = near.starts_s[0]
        self.end_s = near.end_s.copy()
        if far is not None:
            self.end_s[missed] = np.maximum(self.end_s[missed], far.end_s)

    def received_bits(self, rows: Rungs, at_s: Floats) -> Floats:
        received = self._near.carried_bits(rows, at_s)
        if self._far is not None:
            far_row = self._far_row[rows]
            some = np.flatnonzero(far_row >= 0)
            arrived = self._far.carried_bits(far_row[some], at_s[some])
            received[some] = np.minimum(received[some], arrived)
        return received


class _Leg:
    """One connection a session over a link of its own, and the window of its sender."""

    def __init__(self, capacity: Capacity, rtt_s: float, slow_start: SlowStart) -> None:
        self._capacity = capacity
        self._rtt_s = rtt_s
        self._restart_s = slow_start.restart_s(rtt_s)
        self._initial_bits = slow_start.initial_bytes * float(BITS_PER_BYTE)
        self._bits_max = slow_start.bytes_max * float(BITS_PER_BYTE)
        self._window_bits = np.full(capacity.session_count, self._initial_bits)
        self._quiet_since_s = np.full(capacity.session_count, np.inf)

    def close(self, session: Rungs) -> None:
        """These connections are gone; new ones take their place."""
        self._window_bits[session] = self._initial_bits
        self._quiet_since_s[session] = np.inf

    def carry(self, session: Rungs, first_s: Floats, size_bits: Floats) -> _Rounds:
        """Send so much, from `first_s` on."""
        is_idle = first_s - self._quiet_since_s[session] > self._restart_s
        window_bits = np.where(is_idle, self._initial_bits, self._window_bits[session])
        end_s = np.empty_like(first_s)
        left_bits = size_bits.astype(np.float64)
        start_s = first_s.copy()
        starts_s, rounds_bits = [], []
        rows = np.arange(session.size)
        while rows.size:
            round_bits = np.minimum(left_bits[rows], window_bits[rows])
            done_s = self._capacity.finish_s(session[rows], start_s[rows], round_bits)
            starts_s.append(_spread(start_s[rows], rows, np.inf, session.size))
            rounds_bits.append(_spread(round_bits, rows, 0.0, session.size))
            end_s[rows] = done_s
            start_s[rows] = np.maximum(start_s[rows] + self._rtt_s, done_s)
            left_bits[rows] -= round_bits
            window_bits[rows] = np.minimum(window_bits[rows] + round_bits, self._bits_max)
            rows = rows[left_bits[rows] > 0]
        self._window_bits[session] = window_bits
        self._quiet_since_s[session] = end_s
        return _Rounds(self._capacity, session, np.stack(starts_s), np.stack(rounds_bits), end_s)


class _Rounds:
    """When each round of each response begins, and its bits; both (rounds, n)."""

    def __init__(
        self,
        capacity: Capacity,
        session: Rungs,
        starts_s: Floats,
        rounds_bits: Floats,
        end_s: Floats,
    ) -> None:
        self._capacity = capacity
        self._session = session
        self._rounds_bits = rounds_bits
        self._ends_bits = np.cumsum(rounds_bits, axis=0)
        self.starts_s = starts_s
        self.end_s = end_s

    def carried_bits(self, rows: Rungs, at_s: Floats) -> Floats:
        """(rows,): up to `at_s`."""
        current = np.maximum((self.starts_s[:, rows] <= at_s).sum(axis=0) - 1, 0)
        start_s = np.minimum(self.starts_s[current, rows], at_s)
        inside = self._capacity.sent_bits(self._session[rows], start_s, at_s)
        round_bits = self._rounds_bits[current, rows]
        carried: Floats = self._ends_bits[current, rows] - np.maximum(round_bits - inside, 0.0)
        return carried


def _spread(values: Floats, rows: Rungs, rest: float, count: int) -> Floats:
    """(count,): `values` at `rows`, `rest` elsewhere."""
    if rows.size == count:
        return values
    spread = np.full(count, rest)
    spread[rows] = values
    return spread
