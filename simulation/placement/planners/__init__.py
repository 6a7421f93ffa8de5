"""Who decides what each edge holds: one file, one line in `table`."""

from simulation.placement.planners.table import PLANNERS

__all__ = ["PLANNERS"]
