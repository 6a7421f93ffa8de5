"""The family's table, and the settings that follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cache.eviction.arc import Arc, ArcParams
from cache.eviction.expected import Expected
from cache.eviction.gdsf import Gdsf, GdsfParams
from cache.eviction.hopes import ExpectedParams
from cache.eviction.lru import Lru
from cache.eviction.policy import EvictionPart, EvictionPolicy
from cache.eviction.s3fifo import S3Fifo, S3FifoParams
from cache.eviction.sieve import Sieve
from nearcast.config import Section
from nearcast.table import Table, sections

EVICTION_POLICIES: Table[EvictionPart] = Table(
    "eviction policy",
    {
        "s3fifo": EvictionPart(S3FifoParams, S3Fifo),
        "sieve": EvictionPart(Section, Sieve),
        "lru": EvictionPart(Section, Lru),
        "arc": EvictionPart(ArcParams, Arc),
        "gdsf": EvictionPart(GdsfParams, Gdsf),
        "expected": EvictionPart(ExpectedParams, Expected),
    },
)

if TYPE_CHECKING:
    EvictionParams = Section
else:
    EvictionParams = sections(
        "EvictionParams",
        {name: EVICTION_POLICIES.get(name).params for name in EVICTION_POLICIES},
        __name__,
    )


def build_eviction(
    name: str, capacity_bytes: int, params: EvictionParams | None = None
) -> EvictionPolicy:
    """The policy called `name` for a tier of that many bytes. Raises ConfigError that lists the
    names there are."""
    part = EVICTION_POLICIES.get(name)
    return part.build(capacity_bytes, part.params() if params is None else getattr(params, name))
