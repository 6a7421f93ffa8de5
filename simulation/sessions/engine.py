"""Independent sessions over recorded traces, all at once, exact in time.

All sessions play the same title, each on a clock of its own, and take their steps together: wait
for room in the buffer, ask the controller, send, look in on what is under way (see
simulation.sessions.watch), and take in what came. One that gives a segment up falls behind the
others, which do not wait for it. Transfers end when the integral of the link says so, so there is
no time step; only the question whether to give a segment up is asked at moments, as a player asks
it when bytes arrive.

The session is the one of the public reference results: from trace time 0, the first segment at rung
0, playback from the first segment on, and after a stall from the next one on.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from abr.config import AbandonConfig
from abr.view import ASK_AGAIN, GO_ON, HORIZON, Controller, Flags, Floats, Rungs, View
from simulation.sessions.estimates import EstimateRule, kbps_of
from simulation.sessions.history import Samples
from simulation.sessions.title import SessionTitle
from simulation.sessions.transport import Transport
from simulation.sessions.watch import Watch

GIVING_UP = AbandonConfig()
"""As a player does by default; see simulation.sessions.watch."""
STALL_S_MIN = 0.001
"""Shorter ones are seen by nobody and not counted, though their time is."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What is the same for all sessions of a run."""

    buffer_s_max: float = 25.0
    first_rung: int | None = 0
    """None: the controller chooses the first as well."""
    can_abandon: bool = True
    estimate: EstimateRule = "published"
    """What controllers are told to expect; see simulation.sessions.estimates."""
    grace_s: float = GIVING_UP.grace_s
    abandon_count_max: int = GIVING_UP.count_max


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


def empty_outcome(session_count: int, segment_count: int) -> Outcome:
    """Of sessions that are still to be played."""
    shape = (session_count, segment_count)
    return Outcome(
        rungs=np.zeros(shape, dtype=np.int64),
        asked_s=np.zeros(shape),
        here_s=np.zeros(shape),
        buffer_s=np.zeros(shape),
        stalled_s=np.zeros(shape),
        abandoned=np.zeros(shape, dtype=np.int64),
        wasted_bits=np.zeros(shape),
        kbps=np.zeros(shape),
        ttfb_s=np.zeros(shape),
    )


