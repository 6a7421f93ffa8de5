"""What each viewer has taken up, as long as that may be known.

A history belongs to its viewer (edge.viewers) and goes with it: when the viewer is forgotten, on
request or for room, nothing of it is left. Plays older than `history_s` are passed over, and let go
at the next look.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final
from weakref import WeakKeyDictionary

import msgspec

from edge.viewers import Viewer

PLAYS_MAX: Final = 50
"""What a model of titles reads (predictor.recommend.blend)."""


class Taken(msgspec.Struct, frozen=True):
    """A title that a viewer took up."""

    url: str
    """The manifest of it that was watched last."""
    at_s: float
    """When that was."""


class Histories:
    """By viewer; of a title taken up again the last time counts."""

    def __init__(self, history_s: float) -> None:
        self._history_s = history_s
        self._of: WeakKeyDictionary[Viewer, OrderedDict[str, Taken]] = WeakKeyDictionary()

    def take(self, viewer: Viewer, name: str, url: str, now_s: float) -> None:
        """The viewer is watching this title."""
        plays = self._of.setdefault(viewer, OrderedDict())
        plays.pop(name, None)
        plays[name] = Taken(url, now_s)
        if len(plays) > PLAYS_MAX:
            plays.popitem(last=False)
        self._age(plays, now_s)

    def of(self, viewer: Viewer, now_s: float) -> dict[str, Taken]:
        """By name, the oldest first."""
        plays = self._of.get(viewer)
        if plays is None:
            return {}
        self._age(plays, now_s)
        return dict(plays)

    def forget(self, viewer: Viewer) -> None:
        self._of.pop(viewer, None)

    def _age(self, plays: OrderedDict[str, Taken], now_s: float) -> None:
        while plays and now_s - next(iter(plays.values())).at_s > self._history_s:
            plays.popitem(last=False)
