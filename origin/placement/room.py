"""Whether an edge can follow a plan, by what it says of its disk now.

A plan is made for the disk of then; before it is put in force, and when an edge says otherwise
later, this is asked.
"""

from __future__ import annotations

from collections.abc import Mapping

from nearcast.fleet import Storage
from nearcast.placement import EdgePlan
from nearcast.units import format_size
from origin.placement.summary import Plan


def why_no_room(plan: EdgePlan, storage: Storage) -> str:
    """Why the edge cannot follow its plan; empty: it can."""
    if plan.fill_bytes_max > 0 and storage.is_failing:
        return (
            f"{plan.edge}: its disk takes no writes, and it is to fetch "
            f"{format_size(plan.fill_bytes_max)}; replace the disk, or drain the edge"
        )
    if plan.pinned_bytes_max > storage.capacity_bytes:
        return (
            f"{plan.edge}: the plan pins {format_size(plan.pinned_bytes_max)}, its store has "
            f"{format_size(storage.capacity_bytes)}; make a new plan"
        )
    return ""


def edges_without_room(plan: Plan, storages: Mapping[str, Storage]) -> tuple[str, ...]:
    """A reason for each edge that cannot follow the plan; edges not heard of are believed."""
    reasons = (why_no_room(one, storages[one.edge]) for one in plan.edges if one.edge in storages)
    return tuple(reason for reason in reasons if reason)
