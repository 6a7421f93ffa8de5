"""Store what is small beside the tier."""

from __future__ import annotations

from typing import Annotated

import msgspec

from nearcast.config import Section


class SizeLimitParams(Section, frozen=True, kw_only=True):
    """`object_share_max`: of the tier's bytes, for one object."""

    object_share_max: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.02


class SizeLimit:
    """Admit objects up to a share of the tier, so that one download cannot push out an evening.

    The threshold is fixed. Tuning it to the traffic, as AdaptSize does (Berger et al., NSDI 2017),
    raises object hits but loses byte hits, which is what an edge for video is for.
    """

    def __init__(self, capacity_bytes: int, params: SizeLimitParams | None = None) -> None:
        self._size_bytes_max = capacity_bytes * (params or SizeLimitParams()).object_share_max

    def admits(self, object_id: str, size_bytes: int) -> bool:
        return size_bytes <= self._size_bytes_max

    def hit(self, object_id: str) -> None:
        pass

    def evicted(self, object_id: str, size_bytes: int) -> None:
        pass
