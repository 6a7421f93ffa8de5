"""How often viewers take up something new at all, by situation; and how often it was named.

The model says what is taken up next if anything is. Whether anything is, within half an hour, is
counted here: of those asked about in the same situation, how many did. Begins
with a guess that weighs as much as a few dozen viewers. Of those who did, it is counted how often
it was something that the model had named, over how often it should have been: a model that is sure
and wrong is found out by a few viewers, long before its wasted bytes tell (edge.prefetch.trust).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

Situation = Literal["over", "doubtful", "sitting"]
"""over: near the end of a film, or of what has no successor. doubtful: an episode nearly over whose
viewer will rather not go on. sitting: a sitting has begun."""

TURN_S: Final = 1800.0
"""Whoever takes up something new later than that was not foreseen by this question."""

GUESSES: Final[dict[Situation, float]] = {"over": 0.14, "doubtful": 0.04, "sitting": 0.02}
"""Of 1,500 generated viewers over 60 days (simulation.workload.generated)."""
GUESS_WEIGHT: Final = 30.0
KNOWN_MAX: Final = 1_000.0
"""Questions remembered per situation, by halving: habits change."""
BELIEF_WEIGHT: Final = 10.0
"""A model is believed at first as if so many viewers had taken up what it named."""


class _Pending(msgspec.Struct, frozen=True):
    situation: Situation
    until_s: float
    named: dict[str, float]
    """What the model said, as probabilities by manifest."""


class Turns:
    """Counts who took up a new title after a question. Viewers are told apart by a key."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._asked: dict[Situation, float] = dict.fromkeys(GUESSES, GUESS_WEIGHT)
        self._taken = {one: GUESS_WEIGHT * share for one, share in GUESSES.items()}
        self._expected = self._named = BELIEF_WEIGHT
        self._pending: OrderedDict[str, _Pending] = OrderedDict()  # asked longest ago first

    def asked(self, viewer_key: str, situation: Situation, now_s: float) -> None:
        """The viewer's last question counts, so that a viewing counts once."""
        self._pending.pop(viewer_key, None)
        self._pending[viewer_key] = _Pending(situation, now_s + self._within_s, {})

    def answered(self, viewer_key: str, named: Mapping[str, float]) -> None:
        """The model named these, with their probabilities if anything is taken up."""
        pending = self._pending.get(viewer_key)
        if pending is not None:
            pending.named.clear()
            pending.named.update(named)

    def began(self, viewer_key: str, url: str, now_s: float, *, is_new: bool) -> None:
        """The viewer begins a title; `is_new`: one that the viewer had not taken up before."""
        pending = self._pending.pop(viewer_key, None)
        if pending is None:
            return
        is_taken = is_new and now_s <= pending.until_s
        self._count(pending.situation, is_taken=is_taken)
        if is_taken and pending.named:
            self._expected += min(sum(pending.named.values()), 1.0)
            self._named += float(url in pending.named)
            if self._expected > KNOWN_MAX:
                self._expected /= 2.0
                self._named /= 2.0

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

    def belief(self) -> float:
        """What the model's probabilities are to be multiplied with, 0..1."""
        return min(self._named / self._expected, 1.0)

    def model_changed(self) -> None:
        """What another one was worth says nothing of it."""
        self._expected = self._named = BELIEF_WEIGHT
        for pending in self._pending.values():
            pending.named.clear()

    def shares(self) -> dict[str, float]:
        return {str(one): self.share(one) for one in self._asked}

    def _count(self, situation: Situation, *, is_taken: bool) -> None:
        self._asked[situation] += 1.0
        self._taken[situation] += float(is_taken)
        if self._asked[situation] > KNOWN_MAX:
            self._asked[situation] /= 2.0
            self._taken[situation] /= 2.0
