"""Ratios of sums, None where there is nothing to divide by."""

from __future__ import annotations

from typing import Final

LEAST: Final = 1e-9
"""Of what is divided by: parts of counters that were split over minutes are no whole numbers."""


def share(part: float, whole: float) -> float | None:
    """0..1: what is told of the two may be of different moments."""
    return min(1.0, part / whole) if whole > LEAST else None


def mean(total: float, count: float) -> float | None:
    return total / count if count > LEAST else None
