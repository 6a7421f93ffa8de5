"""Moved to `predictor.viewing.statistics`."""

from predictor.viewing.statistics import (
    COMPLETION_BUCKETS,
    COMPLETION_EDGES,
    HOURS_PER_BIN,
    WITHIN,
    WITHIN_S,
    ViewingStatistics,
    read_statistics,
)

__all__ = [
    "COMPLETION_BUCKETS",
    "COMPLETION_EDGES",
    "HOURS_PER_BIN",
    "WITHIN",
    "WITHIN_S",
    "ViewingStatistics",
    "read_statistics",
]
