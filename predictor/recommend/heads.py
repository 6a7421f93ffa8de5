"""Whose beginnings are worth holding: what all viewers of an edge may start, put together.

One viewer's first recommendation comes true in a few per cent of cases, too few to fetch a title
for; but the first seconds of a title are one or two per cent of its bytes, and a title that many
viewers may start is likely started by one of them: P = 1 - product over viewers of (1 - p).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from predictor.recommend.rows import Recommendation


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A title, and P(at least one of the viewers takes it up next)."""

    title: str
    probability: float
    viewer_count: int


class Heads:
    """The newest recommendations of each viewer, for `lifetime_s`; of `viewers_max` at most."""

    def __init__(self, *, lifetime_s: float = 3600.0, viewers_max: int = 10_000) -> None:
        self._lifetime_s = lifetime_s
        self._viewers_max = viewers_max
        # In order of their last answer, so that what ends first stands first.
        self._viewers: OrderedDict[str, tuple[float, tuple[Recommendation, ...]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._viewers)

    def recommended(
        self, viewer_key: str, recommendations: Sequence[Recommendation], now_s: float
    ) -> None:
        """A viewer's series ended or a sitting began, and this is what the model says."""
        self._viewers.pop(viewer_key, None)
        self._viewers[viewer_key] = (now_s + self._lifetime_s, tuple(recommendations))
        if len(self._viewers) > self._viewers_max:
            self._viewers.popitem(last=False)

    def forget(self, viewer_key: str) -> None:
        """The viewer chose, or asked to be forgotten."""
        self._viewers.pop(viewer_key, None)

    def wanted(self, count: int, now_s: float, *, probability_min: float = 0.0) -> tuple[Head, ...]:
        """The `count` titles likeliest started by anyone, likeliest first."""
        while self._viewers:
            key, (until_s, _) = next(iter(self._viewers.items()))
            if until_s > now_s:
                break
            del self._viewers[key]
        nobody: dict[str, float] = {}
        viewers: dict[str, int] = {}
        for _, recommendations in self._viewers.values():
            for one in recommendations:
                nobody[one.title] = nobody.get(one.title, 1.0) * (1.0 - one.probability)
                viewers[one.title] = viewers.get(one.title, 0) + 1
        heads = [
            Head(title=title, probability=1.0 - none, viewer_count=viewers[title])
            for title, none in nobody.items()
            if 1.0 - none >= probability_min
        ]
        heads.sort(key=lambda head: (-head.probability, head.title))
        return tuple(heads[:count])
