"""Whose beginnings are worth holding: what all viewers of an edge may start, put together.

One viewer's first recommendation comes true in a few per cent of cases, too few to fetch a title
for; but the first seconds of a title are one or two per cent of its bytes, and a title that many
viewers may start is likely started by one of them: P = 1 - product over viewers of (1 - p). The
product is kept for each title as a sum of logarithms, so that an answer costs what it says and not
what all viewers were told.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import msgspec

from predictor.recommend.recommendations import Recommendation

_PROBABILITY_MAX: Final = 1.0 - 1e-12
"""A logarithm of nothing is none."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A title, and P(at least one of the viewers takes it up next)."""

    title: str
    probability: float
    viewer_count: int


class _Wanted:
    """What is known of one title."""

    __slots__ = ("nobody", "viewer_count")

    def __init__(self) -> None:
        self.nobody = 0.0
        """The logarithm of P(no viewer starts it)."""
        self.viewer_count = 0


class Heads:
    """The newest recommendations of each viewer, for `lifetime_s`; of `viewers_max` at most."""

    def __init__(self, *, lifetime_s: float = 3600.0, viewers_max: int = 10_000) -> None:
        self._lifetime_s = lifetime_s
        self._viewers_max = viewers_max
        # In order of their last answer, so that what ends first stands first.
        self._viewers: OrderedDict[str, tuple[float, tuple[Recommendation, ...]]] = OrderedDict()
        self._titles: dict[str, _Wanted] = {}

    def __len__(self) -> int:
        return len(self._viewers)

    def __contains__(self, title: str) -> bool:
        """Whether any viewer may start it."""
        return title in self._titles

    def recommended(
        self, viewer_key: str, recommendations: Sequence[Recommendation], now_s: float
    ) -> None:
        """A viewer's series ended or a sitting began, and this is what the model says."""
        self.forget(viewer_key)
        self._viewers[viewer_key] = (now_s + self._lifetime_s, tuple(recommendations))
        for one in recommendations:
            wanted = self._titles.setdefault(one.title, _Wanted())
            wanted.nobody += math.log1p(-min(one.probability, _PROBABILITY_MAX))
            wanted.viewer_count += 1
        if len(self._viewers) > self._viewers_max:
            self.forget(next(iter(self._viewers)))

    def forget(self, viewer_key: str) -> None:
        """The viewer chose, or asked to be forgotten."""
        known = self._viewers.pop(viewer_key, None)
        for one in known[1] if known is not None else ():
            wanted = self._titles[one.title]
            wanted.nobody -= math.log1p(-min(one.probability, _PROBABILITY_MAX))
            wanted.viewer_count -= 1
            if not wanted.viewer_count:
                del self._titles[one.title]

    def until_s(self) -> float | None:
        """When the first of the answers holds no more."""
        return next((until_s for until_s, _ in self._viewers.values()), None)

    def wanted(self, count: int, now_s: float, *, probability_min: float = 0.0) -> tuple[Head, ...]:
        """The `count` titles likeliest started by anyone, likeliest first."""
        while self._viewers:
            key, (until_s, _) = next(iter(self._viewers.items()))
            if until_s > now_s:
                break
            self.forget(key)
        # By the logarithm: a head for each of thousands of titles would cost more than the choice.
        likeliest = heapq.nsmallest(
            count, ((wanted.nobody, title) for title, wanted in self._titles.items())
        )
        heads = (
            Head(
                title=title,
                probability=-math.expm1(min(nobody, 0.0)),
                viewer_count=self._titles[title].viewer_count,
            )
            for nobody, title in likeliest
        )
        return tuple(head for head in heads if head.probability >= probability_min)
