"""A session whose whole future is known, and what rungs chosen beforehand give in it.

The session is the plain one: each request costs a fixed latency and then the link's bits, one at a
time; playback starts with the first segment; before a request the player waits until one more
segment fits under the buffer limit; nothing is given up. See simulation.sessions.engine for many
sessions with controllers that know only the past; a test holds the two together.
"""

from __future__ import annotations

import msgspec
import numpy as np

from abr.view import Floats, Rungs
from nearcast.units import BITS_PER_KBIT
from simulation.sessions.capacity import Capacity


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Rungs, and what playing them gives."""

    rungs: Rungs
    """(segments,)."""
    qoe_linear: float
    """Per segment, as `abr.qoe.qoe_linear` has it."""
    qoe_after_first: float
    """Without the rate of the first segment, per segment after it."""
    bitrate_kbps: float
    stalled_s: float
    startup_s: float


class KnownSession(msgspec.Struct, frozen=True, kw_only=True):
    """A title, a link and a player, and what stalls and switches cost."""

    link: Capacity
    """Of one trace."""
    sizes_bits: Floats
    """(segments, rungs)."""
    rates_mbps: Floats
    """(rungs,), rising."""
    segment_s: float
    latency_s: float
    buffer_limit_s: float
    stall_penalty: float
    switch_penalty: float
    first_rung: int

    @property
    def segment_count(self) -> int:
        return int(self.sizes_bits.shape[0])

    def startup_s(self) -> float:
        """When the first segment is here."""
        size_bits = self.sizes_bits[0, self.first_rung]
        return float(self._finish_s(np.array([self.latency_s]), np.array([size_bits]))[0])

    def fetch(
        self, index: int, startup_s: float, times_s: Floats, stalled_s: Floats, sizes_bits: Floats
    ) -> tuple[Floats, Floats]:
        """(n, sizes) each: when segment `index` is here, and the stalled seconds by then.

        `times_s` (n,) is when the one before was here, `stalled_s` (n,) what had stalled by then.
        """
        dry_s = startup_s + stalled_s + index * self.segment_s
        room_s = dry_s - max(self.buffer_limit_s - self.segment_s, 0.0)
        asked_s = np.maximum(times_s, room_s) + self.latency_s
        shape = (asked_s.size, sizes_bits.size)
        asked_s = np.broadcast_to(asked_s[:, None], shape).ravel()
        here_s = self._finish_s(asked_s, np.broadcast_to(sizes_bits, shape).ravel()).reshape(shape)
        return here_s, stalled_s[:, None] + np.maximum(here_s - dry_s[:, None], 0.0)

    def _finish_s(self, asked_s: Floats, sizes_bits: Floats) -> Floats:
        return self.link.finish_s(np.zeros(asked_s.size, dtype=np.int64), asked_s, sizes_bits)


def replay(session: KnownSession, rungs: Rungs) -> Plan:
    """What these rungs (segments,) give, the first of them included."""
    session = msgspec.structs.replace(session, first_rung=int(rungs[0]))
    startup_s = session.startup_s()
    time_s, stalled_s = np.array([startup_s]), np.zeros(1)
    for index in range(1, session.segment_count):
        size_bits = session.sizes_bits[index, rungs[index : index + 1]]
        here_s, stalls_s = session.fetch(index, startup_s, time_s, stalled_s, size_bits)
        time_s, stalled_s = here_s[:, 0], stalls_s[:, 0]
    rates = session.rates_mbps[rungs]
    cost = session.switch_penalty * float(np.abs(np.diff(rates)).sum())
    cost += session.stall_penalty * float(stalled_s[0])
    return Plan(
        rungs=rungs,
        qoe_linear=(float(rates.sum()) - cost) / rates.size,
        qoe_after_first=(float(rates[1:].sum()) - cost) / max(rates.size - 1, 1),
        bitrate_kbps=float(rates.mean()) * BITS_PER_KBIT,
        stalled_s=float(stalled_s[0]),
        startup_s=startup_s,
    )
