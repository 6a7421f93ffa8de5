"""Which rung the next segment is fetched at: the controller, and what it cannot know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from abr.config import PlayerConfig
from abr.controllers import build_controller
from abr.fetcher import Fetcher
from abr.playback import Playback
from abr.throughput import Sample, ThroughputMeter
from abr.title import Track
from abr.view import HISTORY, Floats, History, View
from predictor.bandwidth import Prior

HOLD_HITS_MIN = 2
"""So many edge hits in a row are taken to go on at the same rung: an init segment and a segment."""
REAL, LAST_MILE = SESSIONS = (0, 1)
"""What the controller is asked for: the session itself, and what it were with edge hits alone."""
LOWER_QUARTILE_SCORE = -0.674
"""In standard deviations. A network that is only remembered is estimated at its lower quartile."""


class RungSelector:
    """Asks the controller for one session.

    The estimate a controller gets is what a miss would bring. Where the edge has delivered the last
    segments from its store, the rung they came at may be held although a miss would not sustain it,
    as long as the last mile does; the controller is asked about that as of a session of its own, so
    that what it remembers of the real one stays true: with the last mile's rate as its estimate,
    and told that the edge has all that follows at that rung. The first segment of a following title
    is fetched no higher than the title before ended: an edge that looks ahead has it at that rung.
    """

    def __init__(self, config: PlayerConfig, meter: ThroughputMeter) -> None:
        self._config = config
        self._meter = meter
        self.controller = build_controller(config.controller, config.controllers, len(SESSIONS))

    def choose(
        self,
        fetcher: Fetcher,
        playback: Playback,
        now_s: float,
        *,
        carried_kbps: float | None,
        others_kbps: float,
    ) -> int:
        """The rung for the segment that is due. `carried_kbps`: the rung the title before ended
        at; `others_kbps`: what the other tracks take of the same link."""
        track = fetcher.track
        if track.rung_count == 1:
            return 0
        estimate_kbps = self._meter.next_kbps()
        if estimate_kbps is None and self._meter.prior is not None:
            estimate_kbps = _cautious_kbps(self._meter.prior)
        if estimate_kbps is None:
            is_lowest = self._config.start_rung == "lowest" or fetcher.last_rung >= 0
            return 0 if is_lowest else track.rung_count - 1

        def ask(kbps: float, session: int, held_ahead: int | None = None) -> int:
            view = self._view(
                fetcher,
                playback,
                now_s,
                estimate_kbps=kbps,
                taken_kbps=others_kbps,
                session=session,
                held_ahead=held_ahead,
            )
            rung = int(self.controller.choose(view)[0])
            assert 0 <= rung < track.rung_count, (self._config.controller, rung)
            return rung

        rung = ask(estimate_kbps, REAL)
        held = fetcher.last_rung
        if held < 0 and carried_kbps is not None:
            held = _nearest(track, carried_kbps)
            rung = min(rung, held)
        last_mile_kbps = self._meter.last_mile_kbps
        if rung < held and self._meter.hits_in_row >= HOLD_HITS_MIN and last_mile_kbps is not None:
            rung = min(held, max(rung, ask(last_mile_kbps, LAST_MILE, held)))
        return rung

    def _view(
        self,
        fetcher: Fetcher,
        playback: Playback,
        now_s: float,
        *,
        estimate_kbps: float,
        taken_kbps: float,
        session: int,
        held_ahead: int | None,
    ) -> View:
        durations_s, sizes_bits, index, left = fetcher.track.upcoming(fetcher.buffer.end_s)
        return View(
            session=np.array([session], dtype=np.int64),
            ladder_kbps=fetcher.track.ladder_kbps,
            buffer_s=np.array([fetcher.buffer.ahead_s(playback.position_s)]),
            buffer_limit_s=np.array([self._config.buffer_s_max]),
            durations_s=durations_s[None],
            sizes_bits=sizes_bits[None],
            hits_ahead=None if held_ahead is None else _hits_ahead(sizes_bits, held_ahead),
            taken_kbps=np.array([taken_kbps]) if taken_kbps > 0 else None,
            prior=_prior_row(self._meter.prior),
            segment_index=np.array([index], dtype=np.int64),
            segments_left=np.array([left], dtype=np.int64),
            estimate_kbps=np.array([estimate_kbps]),
            ttfb_s=np.array([self._meter.ttfb_s()]),
            history=_history(self._meter.samples),
            gap_s=np.array([self._meter.gap_s(now_s)]),
            last_rung=np.array([fetcher.last_rung], dtype=np.int64),
            is_startup=np.array([not playback.has_started]),
            is_stalled=np.array([playback.state == "stalled"]),
        )


def _hits_ahead(sizes_bits: Floats, held: int) -> Floats:
    """The edge has all that follows at the rung `held`; of the others nobody knows."""
    ahead = np.full((1, *sizes_bits.shape), np.nan)
    ahead[:, :, held] = 1.0
    return ahead


def _prior_row(prior: Prior | None) -> Floats | None:
    return None if prior is None else np.array([[prior.level, prior.spread]])


def _cautious_kbps(prior: Prior) -> float:
    lower: float = 2.0 ** (prior.level + LOWER_QUARTILE_SCORE * prior.spread)
    return lower


def _history(samples: Sequence[Sample]) -> History:
    missing = HISTORY - len(samples)

    def row(values: Iterable[float]) -> Floats:
        return np.array([[*[np.nan] * missing, *values]])

    return History(
        kbps=row(each.throughput_kbps for each in samples),
        bytes=row(float(each.size_bytes) for each in samples),
        duration_s=row(each.duration_s for each in samples),
        ttfb_s=row(each.ttfb_s for each in samples),
        gap_s=row(each.gap_s for each in samples),
        is_hit=np.array([[*[False] * missing, *(each.is_hit for each in samples)]]),
    )


def _nearest(track: Track, bitrate_kbps: float) -> int:
    return int(np.argmin(np.abs(track.ladder_kbps - bitrate_kbps)))
