"""Which object goes when room is needed: one file per policy, one line in the table."""

from cache.eviction.policies import EVICTION_POLICIES, EvictionParams, build_eviction
from cache.eviction.policy import Belonging, EvictionPart, EvictionPolicy, Expecting

__all__ = [
    "EVICTION_POLICIES",
    "Belonging",
    "EvictionParams",
    "EvictionPart",
    "EvictionPolicy",
    "Expecting",
    "build_eviction",
]
