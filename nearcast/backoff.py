"""Pauses that double with each failure in a row."""

from __future__ import annotations

from typing import Final

DOUBLINGS_MAX: Final = 30
"""A power of two that is too large for a float is an error; this one is more than any pause."""


def doubled_s(base_s: float, failure_count: int, most_s: float) -> float:
    """`base_s` after no failure before, twice as much after each, `most_s` at most."""
    pause_s: float = base_s * 2.0 ** min(max(failure_count, 0), DOUBLINGS_MAX)
    return min(pause_s, most_s)
