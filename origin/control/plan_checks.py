"""Whether a plan can be put in force now: a plan is made for the hour and the disks of then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from nearcast.fleet import Storage
from origin.placement.room import edges_without_room
from origin.placement.summary import Plan

Obstacle = Literal["expired", "no_room"]
REASONS_SHOWN_MAX: Final = 5


class CannotApply(msgspec.Struct, frozen=True):
    """Why not; `detail` is a sentence for people."""

    reason: Obstacle
    detail: str


def why_not_apply(plan: Plan, storages: Mapping[str, Storage], wall_s: float) -> CannotApply | None:
    """None: it can be. `storages` as they are now (`room_of`); of edges that have none here
    the plan is right."""
    over_s = wall_s - plan.summary.valid_until_wall_s
    if over_s >= 0:
        return CannotApply(
            "expired", f"this plan ended {over_s:.0f} s ago, and edges refuse it: make a new one"
        )
    reasons = edges_without_room(plan, storages)
    if not reasons:
        return None
    shown = "; ".join(reasons[:REASONS_SHOWN_MAX])
    more = len(reasons) - REASONS_SHOWN_MAX
    return CannotApply("no_room", shown if more <= 0 else f"{shown}; and {more} edges more")
