"""Episode plays drawn from aggregate viewing statistics.

No log of real viewers is needed, or kept: every viewer is invented. All viewers move in step, one
play each, so a step is a few array operations. A play's course:

1. Completion comes from the drop-off histogram, whoever watches.
2. Whether the successor starts within 30 minutes is a coin with log-odds
   `completion bucket + run length + local hour + viewer + viewer's liking of this series`. The
   viewer's part has the measured spread 0.6; the first three are solved (`fit_offsets`) until the
   drawn plays show the measured rates. That step matters: long runs select eager viewers, so the
   measured rise of the rate with run length must not be put in a second time.
3. If not, a finished episode is followed after hours or days with the measured shares, or never.
   An unfinished one is resumed at a later sitting or set aside; when its successor starts then
   follows from the plays themselves. "Never" opens another series.
4. Sittings start by the table of local hours and the measured gaps between sittings.

What the aggregates do not hold is assumed, and said where it is: run times, devices, seasons, and
how much a viewer's rate differs between series. Devices are drawn apart from all else, so that a
model learns nothing of them; a service with its own logs can.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nearcast.seeds import Seeds
from predictor.columns import Floats
from predictor.features import FINISHED_PROGRESS
from predictor.train.process import Drawn, Offsets, Process, completion_bucket, shares_of
from predictor.train.statistics import COMPLETION_BUCKETS, HOURS_PER_BIN, ViewingStatistics

PLAYS_PER_VIEWER = 300
FIT_ROUNDS = 6
_FIT_VIEWERS = 600
_FIT_DAMPING = 0.8
_FIT_SHRINKAGE = 400  # plays; rows with few of them follow their noise less


def draw_plays(
    statistics: ViewingStatistics,
    *,
    play_count: int,
    seeds: Seeds,
    offsets: Offsets | None = None,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> Drawn:
    """About `play_count` plays of viewers who watch PLAYS_PER_VIEWER each, or fewer of fewer."""
    if offsets is None:
        offsets = fit_offsets(statistics, seeds=seeds)
    steps = min(PLAYS_PER_VIEWER, max(20, play_count // 20))
    viewers = max(1, round(play_count / steps))
    process = Process(statistics, offsets, viewers, seeds.stream("predictor/plays"))
    for step in range(steps):
        process.step()
        on_step(step + 1, steps)
    return process.drawn()


def fit_offsets(statistics: ViewingStatistics, *, seeds: Seeds) -> Offsets:
    """Offsets with which drawn plays show the measured rates: iterative scaling, table by table."""
    targets = _Targets(statistics)
    offsets = Offsets(
        completion=_log_odds(targets.completion),
        run=np.zeros(len(targets.run)),
        hour=np.zeros(len(targets.hour)),
        start_hour=shares_of(statistics.starts_by_local_hour),
    )
    for round_no in range(FIT_ROUNDS):
        rng = seeds.stream(f"predictor/fit/{round_no}")
        process = Process(statistics, offsets, _FIT_VIEWERS, rng)
        for _ in range(PLAYS_PER_VIEWER):
            process.step()
        offsets = _corrected(offsets, process.drawn(), targets)
    return offsets


class _Targets:
    def __init__(self, statistics: ViewingStatistics) -> None:
        by_completion = statistics.next30_by_completion
        self.completion = np.array([by_completion[name][0] for name in COMPLETION_BUCKETS])
        self.run_lengths = np.array([float(run) for run in statistics.next30_by_run_finished])
        self.run = np.array([rate for rate, _ in statistics.next30_by_run_finished.values()])
        hours = range(0, 24, HOURS_PER_BIN)
        self.hour = np.array([statistics.next30_by_hour_finished[str(hour)] for hour in hours])
        self.start_hour = shares_of(statistics.starts_by_local_hour)


def _corrected(offsets: Offsets, drawn: Drawn, targets: _Targets) -> Offsets:
    plays = drawn.plays
    went_on = plays.labels[:, 0].astype(np.float64)
    is_finished = plays.completion >= FINISHED_PROGRESS
    bucket = completion_bucket(plays.completion)
    run = np.where(is_finished, plays.run_length, -1.0)
    hour = np.where(is_finished, plays.local_hour // HOURS_PER_BIN, -1.0)

    def step(groups: Floats, keys: Floats, target: Floats) -> Floats:
        counts = np.array([np.count_nonzero(groups == key) for key in keys])
        rates = np.array([_rate(went_on[groups == key]) for key in keys])
        trust = _FIT_DAMPING * counts / (counts + _FIT_SHRINKAGE)
        return np.asarray(trust * (_log_odds(target) - _log_odds(rates)))

    run_step = step(run, targets.run_lengths, targets.run)
    hour_step = step(hour, np.arange(12.0), targets.hour)
    starts = np.bincount(plays.local_hour.astype(np.int64), minlength=24) + 1.0
    start_hour = offsets.start_hour * targets.start_hour / (starts / starts.sum())
    return Offsets(
        completion=offsets.completion + step(bucket, np.arange(7.0), targets.completion),
        # Their common level belongs to the completion table, else the three would push each other.
        run=offsets.run + run_step - run_step[0],
        hour=offsets.hour + hour_step - hour_step.mean(),
        start_hour=start_hour / start_hour.sum(),
    )


def _rate(outcomes: Floats) -> float:
    """A share that is never 0 or 1, so that its log-odds exist."""
    return (float(outcomes.sum()) + 0.5) / (len(outcomes) + 1.0)


def _log_odds(rate: Floats) -> Floats:
    return np.asarray(np.log(rate / (1.0 - rate)))
