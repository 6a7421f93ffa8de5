"""What the core of an edge is told of a placement plan, and what it wants written down."""

from __future__ import annotations

import msgspec

from edge.effects import Effect
from edge.events import Event
from nearcast.placement import EdgePlan


class PlacementEvent(Event, frozen=True, kw_only=True):
    """Something about placement has changed."""


class PlanFollowed(PlacementEvent, frozen=True, kw_only=True):
    """Go by this plan from now on; None: by none. `spent_bytes`: what came for it before."""

    plan: EdgePlan | None
    spent_bytes: int = 0


class TimeTold(PlacementEvent, frozen=True, kw_only=True):
    """The origin's clock, by which plans are made, is so far ahead of ours."""

    ahead_s: float


class FillsHeld(PlacementEvent, frozen=True, kw_only=True):
    """Whether nothing is to be fetched for the plan: the edge is in maintenance."""

    is_held: bool


class SpentKept(PlacementEvent, frozen=True, kw_only=True):
    """The answer to `KeepSpent`: it was written, or could not be."""

    plan_id: str
    spent_bytes: int
    is_kept: bool


class KeepSpent(Effect, frozen=True, kw_only=True):
    """Write down that so much may have come for this plan: a restart must not spend it again."""

    plan_id: str
    spent_bytes: int


class PlacementState(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of plans beside the plan."""

    plan_id: str
    spent_bytes: int
    others: dict[str, int] = {}
    """What was spent of plans that were followed before, by id, the latest last: one of them may
    be in force again."""
