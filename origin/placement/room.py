"""Whether an edge can follow a plan, by what it says of its disk now and its profile.

A plan is made for the disk of then; before it is put in force, and when an edge says otherwise
later, this is asked.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from nearcast.fleet import EdgeProfile, Storage
from nearcast.placement import EdgePlan
from nearcast.units import format_size
from origin.placement.summary import Plan


def room_of(profile: EdgeProfile, storage: Storage | None) -> Storage:
    """What an edge has for plans: the smaller of what it says now and of what its profile promises,
    as `budget_of` takes it; an operator may give less than the disk has. None: not heard of."""
    if storage is None:
        return Storage(capacity_bytes=profile.capacity_bytes)
    capacity_bytes = min(profile.capacity_bytes, storage.capacity_bytes)
    return msgspec.structs.replace(storage, capacity_bytes=capacity_bytes)


def why_no_room(plan: EdgePlan, storage: Storage) -> str:
    """Why the edge cannot follow its plan; empty: it can."""
    if plan.fill_bytes_max > 0 and storage.is_failing:
        return (
            f"{plan.edge}: its disk takes no writes, and it is to fetch "
            f"{format_size(plan.fill_bytes_max)}; replace the disk, or drain the edge"
        )
    if plan.pinned_bytes_max > storage.capacity_bytes:
        return (
            f"{plan.edge}: the plan pins {format_size(plan.pinned_bytes_max)}, it has room for "
            f"{format_size(storage.capacity_bytes)}; make a new plan"
        )
    return ""


def edges_without_room(plan: Plan, storages: Mapping[str, Storage]) -> tuple[str, ...]:
    """A reason for each edge that cannot follow the plan; edges not heard of are believed."""
    reasons = (why_no_room(one, storages[one.edge]) for one in plan.edges if one.edge in storages)
    return tuple(reason for reason in reasons if reason)
