"""Do drawn plays show the behaviour they were drawn from? Each row of the statistics, beside."""

from __future__ import annotations

import msgspec
import numpy as np

from predictor.columns import Floats
from predictor.features import FINISHED_PROGRESS
from predictor.train.process import Drawn, completion_bucket
from predictor.train.statistics import (
    COMPLETION_BUCKETS,
    HOURS_PER_BIN,
    WITHIN,
    WITHIN_S,
    ViewingStatistics,
)

TOLERANCE = 0.10  # relative
_FEW_PLAYS = 100  # rows with fewer drawn plays say nothing
_FILLER_MIN = 35.0


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One measured figure and what the drawn plays show."""

    name: str
    measured: float
    drawn: float
    plays: int  # drawn plays (or sittings) behind the figure

    @property
    def deviation(self) -> float:
        """Relative to the measured figure."""
        return (self.drawn - self.measured) / self.measured

    @property
    def agrees(self) -> bool:
        return abs(self.deviation) <= TOLERANCE


def compare(statistics: ViewingStatistics, drawn: Drawn) -> tuple[Row, ...]:
    """All rows that rest on enough plays, in the order of the statistics."""
    rows = [
        *_continuation(statistics, drawn),
        *_shapes(statistics, drawn),
        *_sittings(statistics, drawn),
    ]
    return tuple(row for row in rows if row.plays >= _FEW_PLAYS and row.measured > 0)


def _continuation(statistics: ViewingStatistics, drawn: Drawn) -> list[Row]:
    plays = drawn.plays
    is_finished = plays.completion >= FINISHED_PROGRESS
    soon = plays.labels[:, 0] > 0
    bucket = completion_bucket(plays.completion)
    rows = [
        _share(
            f"next within {name}, finished",
            statistics.next_within_finished[name],
            drawn.delay_s[is_finished] <= within_s,
        )
        for name, within_s in zip(WITHIN, WITHIN_S, strict=True)
    ]
    rows += [
        _share(
            f"next30 by completion {name}",
            statistics.next30_by_completion[name][0],
            soon[bucket == at],
        )
        for at, name in enumerate(COMPLETION_BUCKETS)
    ]
    rows += [
        _share(
            f"next30 by run length {run}",
            rate,
            soon[is_finished & (plays.run_length == float(run))],
        )
        for run, (rate, _) in statistics.next30_by_run_finished.items()
    ]
    hour = plays.local_hour // HOURS_PER_BIN
    rows += [
        _share(f"next30 by hour {name}", rate, soon[is_finished & (hour == at)])
        for at, (name, rate) in enumerate(statistics.next30_by_hour_finished.items())
    ]
    return rows


def _shapes(statistics: ViewingStatistics, drawn: Drawn) -> list[Row]:
    plays = drawn.plays
    bins = np.minimum((plays.completion * 20).astype(np.int64), 19)
    hours = plays.local_hour.astype(np.int64)
    rows = [
        _share(f"completion {at * 5}-{at * 5 + 5} %", share, bins == at)
        for at, share in enumerate(statistics.completion_hist_20bins)
    ]
    rows += [
        _share(f"starts at {at} h", share, hours == at)
        for at, share in enumerate(statistics.starts_by_local_hour)
    ]
    return rows


def _sittings(statistics: ViewingStatistics, drawn: Drawn) -> list[Row]:
    plays = drawn.plays
    sitting = plays.viewer * (int(drawn.session_no.max()) + 1) + drawn.session_no
    _, position = np.unique(sitting, return_inverse=True)
    count = int(position.max()) + 1
    in_sitting = np.bincount(position, minlength=count) + np.bincount(
        position, weights=drawn.fillers_after, minlength=count
    )
    end_s = plays.session_before_s + plays.completion * plays.runtime_s
    minutes = _largest(position, end_s / 60.0, count) + _FILLER_MIN * np.bincount(
        position, weights=drawn.fillers_after, minlength=count
    )
    longest_run = _largest(position, plays.run_length, count)
    rows = [
        Row(
            name="plays per sitting, mean",
            measured=statistics.session_mean_plays,
            drawn=float(in_sitting.mean()),
            plays=count,
        )
    ]
    for name, table, values in (
        ("plays per sitting", statistics.session_plays, in_sitting),
        ("minutes per sitting", statistics.session_min, minutes),
    ):
        rows += [
            Row(
                name=f"{name}, quantile {at}",
                measured=value,
                drawn=float(np.quantile(values, float(at))),
                plays=count,
            )
            for at, value in table.items()
        ]
    rows += [
        _share(f"longest run per sitting >= {run}", share, longest_run >= float(run))
        for run, share in statistics.max_run_dist.items()
    ]
    gaps_h = plays.previous_gap_s[plays.previous_gap_s > WITHIN_S[2]] / 3600.0
    rows += [
        Row(
            name=f"hours between sittings, quantile {at}",
            measured=value,
            drawn=float(np.quantile(gaps_h, float(at))),
            plays=len(gaps_h),
        )
        for at, value in statistics.intersession_h.items()
    ]
    return rows


def _largest(position: np.ndarray, values: Floats, count: int) -> Floats:
    largest = np.zeros(count)
    np.maximum.at(largest, position, values)
    return largest


def _share(name: str, measured: float, outcomes: np.ndarray) -> Row:
    count = len(outcomes)
    return Row(
        name=name, measured=measured, drawn=float(outcomes.mean()) if count else 0.0, plays=count
    )
