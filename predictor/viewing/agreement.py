"""Do drawn plays show the behaviour they were fitted to? Row by row, side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from predictor.viewing.statistics import ViewingStatistics

TOLERANCE = 0.10  # relative


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One measured figure and what the drawn plays show."""

    name: str
    measured: float
    drawn: float

    @property
    def deviation(self) -> float:
        """Relative to the measured figure."""
        return (self.drawn - self.measured) / self.measured

    @property
    def agrees(self) -> bool:
        return abs(self.deviation) <= TOLERANCE


def compare(measured: ViewingStatistics, drawn: ViewingStatistics) -> tuple[Row, ...]:
    """All rows of the measured statistics, in their order; what the drawn cannot tell is left out.

    Counts are no rows: they say how much was measured, and not how viewers behave.
    """
    other = dict(_figures(drawn))
    return tuple(
        Row(name=name, measured=value, drawn=other[name])
        for name, value in _figures(measured)
        if value > 0 and name in other and not math.isnan(other[name])
    )


def _figures(statistics: ViewingStatistics) -> Iterator[tuple[str, float]]:
    if statistics.finished_count:
        yield "plays finished, of all", statistics.finished_count / statistics.play_count
    for label, table in (
        ("next within {}, finished", statistics.next_within_finished),
        ("next soon, completion {}", _rates(statistics.next30_by_completion)),
        ("next soon, run of {}", _rates(statistics.next30_by_run_finished)),
        ("next soon, from {} h", statistics.next30_by_hour_finished),
        ("next soon is {}", statistics.next_kind_soon),
        ("next is {}", statistics.next_kind_any),
        ("plays per sitting, quantile {}", statistics.session_plays),
        ("minutes per sitting, quantile {}", statistics.session_min),
        ("longest run is {} or more", statistics.max_run_dist),
        ("hours between sittings, quantile {}", statistics.intersession_h),
        ("follows one of last {}, all plays", statistics.coverage_all),
        ("follows one of last {}, episodes", statistics.coverage_episodes),
        ("resumes one of last {}", statistics.resume_all),
    ):
        for key, value in table.items():
            yield label.format(key), value
    yield "plays per sitting, mean", statistics.session_mean_plays
    for label, histogram, step in (
        ("starts at {} h", statistics.starts_by_local_hour, 1),
        ("completion from {} %", statistics.completion_hist_20bins, 5),
        ("stops from {} %", statistics.dropoff_hazard_per_5pct, 5),
    ):
        for at, value in enumerate(histogram):
            yield label.format(at * step), value


def _rates(table: dict[str, tuple[float, int]]) -> dict[str, float]:
    return {name: rate for name, (rate, _) in table.items()}
