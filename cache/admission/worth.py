"""Store what is worth its room."""

from __future__ import annotations

import math
from typing import Annotated

import msgspec

from cache.admission.sketch import Sketch
from nearcast.config import Section

REFUSAL_STEP = 0.001
"""Halves the bar in 700 refusals: with nothing admitted nothing is evicted, and the bar would stay
where it is for ever."""

USES_PER_AGING_MAX = 10_000_000
"""Until something was evicted, and for tiers of a great many objects."""


class WorthParams(Section, frozen=True, kw_only=True):
    """`cost_per_byte`: fetching an object costs 1 and this for each of its bytes; 1e-5: 100 kB cost
    as much as a request does. `counter_count`: of the sketch, a byte each; four for every object
    worth telling apart. `uses_per_object`: all counts are halved after so many uses for each
    object the tier has room for. `victim_weight`: of the newest victim in the running means."""

    cost_per_byte: Annotated[float, msgspec.Meta(ge=0)] = 1e-5
    counter_count: Annotated[int, msgspec.Meta(ge=16, le=2**28)] = 2**20
    uses_per_object: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    victim_weight: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.05


class Worth:
    """Admit an object that saves at least as much per byte as the objects evicted lately.

    What an object saves is its estimated use count x its fetch cost. The victim of the moment
    is not known before the eviction policy lets it go, so the newcomer is compared with a running
    mean over the last victims; until something is evicted, everything is admitted. The mean is
    the geometric one: a few tiny victims, worth a thousand times as much per byte as the others,
    would else keep everything out.
    Source: Einziger, Friedman and Manes, "TinyLFU: A Highly Efficient Cache Admission Policy",
    ACM ToS 13(4), 2017, for comparing with the victim by a sketch; cost per byte as in GDSF
    (cache/eviction/gdsf.py).
    """

    def __init__(self, capacity_bytes: int, params: WorthParams | None = None) -> None:
        self._capacity_bytes = capacity_bytes
        self._params = params or WorthParams()
        self._sketch = Sketch(self._params.counter_count, USES_PER_AGING_MAX)
        self._victim_bytes: float | None = None
        self._bar: float | None = None  # the logarithm of what the last victims were worth

    def admits(self, object_id: str, size_bytes: int) -> bool:
        self._sketch.add(object_id)
        if self._bar is None or self._worth(object_id, size_bytes) >= self._bar:
            return True
        self._bar -= REFUSAL_STEP
        return False

    def hit(self, object_id: str) -> None:
        self._sketch.add(object_id)

    def evicted(self, object_id: str, size_bytes: int) -> None:
        worth = self._worth(object_id, size_bytes)
        if self._bar is None or self._victim_bytes is None:
            self._bar, self._victim_bytes = worth, float(size_bytes)
        self._bar += self._params.victim_weight * (worth - self._bar)
        self._victim_bytes += self._params.victim_weight * (size_bytes - self._victim_bytes)
        object_count = self._capacity_bytes / max(self._victim_bytes, 1.0)
        uses = int(self._params.uses_per_object * object_count)
        self._sketch.uses_per_aging = min(max(uses, 1), USES_PER_AGING_MAX)

    def _worth(self, object_id: str, size_bytes: int) -> float:
        """Per byte, as a logarithm. Empty objects count as one byte, forgotten ones as a use."""
        per_byte = 1 / (size_bytes or 1) + self._params.cost_per_byte
        return math.log(max(self._sketch.count(object_id), 1) * per_byte)
