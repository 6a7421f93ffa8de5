"""What a source of prefetches tells the planner: plans, each of which wants one object at a time.

A source is whatever foresees something: the model or the rule about the next episode, what viewers
went on to before, the title being watched, the titles a viewer likes. Each gives plans; the planner
knows nothing of where they come from, weighs what they want next against each other and fetches
it. To add a source is one file that makes plans, one line in the table below, and one call where
its knowledge comes in; trust, figures, explanations and metrics go by its name.
"""

from __future__ import annotations

from typing import Final, Literal, Protocol

import msgspec

from cache.http.headers import Headers
from edge.prefetch.value import Use

Source = Literal["model", "rule", "observed", "in-session", "titles"]
"""Who foresaw it."""

SOURCES: Final[dict[Source, str]] = {
    "model": "the next-episode model",
    "rule": 'the rule "half watched"',
    "observed": "what viewers went on to here before",
    "in-session": "a viewer who is watching this title",
    "titles": "the recommender",
}
"""In words."""


class Want(msgspec.Struct, frozen=True):
    """One object to fetch, and about how large it is."""

    url: str
    size_bytes: int
    use: Use
    rate_kbps: float = 0.0
    """Of the picture or sound it is a piece of; 0 for texts."""
    share: float = 1.0
    """That it is used if what was foreseen comes true."""
    load: float | None = None
    """Of the time that it plays the share that a client would wait for it; None: by its rate."""


class Plan(Protocol):
    """Something foreseen for one viewer."""

    name: str
    """No two plans of a planner share it."""
    source: Source
    about_url: str
    """The title that it is about."""
    probabilities: tuple[float, ...]
    """As the source said them, per horizon where it speaks of horizons."""
    chance: float
    """That it comes true in time."""
    viewer_key: str
    """The same for plans for the same viewing; never shown to anyone."""
    is_bounded: bool
    """Whether its source bounds how many of them there are; of all others the planner does."""
    order_no: int
    """Plans made earlier come first where all else is equal; the planner numbers them."""

    @property
    def headers(self) -> Headers:
        """What requests of its viewer send upstream."""

    def next_want(self, now_s: float) -> Want | None:
        """What should be fetched next. None: nothing is left for now."""

    def wants(self, url: str) -> bool:
        """Whether it still has a use for this object, which is being fetched for it."""
