"""Store what is worth its room."""

from __future__ import annotations

from typing import Annotated

import msgspec

from cache.admission.sketch import Sketch
from nearcast.config import Section

REFUSAL_DECAY = 0.999
"""Halves the bar in 700 refusals: with nothing admitted nothing is evicted, and the bar would stay
where it is for ever."""


class WorthParams(Section, frozen=True, kw_only=True):
    """`cost_per_byte`: fetching an object costs 1 and this for each of its bytes; 1e-6: a megabyte
    costs as much as a request does. `counter_count`: of the sketch, a byte each; four for every
    object worth telling apart. `uses_per_aging`: after so many uses all counts are halved.
    `victim_weight`: of the newest victim in the running mean."""

    cost_per_byte: Annotated[float, msgspec.Meta(ge=0)] = 1e-6
    counter_count: Annotated[int, msgspec.Meta(ge=16, le=2**28)] = 2**20
    uses_per_aging: Annotated[int, msgspec.Meta(ge=16)] = 1_000_000
    victim_weight: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.05


class Worth:
    """Admit an object that saves at least as much per byte as the objects evicted lately.

    What an object saves is its estimated use count x its fetch cost. The victim of the moment
    is not known before the eviction policy lets it go, so the newcomer is compared with a running
    mean over the last victims; until something is evicted, everything is admitted.
    Source: Einziger, Friedman and Manes, "TinyLFU: A Highly Efficient Cache Admission Policy",
    ACM ToS 13(4), 2017, for comparing with the victim by a sketch; cost per byte as in GDSF
    (cache/eviction/gdsf.py).
    """

    def __init__(self, capacity_bytes: int, params: WorthParams | None = None) -> None:
        del capacity_bytes  # room shows in what is evicted
        self._params = params or WorthParams()
        self._sketch = Sketch(self._params.counter_count, self._params.uses_per_aging)
        self._victim_worth = 0.0

    def admits(self, object_id: str, size_bytes: int) -> bool:
        self._sketch.add(object_id)
        if self._worth(object_id, size_bytes) >= self._victim_worth:
            return True
        self._victim_worth *= REFUSAL_DECAY
        return False

    def hit(self, object_id: str) -> None:
        self._sketch.add(object_id)

    def evicted(self, object_id: str, size_bytes: int) -> None:
        gap = self._worth(object_id, size_bytes) - self._victim_worth
        self._victim_worth += self._params.victim_weight * gap

    def _worth(self, object_id: str, size_bytes: int) -> float:
        """Per byte. Empty objects take no room: they count as one byte."""
        per_byte = 1 / (size_bytes or 1) + self._params.cost_per_byte
        return self._sketch.count(object_id) * per_byte
