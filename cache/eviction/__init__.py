"""Which object goes when room is needed: one file per policy, one line in the table."""

from cache.eviction.policies import EVICTION_POLICIES, EvictionParams, build_eviction
from cache.eviction.policy import EvictionPart, EvictionPolicy

__all__ = [
    "EVICTION_POLICIES",
    "EvictionParams",
    "EvictionPart",
    "EvictionPolicy",
    "build_eviction",
]
