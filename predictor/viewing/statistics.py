"""The aggregate viewing statistics a workload or a training set is drawn from.

One JSON object; the names are those of the file `viewing_stats.json`. Rates come with the number
of plays behind them where the file has it. Keys that are not needed are ignored.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

import msgspec

from nearcast.errors import InputError

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Rate = Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)]
Counted = tuple[Rate, int]  # rate, plays it was measured on

COMPLETION_BUCKETS = ("0-0.1", "0.1-0.25", "0.25-0.5", "0.5-0.75", "0.75-0.9", "0.9-1.0", "1.0-1.2")
COMPLETION_EDGES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.2)
WITHIN = ("1min", "5min", "30min", "2h", "24h", "7d")
WITHIN_S = (60.0, 300.0, 1800.0, 7200.0, 86400.0, 604800.0)
HOURS_PER_BIN = 2


class ViewingStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Measured viewing behaviour; `finished` means at least 0.9 of the episode was watched."""

    play_count: int = msgspec.field(name="n_plays")
    next_within_finished: dict[str, Rate] = msgspec.field(name="P_next_within|finished")
    next30_by_completion: dict[str, Counted] = msgspec.field(name="P_next30_by_completion")
    next30_by_run_finished: dict[str, Counted] = msgspec.field(name="P_next30_by_run")
    next30_by_hour_finished: dict[str, Rate] = msgspec.field(name="P_next30_by_hour")
    next_kind_soon: dict[str, Share] = msgspec.field(
        name="next_play_kind|finished, next play within 30min"
    )
    next_kind_any: dict[str, Share] = msgspec.field(name="next_play_kind|any episode, any time")
    starts_by_local_hour: Annotated[tuple[Share, ...], msgspec.Meta(min_length=24, max_length=24)]
    session_plays: dict[str, float]
    session_min: dict[str, float]
    session_mean_plays: float
    max_run_dist: dict[str, Share]
    intersession_h: dict[str, float]
    completion_hist_20bins: Annotated[tuple[Share, ...], msgspec.Meta(min_length=20, max_length=20)]
    finished_count: int = msgspec.field(name="n_fin", default=0)
    coverage_all: dict[str, Share] = msgspec.field(
        name="coverage_all_plays successor of last k series", default_factory=dict
    )
    coverage_episodes: dict[str, Share] = msgspec.field(default_factory=dict)
    resume_all: dict[str, Share] = msgspec.field(default_factory=dict)
    dropoff_hazard_per_5pct: tuple[Share, ...] = ()


def read_statistics(path: Path) -> tuple[ViewingStatistics, str]:
    """The statistics in the file and the SHA-256 of its bytes. Raises InputError."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        statistics = msgspec.json.decode(text, type=ViewingStatistics)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} holds no viewing statistics: {error}") from error
    _check(statistics, path)
    return statistics, hashlib.sha256(text).hexdigest()


def _check(statistics: ViewingStatistics, path: Path) -> None:
    needed: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
        "P_next_within|finished": (statistics.next_within_finished, WITHIN),
        "P_next30_by_completion": (statistics.next30_by_completion, COMPLETION_BUCKETS),
        "next_play_kind|any episode, any time": (statistics.next_kind_any, ("same_ep",)),
        "next_play_kind|finished, next play within 30min": (
            statistics.next_kind_soon,
            ("successor",),
        ),
        "P_next30_by_run": (statistics.next30_by_run_finished, ("1",)),
        "P_next30_by_hour": (
            statistics.next30_by_hour_finished,
            tuple(str(hour) for hour in range(0, 24, HOURS_PER_BIN)),
        ),
    }
    for name, (table, keys) in needed.items():
        missing = [key for key in keys if key not in table]
        if missing:
            raise InputError(f"{path}: {name!r} has no entry for {', '.join(missing)}")
    shares = [statistics.next_within_finished[name] for name in WITHIN]
    if shares != sorted(shares):
        raise InputError(f"{path}: 'P_next_within|finished' falls with time, but it accumulates")
    if sum(statistics.completion_hist_20bins) <= 0 or sum(statistics.starts_by_local_hour) <= 0:
        raise InputError(f"{path}: a histogram sums to zero")
    for name in ("next30_by_run_finished", "intersession_h", "max_run_dist"):
        table = getattr(statistics, name)
        try:
            numbers = [float(key) for key in table]
        except ValueError as error:
            raise InputError(f"{path}: a key of {name} is not a number: {error}") from error
        if not numbers or numbers != sorted(numbers):
            raise InputError(f"{path}: the keys of {name} must be numbers in rising order")
