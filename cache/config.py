"""How much is kept and by which policies."""

from __future__ import annotations

from typing import Annotated

import msgspec

from cache.admission import AdmissionParams
from cache.eviction import EvictionParams
from nearcast.config import Section


class CacheConfig(Section, frozen=True, kw_only=True):
    """How much is kept and by which policies.

    `index_bytes_max` bounds what is known of the objects, which is always in RAM: they may be tiny,
    and an address that nobody has heard of costs a client nothing to invent.
    """

    capacity_bytes: Annotated[int, msgspec.Meta(gt=0)] = 10_000_000_000
    memory_capacity_bytes: Annotated[int, msgspec.Meta(ge=0)] = 256_000_000
    memory_object_bytes_max: Annotated[int, msgspec.Meta(ge=0)] = 4_000_000
    prefetch_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.3
    index_bytes_max: Annotated[int, msgspec.Meta(gt=0)] = 500_000_000
    eviction: str = "s3fifo"
    admission: str = "always"
    eviction_params: EvictionParams = EvictionParams()
    admission_params: AdmissionParams = AdmissionParams()