def play(
    title: SessionTitle,
    controller: Controller,
    transport: Transport,
    session_count: int,
    settings: Settings | None = None,
    *,
    hits: Flags | None = None,
    hits_told: bool = False,
    on_request: Callable[[Rungs, Floats], None] | None = None,
) -> Outcome:
    """Play the title in all sessions. `hits` (n, segments): the edge has this segment at all rungs;
    `hits_told`: and the controller knows. `on_request` hears which sessions ask, and when."""
    settings = settings or Settings()
    return _Run(
        title, controller, transport, session_count, settings, hits, hits_told, on_request
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
        on_request: Callable[[Rungs, Floats], None] | None,
    ) -> None:
        n, segments = session_count, title.segment_count
        self._title = title
        self._controller = controller
        self._transport = transport
        self._settings = settings
        self._on_request = on_request
        self._watch = Watch(controller, title, settings.grace_s, settings.abandon_count_max)
        self._hits = hits
        self._hits_told = hits_told and hits is not None
        if hits is not None:
            padding = np.full((n, HORIZON), np.nan)
            self._hits_ahead = np.concatenate([hits.astype(np.float64), padding], axis=1)
        self._index = np.zeros(n, dtype=np.int64)
        self._now_s = np.zeros(n)
        self._quiet_since_s = np.zeros(n)
        self._buffer_s = np.zeros(n)
        self._last_rung = np.full(n, -1)
        first_rung = ASK_AGAIN if settings.first_rung is None else settings.first_rung
        self._next_rung = np.full(n, first_rung)
        """Named already, or ASK_AGAIN."""
        self._samples = Samples(n, title.segment_s, settings.estimate)
        self._out = empty_outcome(n, segments)

    def play(self) -> Outcome:
        rows = np.arange(self._index.size)
        while rows.size:
            self._wait_for_room(rows)
            self._attempt(rows, self._choose(rows))
            is_playing = self._index[rows] < self._title.segment_count
            rows = rows if is_playing.all() else rows[is_playing]
        return self._out

    def _wait_for_room(self, rows: Rungs) -> None:
        limit_s = max(self._settings.buffer_s_max, self._title.segment_s)
        wait_s = np.maximum(self._buffer_s[rows] + self._title.segment_s - limit_s, 0.0)
        self._now_s[rows] += wait_s
        self._buffer_s[rows] -= wait_s

    def _choose(self, rows: Rungs) -> Rungs:
        rung = self._next_rung[rows]
        is_open = rung == ASK_AGAIN
        if is_open.all():
            return self._controller.choose(self._view(rows))
        if is_open.any():
            rung[is_open] = self._controller.choose(self._view(rows[is_open]))
        return rung

    def _view(self, rows: Rungs) -> View:
        count = rows.size
        title = self._title
        index = self._index[rows]
        durations_s, sizes_bits = title.upcoming_of(index)
        hits_ahead = None
        if self._hits_told:
            ahead = self._hits_ahead[rows[:, None], index[:, None] + np.arange(HORIZON)]
            hits_ahead = np.broadcast_to(ahead[:, :, None], sizes_bits.shape)
        buffer_s = self._buffer_s[rows]
        return View(
            session=rows,
            ladder_kbps=title.ladder_kbps,
            buffer_s=buffer_s,
            buffer_limit_s=np.full(count, self._settings.buffer_s_max),
            durations_s=durations_s,
            sizes_bits=sizes_bits,
            hits_ahead=hits_ahead,
            segment_index=index,
            segments_left=title.segment_count - index,
            estimate_kbps=self._samples.estimate_kbps(rows),
            ttfb_s=self._samples.ttfb_s(rows),
            history=self._samples.history(rows),
            gap_s=self._now_s[rows] - self._quiet_since_s[rows],
            last_rung=self._last_rung[rows],
            is_startup=index == 0,
            is_stalled=(buffer_s <= 0) & (index > 0),
        )

    def _attempt(self, rows: Rungs, rung: Rungs) -> None:
        """Ask for the next segment of each session, until it is here or given up."""
        out = self._out
        index = self._index[rows]
        sent_s = self._now_s[rows]
        gap_s = sent_s - self._quiet_since_s[rows]
        buffer_s = self._buffer_s[rows]
        size_bits = self._title.sizes_bits[index, rung]
        no_hits = np.zeros(rows.size, dtype=np.bool_)
        is_hit = no_hits if self._hits is None else self._hits[rows, index]
        if self._on_request is not None:
            self._on_request(rows, sent_s)
        flight = self._transport.send(rows, sent_s, gap_s, size_bits, is_hit)
        end_s, instead = flight.end_s, None
        if self._settings.can_abandon:
            instead, end_s = self._watch.decide(
                flight,
                sent_s=sent_s,
                session=rows,
                segment_index=index,
                rung=rung,
                buffer_s=buffer_s,
                is_hit=is_hit,
                tries=out.abandoned[rows, index],
            )
        ttfb_s = flight.first_s - sent_s
        duration_s = np.maximum(end_s - flight.first_s, 1e-9)
        received = size_bits
        is_whole = np.ones(rows.size, dtype=np.bool_)
        if instead is not None and (instead != GO_ON).any():
            is_whole = instead == GO_ON
            lost = np.flatnonzero(~is_whole)
            received = size_bits.copy()
            received[lost] = flight.received_bits(lost, end_s[lost])
            out.abandoned[rows[lost], index[lost]] += 1
            out.wasted_bits[rows[lost], index[lost]] += received[lost]
            self._next_rung[rows[lost]] = instead[lost]
        self._samples.add(
            rows,
            size_bits=received,
            duration_s=duration_s,
            ttfb_s=ttfb_s,
            gap_s=gap_s,
            is_hit=is_hit,
            is_whole=is_whole,
        )
        elapsed_s = end_s - sent_s
        late_s = np.where(index > 0, np.maximum(elapsed_s - buffer_s, 0.0), 0.0)
        out.stalled_s[rows, index] += late_s
        self._buffer_s[rows] = np.maximum(buffer_s - elapsed_s, 0.0)
        self._now_s[rows] = self._quiet_since_s[rows] = end_s

        here = slice(None) if is_whole.all() else is_whole
        at, index = rows[here], index[here]
        out.rungs[at, index] = rung[here]
        out.asked_s[at, index] = sent_s[here]
        out.here_s[at, index] = end_s[here]
        out.buffer_s[at, index] = buffer_s[here]
        out.kbps[at, index] = kbps_of(received[here], duration_s[here])
        out.ttfb_s[at, index] = ttfb_s[here]
        self._buffer_s[at] += self._title.segment_s
        self._last_rung[at] = rung[here]
        self._next_rung[at] = ASK_AGAIN
        self._index[at] += 1
