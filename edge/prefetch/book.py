"""Why an object was, is or was not fetched ahead: the decisions, remembered by URL.

Bounded, oldest forgotten first. Nothing in it says who watches: plans are counted, not named.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal, TypeVar

import msgspec

from edge.prefetch.plans import Source
from edge.prefetch.value import Use

_T = TypeVar("_T")

State = Literal["queued", "fetching", "held", "used", "refused", "dropped", "wasted"]
"""queued: worth it, and waiting for budget, room or its turn. fetching: on its way. held: here and
not yet asked for. used: asked for. refused: not worth it. dropped: given up or failed. wasted: let
go before anyone asked."""

STEPS_MAX = 12
"""Of one object's story; the first and the last ones stay."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """The object came into this state then."""

    at_s: float
    state: State
    detail: str = ""


class Grounds(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision was made from. Values and costs are for each byte, in fetches of a byte."""

    source: Source
    about_url: str
    use: Use
    size_bytes: int
    viewer_count: int
    """Viewers for whom it was wanted at that time."""
    said: tuple[float, ...]
    """By the source, per horizon where it speaks of horizons; of who first wanted it so."""
    chance: float
    """Of use before it is let go, all viewers together, as far as the sources are believed."""
    trust: float
    """What the source's word was multiplied with."""
    gain: float
    cost: float
    value: float
    threshold: float
    """From which chance on it pays."""
    budget: str
    tariff: str
    """The hours whose tariff held; empty for the plain settings."""
    runner_up_url: str | None = None
    """What would have been fetched instead, or was."""
    runner_up_value: float | None = None


class Story(msgspec.Struct, kw_only=True):
    """Of one object."""

    grounds: Grounds
    steps: list[Step]

    @property
    def state(self) -> State:
        return self.steps[-1].state


class Foreseen(msgspec.Struct, frozen=True, kw_only=True):
    """What was last said of a title."""

    at_s: float
    source: Source
    share: float
    """Of the title before it that had been watched."""
    probabilities: tuple[float, ...]
    chance: float


class Book:
    """Stories by URL, and what was foreseen by title."""

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._stories: OrderedDict[str, Story] = OrderedDict()
        self._foreseen: OrderedDict[str, Foreseen] = OrderedDict()
        self._asked: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._stories)

    def story(self, url: str) -> Story | None:
        return self._stories.get(url)

    def foreseen(self, url: str) -> Foreseen | None:
        return self._foreseen.get(url)

    def asked_s(self, url: str) -> float | None:
        """When a client's request for it last had to be fetched, if that is remembered."""
        return self._asked.get(url)

    def foresee(self, url: str, said: Foreseen) -> None:
        _put(self._foreseen, url, said, self._count_max)

    def asked(self, url: str, now_s: float) -> None:
        _put(self._asked, url, now_s, self._count_max)

    def decide(
        self, url: str, grounds: Grounds, state: State, now_s: float, detail: str = ""
    ) -> None:
        """A decision was made from these grounds."""
        story = self._stories.pop(url, None)
        if story is None:
            story = Story(grounds=grounds, steps=[])
        story.grounds = grounds
        self._stories[url] = story
        self._step(story, state, now_s, detail)
        if len(self._stories) > self._count_max:
            self._stories.popitem(last=False)

    def follow(self, url: str, state: State, now_s: float, detail: str = "") -> None:
        """Something became of an object that was decided on."""
        story = self._stories.get(url)
        if story is not None:
            self._step(story, state, now_s, detail)

    def _step(self, story: Story, state: State, now_s: float, detail: str) -> None:
        last = story.steps[-1] if story.steps else None
        if last is not None and (last.state, last.detail) == (state, detail):
            return
        story.steps.append(Step(at_s=now_s, state=state, detail=detail))
        if len(story.steps) > STEPS_MAX:
            del story.steps[STEPS_MAX // 2]


def _put(table: OrderedDict[str, _T], key: str, value: _T, count_max: int) -> None:
    table.pop(key, None)
    table[key] = value
    if len(table) > count_max:
        table.popitem(last=False)
