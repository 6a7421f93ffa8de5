"""Independent sessions over recorded traces, all at once, exact in time.

All sessions play the same title and go forward in lock-step by segment, each on a clock of its own:
wait for room in the buffer, ask the controller, send, look in on what is under way, and take in
what came. Transfers end when the integral of the link says so, so there is no time step; only the
question whether to give a segment up is asked at moments, as a player asks it when bytes arrive.

The session is the one of the public reference results: from trace time 0, the first segment at rung
0, playback from the first segment on, and after a stall from the next one on.
"""

from __future__ import annotations

import msgspec
import numpy as np

from abr.view import ASK_AGAIN, GO_ON, HORIZON, Attempt, Controller, Flags, Floats, Rungs, View
from simulation.sessions.history import Samples
from simulation.sessions.title import SessionTitle
from simulation.sessions.transport import Flight, Transport

GRACE_S = 0.5
"""A segment is not given up earlier than this."""
LOOK_S = 0.1
LOOK_GROWTH = 1.05
"""The second look comes LOOK_S after the first, and each gap is a little longer than the one
before: an outage of minutes is not looked at thousands of times."""
ABANDON_COUNT_MAX = 2
"""Of one segment."""
STALL_S_MIN = 0.001
"""Shorter ones are seen by nobody and not counted, though their time is."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What is the same for all sessions of a run."""

    buffer_s_max: float = 25.0
    first_rung: int | None = 0
    """None: the controller chooses the first as well."""
    can_abandon: bool = True
    grace_s: float = GRACE_S
    abandon_count_max: int = ABANDON_COUNT_MAX
    look_s: float = LOOK_S
    look_growth: float = LOOK_GROWTH


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What happened; one row a session, one column a segment."""

    rungs: Rungs
    asked_s: Floats
    """When the segment that came in the end was asked for, from the start of the session."""
    here_s: Floats
    buffer_s: Floats
    """When it was decided on."""
    stalled_s: Floats
    """Waiting for this segment."""
    abandoned: Rungs
    """Attempts at it given up."""
    wasted_bits: Floats
    kbps: Floats
    """From first byte to last."""
    ttfb_s: Floats

    @property
    def startup_s(self) -> Floats:
        """(n,)"""
        startup_s: Floats = self.here_s[:, 0]
        return startup_s


def play(
    title: SessionTitle,
    controller: Controller,
    transport: Transport,
    session_count: int,
    settings: Settings | None = None,
    *,
    hits: Flags | None = None,
    hits_told: bool = False,
) -> Outcome:
    """Play the title in all sessions. `hits` (n, segments): the edge has this segment at all rungs;
    `hits_told`: and the controller knows."""
    return _Run(
        title, controller, transport, session_count, settings or Settings(), hits, hits_told
    ).play()


class _Run:
    def __init__(
        self,
        title: SessionTitle,
        controller: Controller,
        transport: Transport,
        session_count: int,
        settings: Settings,
        hits: Flags | None,
        hits_told: bool,
    ) -> None:
        n, segments = session_count, title.segment_count
        self._title = title
        self._controller = controller
        self._transport = transport
        self._settings = settings
        self._hits = np.zeros((n, segments), dtype=np.bool_) if hits is None else hits
        self._hits_told = hits_told
        self._all = np.arange(n)
        self._now_s = np.zeros(n)
        self._quiet_since_s = np.zeros(n)
        self._buffer_s = np.zeros(n)
        self._last_rung = np.full(n, -1)
        self._samples = Samples(n, title.segment_s)
        self._out = Outcome(
            rungs=np.zeros((n, segments), dtype=np.int64),
            asked_s=np.zeros((n, segments)),
            here_s=np.zeros((n, segments)),
            buffer_s=np.zeros((n, segments)),
            stalled_s=np.zeros((n, segments)),
            abandoned=np.zeros((n, segments), dtype=np.int64),
            wasted_bits=np.zeros((n, segments)),
            kbps=np.zeros((n, segments)),
            ttfb_s=np.zeros((n, segments)),
        )

    def play(self) -> Outcome:
        for index in range(self._title.segment_count):
            self._wait_for_room()
            if index == 0 and self._settings.first_rung is not None:
                rung = np.full(self._all.size, self._settings.first_rung)
            else:
                rung = self._controller.choose(self._view(index))
            self._out.buffer_s[:, index] = self._buffer_s
            self._fetch(index, rung)
            self._buffer_s += self._title.segment_s
            self._last_rung = self._out.rungs[:, index]
        return self._out

    def _wait_for_room(self) -> None:
        limit_s = max(self._settings.buffer_s_max, self._title.segment_s)
        wait_s = np.maximum(self._buffer_s + self._title.segment_s - limit_s, 0.0)
        self._now_s += wait_s
        self._buffer_s -= wait_s

    def _view(self, index: int) -> View:
        n = self._all.size
        title = self._title
        durations_s, sizes_bits = title.upcoming(index)
        hits_ahead = None
        if self._hits_told:
            ahead = self._hits[:, index : index + HORIZON].astype(np.float64)
            padding = np.full((n, HORIZON - ahead.shape[1]), np.nan)
            known = np.concatenate([ahead, padding], axis=1)
            hits_ahead = np.broadcast_to(known[:, :, None], (n, HORIZON, title.rung_count))
        return View(
            session=self._all,
            ladder_kbps=title.ladder_kbps,
            buffer_s=self._buffer_s.copy(),
            buffer_limit_s=np.full(n, self._settings.buffer_s_max),
            durations_s=np.broadcast_to(durations_s, (n, HORIZON)),
            sizes_bits=np.broadcast_to(sizes_bits, (n, *sizes_bits.shape)),
            hits_ahead=hits_ahead,
            segment_index=np.full(n, index),
            segments_left=np.full(n, title.segment_count - index),
            estimate_kbps=self._samples.estimate_kbps(),
            ttfb_s=self._samples.ttfb_s(),
            history=self._samples.history(),
            gap_s=self._now_s - self._quiet_since_s,
            last_rung=self._last_rung,
            is_startup=np.full(n, index == 0),
            is_stalled=(self._buffer_s <= 0) & (index > 0),
        )

    def _fetch(self, index: int, rung: Rungs) -> None:
        """Fetch the segment in all sessions; those that give it up try again until it is here."""
        rows = self._all
        while rows.size:
            rung = self._attempt(index, rows, rung)
            is_given_up = rung != GO_ON
            rows, rung = rows[is_given_up], rung[is_given_up]
            is_open = rung == ASK_AGAIN
            if is_open.any():
                rung[is_open] = self._controller.choose(self._view(index).take(rows[is_open]))

    def _attempt(self, index: int, rows: Rungs, rung: Rungs) -> Rungs:
        """(rows,): the rung to try next, or GO_ON where the segment is here."""
        out = self._out
        sent_s = self._now_s[rows]
        gap_s = sent_s - self._quiet_since_s[rows]
        size_bits = self._title.sizes_bits[index, rung]
        is_hit = self._hits[rows, index]
        flight = self._transport.send(rows, sent_s, gap_s, size_bits, is_hit)
        end_s = flight.end_s.copy()
        instead = np.full(rows.size, GO_ON)
        if self._settings.can_abandon and index > 0:
            self._look_in(index, rows, rung, sent_s, flight, is_hit, end_s, instead)
        for is_whole in (True, False):
            some = np.flatnonzero((instead == GO_ON) == is_whole)
            if not some.size:
                continue
            at = rows[some]
            received = size_bits[some] if is_whole else flight.received_bits(some, end_s[some])
            duration_s = end_s[some] - flight.first_s[some]
            self._samples.add(
                at,
                size_bits=received,
                duration_s=duration_s,
                ttfb_s=flight.first_s[some] - sent_s[some],
                gap_s=gap_s[some],
                is_hit=is_hit[some],
                is_whole=is_whole,
            )
            if is_whole:
                out.rungs[at, index] = rung[some]
                out.asked_s[at, index] = sent_s[some]
                out.here_s[at, index] = end_s[some]
                out.kbps[at, index] = received / np.maximum(duration_s, 1e-9) / 1000.0
                out.ttfb_s[at, index] = flight.first_s[some] - sent_s[some]
            else:
                out.abandoned[at, index] += 1
                out.wasted_bits[at, index] += received
        elapsed_s = end_s - sent_s
        if index > 0:
            late_s = np.maximum(elapsed_s - self._buffer_s[rows], 0.0)
            out.stalled_s[rows, index] += late_s
            self._buffer_s[rows] = np.maximum(self._buffer_s[rows] - elapsed_s, 0.0)
        self._now_s[rows] = self._quiet_since_s[rows] = end_s
        return instead

    def _look_in(
        self,
        index: int,
        rows: Rungs,
        rung: Rungs,
        sent_s: Floats,
        flight: Flight,
        is_hit: Flags,
        end_s: Floats,
        instead: Rungs,
    ) -> None:
        """Ask, while segments are under way, whether to give them up; changes `end_s` and
        `instead`."""
        tries = self._out.abandoned[rows, index]
        is_open = (rung > 0) & (tries < self._settings.abandon_count_max)
        sizes_bits = self._title.sizes_bits[index]
        at_s = np.maximum(sent_s + self._settings.grace_s, flight.first_s + 1e-3)
        step_s = self._settings.look_s
        watched = np.flatnonzero(is_open & (at_s < flight.end_s))
        while watched.size:
            now_s = at_s[watched]
            received = flight.received_bits(watched, now_s)
            known = received > 0
            some = watched if known.all() else watched[known]
            if some.size:
                at = rows[some]
                elapsed_s = at_s[some] - sent_s[some]
                buffer_s = np.maximum(self._buffer_s[at] - elapsed_s, 0.0)
                attempt = Attempt(
                    session=at,
                    ladder_kbps=self._title.ladder_kbps,
                    rung=rung[some],
                    elapsed_s=elapsed_s,
                    ttfb_s=flight.first_s[some] - sent_s[some],
                    received_bits=received[known],
                    sizes_bits=np.broadcast_to(sizes_bits, (some.size, sizes_bits.size)),
                    duration_s=np.full(some.size, self._title.segment_s),
                    buffer_s=buffer_s,
                    is_hit=is_hit[some],
                    is_waiting=buffer_s <= 0,
                )
                chosen = self._controller.abandon(attempt)
                is_given_up = chosen != GO_ON
                given_up = some[is_given_up]
                instead[given_up] = chosen[is_given_up]
                end_s[given_up] = at_s[given_up]
            at_s[watched] += step_s
            step_s *= self._settings.look_growth
            watched = watched[(instead[watched] == GO_ON) & (at_s[watched] < flight.end_s[watched])]
