"""Which object goes when room is needed: one file per policy, one line in the table."""

from cache.eviction.policies import EVICTION_POLICIES
from cache.eviction.policy import EvictionPolicy

__all__ = ["EVICTION_POLICIES", "EvictionPolicy"]
