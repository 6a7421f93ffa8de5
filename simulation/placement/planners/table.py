"""The planners by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from nearcast.table import Table
from simulation.placement.options import Options
from simulation.placement.planners.ewma import ewma, hybrid, yesterday
from simulation.placement.planners.lru import lru
from simulation.placement.planners.nearcast import nearcast
from simulation.placement.planners.oracle import oracle, oracle_hybrid
from simulation.placement.replay import Planner
from simulation.placement.trace import Trace

PLANNERS: Final[Table[Callable[[Trace, float, Options], Planner]]] = Table(
    "planner",
    {
        "lru": lru,
        "yesterday": yesterday,
        "ewma": ewma,
        "hybrid": hybrid,
        "nearcast": nearcast,
        "oracle-hybrid": oracle_hybrid,
        "oracle": oracle,
    },
)
"""Each takes the trace, what one edge's store holds, and the options of `nearcast`."""
