"""The family's table."""

from __future__ import annotations

from cache.eviction.lru import Lru
from cache.eviction.policy import EvictionFactory
from cache.eviction.s3fifo import S3Fifo
from cache.eviction.sieve import Sieve
from nearcast.table import Table

EVICTION_POLICIES: Table[EvictionFactory] = Table(
    "eviction policy",
    {
        "s3fifo": S3Fifo,
        "sieve": Sieve,
        "lru": Lru,
    },
)
