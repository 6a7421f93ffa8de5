"""The viewers behind drawn plays: all of them move in step, one play each.

A step is a few array operations over all viewers, so a hundred thousand plays take a second.
`predictor.train.plays` says what is drawn from what.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictor.columns import Floats, Plays
from predictor.features import (
    CONTINUE_WITHIN_S,
    FINISHED_PROGRESS,
    SERIES_PRIOR_WEIGHT,
    smoothed_rate,
)
from predictor.train.statistics import (
    COMPLETION_BUCKETS,
    COMPLETION_EDGES,
    HOURS_PER_BIN,
    WITHIN,
    WITHIN_S,
    ViewingStatistics,
)

VIEWER_SD = 0.6  # log-odds; measured over 98 viewers
SERIES_SD = 0.35  # log-odds; assumed, see docs/results/next-episode.md
_LATER_S_MAX = 30 * 86400.0
_CANDIDATE_COUNT = 8  # start times among which the table of hours chooses
_S_PER_H = 3600.0
_S_PER_DAY = 86400.0
_FILLER_S = 35 * 60.0  # a film or another series in the same sitting; it gives no row
_NEVER = len(WITHIN_S)

# Assumed (half-hour comedies, dramas, long ones), so that sittings last as measured: shares,
# minutes, spread of the log.
_RUNTIME_KINDS = ((0.62, 22.0, 0.10), (0.32, 42.0, 0.15), (0.06, 55.0, 0.12))
_DEVICE_SHARES = (0.40, 0.30)  # television, mobile; assumed, the rest is browsers
_DEVICE_LOYALTY = 0.8
_EPISODES_PER_SEASON = (8, 14)


@dataclass(frozen=True, kw_only=True)
class Offsets:
    """Log-odds of going on within 30 minutes, before the viewer's own part is added."""

    completion: Floats  # (7,) by COMPLETION_BUCKETS
    run: Floats  # at the run lengths of the statistics
    hour: Floats  # (12,) by two-hour bin
    start_hour: Floats  # (24,) weights by which sittings choose their hour


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Drawn plays and what a check of them needs beside the model's rows."""

    plays: Plays
    delay_s: Floats  # from the end of the play to the start of the successor, inf if never
    start_s: Floats  # local time since a Monday midnight
    session_no: NDArray[np.int64]  # per viewer
    fillers_after: Floats  # plays without a row that follow in the same sitting


def completion_bucket(completion: Floats) -> Floats:
    """Positions in COMPLETION_BUCKETS, as floats."""
    inner = np.array(COMPLETION_EDGES[1:-1])
    return np.searchsorted(inner, completion, side="right").astype(np.float64)


@dataclass
class _Columns:
    """What is written down at each step: lists of arrays over viewers."""

    rows: dict[str, list[Floats]] = field(default_factory=dict)

    def add(self, **columns: Floats | NDArray[np.bool_]) -> None:
        for name, column in columns.items():
            self.rows.setdefault(name, []).append(np.array(column, dtype=np.float64))

    def stacked(self) -> dict[str, Floats]:
        return {name: np.stack(columns) for name, columns in self.rows.items()}


