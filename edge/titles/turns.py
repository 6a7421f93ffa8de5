"""How often viewers take up something new at all, by situation.

The model says what is taken up next if anything is. Whether anything is, within the time that
objects are kept, is counted here: of those asked about in the same situation, how many did. Begins
with a guess that weighs as much as a few dozen viewers.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Literal

import msgspec

Situation = Literal["over", "doubtful", "sitting"]
"""over: near the end of a film, or of what has no successor. doubtful: an episode nearly over whose
viewer will rather not go on. sitting: a sitting has begun."""

GUESSES: Final[dict[Situation, float]] = {"over": 0.4, "doubtful": 0.2, "sitting": 0.05}
"""Assumed: sittings have 2.3 plays on average, and few of the plays within half an hour of an
episode are of another title (5 % of those after a finished one)."""
GUESS_WEIGHT: Final = 30.0
KNOWN_MAX: Final = 1_000.0
"""Questions remembered per situation, by halving: habits change."""


class _Pending(msgspec.Struct, frozen=True):
    situation: Situation
    until_s: float


class Turns:
    """Counts who took up a new title after a question. Viewers are told apart by a key."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._asked: dict[Situation, float] = dict.fromkeys(GUESSES, GUESS_WEIGHT)
        self._taken = {one: GUESS_WEIGHT * share for one, share in GUESSES.items()}
        self._pending: OrderedDict[str, _Pending] = OrderedDict()  # asked longest ago first

    def asked(self, viewer_key: str, situation: Situation, now_s: float) -> None:
        """The viewer's last question counts, so that a viewing counts once."""
        self._pending.pop(viewer_key, None)
        self._pending[viewer_key] = _Pending(situation, now_s + self._within_s)

    def began(self, viewer_key: str, now_s: float, *, is_new: bool) -> None:
        """The viewer begins a title; `is_new`: one that the viewer had not taken up before."""
        pending = self._pending.pop(viewer_key, None)
        if pending is not None:
            self._count(pending.situation, is_taken=is_new and now_s <= pending.until_s)

    def advance(self, now_s: float) -> None:
        """Those who began nothing in time did not."""
        while self._pending:
            viewer_key, pending = next(iter(self._pending.items()))
            if pending.until_s >= now_s:
                return
            del self._pending[viewer_key]
            self._count(pending.situation, is_taken=False)

    def forget(self, viewer_key: str) -> None:
        self._pending.pop(viewer_key, None)

    def share(self, situation: Situation) -> float:
        """P(a new title is taken up in time)."""
        return self._taken[situation] / self._asked[situation]

    def shares(self) -> dict[str, float]:
        return {str(one): self.share(one) for one in self._asked}

    def _count(self, situation: Situation, *, is_taken: bool) -> None:
        self._asked[situation] += 1.0
        self._taken[situation] += float(is_taken)
        if self._asked[situation] > KNOWN_MAX:
            self._asked[situation] /= 2.0
            self._taken[situation] /= 2.0
