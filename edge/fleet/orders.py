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


class KeepSpent(Effect, frozen=True, kw_only=True):
    """So much has come for this plan: a restart must not spend it again."""

    plan_id: str
    spent_bytes: int


class PlacementState(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a plan beside the plan."""

    plan_id: str
    spent_bytes: int