class Process:
    """All viewers, one play a step."""

    def __init__(
        self,
        statistics: ViewingStatistics,
        offsets: Offsets,
        viewers: int,
        rng: np.random.Generator,
    ) -> None:
        self._offsets = offsets
        self._rng = rng
        self._viewers = viewers
        self._run_lengths = np.array([float(run) for run in statistics.next30_by_run_finished])
        self._completion_shares = shares_of(statistics.completion_hist_20bins)
        counts = statistics.next30_by_completion
        full, over = counts["0.9-1.0"][1], counts["1.0-1.2"][1]
        finished_total = sum(count for _, count in counts.values())
        last_bin = self._completion_shares[-1]
        self._over_share = min(1.0, over / max(1, finished_total) / last_bin) if full else 1.0
        self._gap_quantiles = _gap_quantiles(statistics)
        within = np.array([statistics.next_within_finished[name] for name in WITHIN])
        soon = within[2]
        self._soon_shares = np.diff(within[:3], prepend=0.0) / soon
        self._later_shares = np.append(np.diff(within[2:]), 1.0 - within[-1]) / (1.0 - soon)
        other = 1.0 / statistics.next_kind_soon["successor"] - 1.0
        self._stays_share = min(1.0, other * soon / (1.0 - soon))  # sitting goes on, series not
        self._resume_share = self._share_resumed(statistics)

        self._viewer_log_odds = rng.normal(0.0, VIEWER_SD, viewers)
        self._favourite_device = self._draw_devices()
        self._start_s = rng.uniform(0.0, 7 * _S_PER_DAY, viewers)
        self._gap_s = np.full(viewers, np.nan)
        self._sitting_gap_s = np.full(viewers, np.inf)  # to the last play of any kind
        self._is_successor = np.zeros(viewers, dtype=bool)
        zeros = np.zeros(viewers)
        self._run, self._plays_before, self._session_start_s = zeros + 1, zeros - 1, zeros.copy()
        self._session_no = zeros - 1
        self._finished, self._continued = zeros.copy(), zeros.copy()
        self._series_finished, self._series_continued = zeros.copy(), zeros.copy()
        self._series_log_odds, self._runtime_s = zeros.copy(), zeros.copy()
        self._episode, self._season, self._season_length = zeros.copy(), zeros.copy(), zeros.copy()
        self._open_series(np.ones(viewers, dtype=bool))
        self._written = _Columns()

    def step(self) -> None:
        rng, viewers = self._rng, self._viewers
        self._sit_down()
        completion = self._draw_completion()
        end_s = self._start_s + completion * self._runtime_s
        hour = (self._start_s / _S_PER_H) % 24.0
        odds = (
            self._offsets.completion[completion_bucket(completion).astype(np.int64)]
            + np.interp(self._run, self._run_lengths, self._offsets.run)
            + self._offsets.hour[(hour // HOURS_PER_BIN).astype(np.int64)]
            + self._viewer_log_odds
            + self._series_log_odds
        )
        is_soon = rng.random(viewers) < 1.0 / (1.0 + np.exp(-odds))
        is_finished = completion >= FINISHED_PROGRESS
        is_resumed = ~is_soon & ~is_finished & (rng.random(viewers) < self._resume_share)
        later = rng.choice(len(self._later_shares), viewers, p=self._later_shares) + 3
        bucket = np.where(is_soon, rng.choice(3, viewers, p=self._soon_shares), later)
        is_never = (bucket == _NEVER) & ~is_resumed
        is_next = ~is_never & (is_soon | is_finished)  # else the same episode again, or a new one
        stays = ~is_soon & ~is_resumed & (bucket > 3) & (rng.random(viewers) < self._stays_share)
        delay_s = self._draw_delay(end_s, bucket, is_resumed | is_never)
        # Whoever goes over to a new series at once does so within this sitting.
        delay_s = np.where(is_never & stays, rng.uniform(10.0, CONTINUE_WITHIN_S, viewers), delay_s)
        filler = stays & ~is_never

        device = self._draw_device()
        viewer_rate = smoothed_rates(self._continued, self._finished)
        self._written.add(
            completion=completion,
            runtime_s=self._runtime_s,
            local_hour=hour,
            weekend=(self._start_s // _S_PER_DAY) % 7 >= 5,
            run_length=self._run,
            previous_gap_s=self._gap_s,
            device_tv=device == 0,
            device_mobile=device == 1,
            viewer_rate_30min=viewer_rate,
            viewer_series_rate_30min=smoothed_rates(
                self._series_continued, self._series_finished, viewer_rate, SERIES_PRIOR_WEIGHT
            ),
            episode_no=self._episode,
            season_no=self._season,
            plays_before_in_session=self._plays_before,
            session_before_s=self._start_s - self._session_start_s,
            start_s=self._start_s,
            end_s=end_s,
            session_no=self._session_no,
            fillers_after=filler,
            successor_s=np.where(is_next, end_s + delay_s, np.inf),
            is_same_again=~is_next & ~is_never,
        )
        self._finished += is_finished
        self._continued += is_finished & is_soon
        self._series_finished += is_finished
        self._series_continued += is_finished & is_soon
        self._open_series(is_never)
        self._advance_episode(is_next)
        self._is_successor = is_next
        self._gap_s = np.where(filler, np.maximum(delay_s - _FILLER_S, 60.0), delay_s)
        self._sitting_gap_s = delay_s
        self._start_s = end_s + delay_s

    def drawn(self) -> Drawn:
        columns = self._written.stacked()
        successor_s = columns.pop("successor_s")
        is_same_again = columns.pop("is_same_again") > 0
        for step in range(len(successor_s) - 2, -1, -1):
            again = is_same_again[step]
            successor_s[step][again] = successor_s[step + 1][again]
        # The last play of a viewer may have been cut off before it was resumed: leave it out.
        known = np.ones_like(successor_s, dtype=bool)
        known[-1] = ~is_same_again[-1]
        for step in range(len(known) - 2, -1, -1):
            known[step] = ~is_same_again[step] | known[step + 1]
        viewer = np.broadcast_to(np.arange(self._viewers), known.shape)[known]
        delay_s = (successor_s - columns.pop("end_s"))[known]
        start_s, session_no, fillers = (
            columns.pop(name)[known] for name in ("start_s", "session_no", "fillers_after")
        )
        horizons_s = np.array([WITHIN_S[2], WITHIN_S[4], WITHIN_S[5]])
        plays = Plays(
            viewer=viewer.astype(np.int64),
            labels=(delay_s[:, None] <= horizons_s).astype(np.float32),
            **{name: column[known] for name, column in columns.items()},
        )
        return Drawn(
            plays=plays,
            delay_s=delay_s,
            start_s=start_s,
            session_no=session_no.astype(np.int64),
            fillers_after=fillers,
        )

    def _sit_down(self) -> None:
        is_new = self._sitting_gap_s > CONTINUE_WITHIN_S
        self._session_no += is_new
        self._session_start_s = np.where(is_new, self._start_s, self._session_start_s)
        self._plays_before = np.where(is_new, 0.0, self._plays_before + 1.0)
        self._run = np.where(~is_new & self._is_successor, self._run + 1.0, 1.0)

    def _draw_completion(self) -> Floats:
        rng, viewers = self._rng, self._viewers
        bins = len(self._completion_shares)
        position = rng.choice(bins, viewers, p=self._completion_shares)
        within = (position + rng.random(viewers)) / bins
        over = 1.0 + 0.1 * rng.random(viewers)
        is_over = (position == bins - 1) & (rng.random(viewers) < self._over_share)
        return np.where(is_over, over, within)

    def _draw_delay(self, end_s: Floats, bucket: NDArray[np.int64], is_open: Floats) -> Floats:
        """Seconds until the next play of a series, within the bucket, or any gap if `is_open`."""
        edges = np.array([5.0, *WITHIN_S, _LATER_S_MAX])
        low = np.where(is_open, CONTINUE_WITHIN_S, edges[bucket])
        high = np.where(is_open, _LATER_S_MAX, edges[bucket + 1])
        soon = low + (high - low) * self._rng.random(self._viewers)
        at, log_gap = self._gap_quantiles
        spans = [
            np.interp(np.log(np.maximum(edge, CONTINUE_WITHIN_S)), log_gap, at)
            for edge in (low, high)
        ]
        draws = self._rng.random((_CANDIDATE_COUNT, self._viewers))
        gaps = np.exp(np.interp(spans[0] + (spans[1] - spans[0]) * draws, at, log_gap))
        hours = ((end_s + gaps) // _S_PER_H).astype(np.int64) % 24
        weights = np.cumsum(self._offsets.start_hour[hours], axis=0)
        pick = (weights < weights[-1] * self._rng.random(self._viewers)).sum(axis=0)
        later = gaps[np.minimum(pick, _CANDIDATE_COUNT - 1), np.arange(self._viewers)]
        return np.where(low >= CONTINUE_WITHIN_S, np.clip(later, low, high), soon)

    def _open_series(self, chosen: NDArray[np.bool_]) -> None:
        """Another series for the chosen viewers: from its start, or where it was left."""
        rng, viewers = self._rng, self._viewers
        kinds = rng.choice(3, viewers, p=[share for share, _, _ in _RUNTIME_KINDS])
        middle = np.array([minutes for _, minutes, _ in _RUNTIME_KINDS])[kinds]
        spread = np.array([sd for _, _, sd in _RUNTIME_KINDS])[kinds]
        length = rng.integers(*_EPISODES_PER_SEASON, viewers).astype(np.float64)
        is_fresh = rng.random(viewers) < 0.5
        new = {
            "_runtime_s": 60.0 * middle * np.exp(spread * rng.normal(size=viewers)),
            "_season_length": length,
            "_season": np.where(is_fresh, 1.0, rng.geometric(0.35, viewers)),
            "_episode": np.where(is_fresh, 1.0, 1.0 + np.floor(length * rng.random(viewers))),
            "_series_log_odds": rng.normal(0.0, SERIES_SD, viewers),
            "_series_finished": np.zeros(viewers),
            "_series_continued": np.zeros(viewers),
        }
        for name, values in new.items():
            setattr(self, name, np.where(chosen, values, getattr(self, name)))

    def _advance_episode(self, chosen: NDArray[np.bool_]) -> None:
        episode = self._episode + chosen
        is_over = episode > self._season_length
        self._season = np.minimum(self._season + is_over, 15.0)
        self._episode = np.where(is_over, 1.0, episode)

    def _draw_devices(self) -> NDArray[np.int64]:
        shares = [*_DEVICE_SHARES, 1.0 - sum(_DEVICE_SHARES)]
        return self._rng.choice(3, self._viewers, p=shares)

    def _draw_device(self) -> NDArray[np.int64]:
        is_usual = self._rng.random(self._viewers) < _DEVICE_LOYALTY
        return np.where(is_usual, self._favourite_device, self._draw_devices())

    def _share_resumed(self, statistics: ViewingStatistics) -> float:
        """Of unfinished plays not followed soon, the share whose next play is the same episode."""
        unfinished = [statistics.next30_by_completion[name] for name in COMPLETION_BUCKETS[:5]]
        everything = sum(count for _, count in statistics.next30_by_completion.values())
        waiting = sum((1.0 - rate) * count for rate, count in unfinished) / max(1, everything)
        return min(1.0, statistics.next_kind_any["same_ep"] / waiting) if waiting else 0.0


def smoothed_rates(
    continued: Floats, finished: Floats, prior: Floats | None = None, weight: float | None = None
) -> Floats:
    """`features.smoothed_rate` over arrays: the formula is one, and works on both."""
    if prior is None or weight is None:
        return np.asarray(smoothed_rate(continued, finished))  # type: ignore[arg-type]
    return np.asarray(
        smoothed_rate(continued, finished, prior=prior, prior_weight=weight)  # type: ignore[arg-type]
    )


def shares_of(histogram: tuple[float, ...]) -> Floats:
    shares = np.array(histogram)
    return np.asarray(shares / shares.sum())


def _gap_quantiles(statistics: ViewingStatistics) -> tuple[Floats, Floats]:
    """The distribution function of the gap between sittings: probabilities and log seconds."""
    points = [(float(at), hours * _S_PER_H) for at, hours in statistics.intersession_h.items()]
    inner = [(at, gap) for at, gap in points if CONTINUE_WITHIN_S < gap < _LATER_S_MAX]
    points = [(0.0, CONTINUE_WITHIN_S), *inner, (1.0, _LATER_S_MAX)]
    return np.array([at for at, _ in points]), np.log(np.array([gap for _, gap in points]))
