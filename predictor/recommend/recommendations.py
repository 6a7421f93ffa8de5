"""Recommendations as a list: titles with the probability that each is what is watched next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """A title and P(it is the next one this viewer has not seen yet)."""

    title: str
    probability: float


class Recommender(Protocol):
    """What the planner and home rows ask; every kind of model, and none, can answer."""

    def top(
        self, history: Sequence[str], count: int, *, exclude_seen: bool = True
    ) -> tuple[Recommendation, ...]:
        """The `count` likeliest next titles, likeliest first; `history` is oldest first.

        Titles of the history that are not known are passed over.
        """
        ...
