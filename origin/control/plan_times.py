"""When the clock makes a plan.

Each `interval_s`, counted from the newest plan that counts: the clock's own last one, or the one in
force, whoever made it. What somebody only looked at counts for nothing. Sooner when edges came or
went, while nothing could be planned yet, and when the last one could not be put in force (but for
another that was put in force while it was made).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

REPLAN_S: Final = 300.0
"""Between two plans by the clock, however much happens."""
FAILURES_MAX: Final = 16
"""Doublings of the pause; far beyond any interval by then."""


class KnownPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What the clock has to know of a plan."""

    made_wall_s: float
    valid_until_wall_s: float
    applied_wall_s: float | None = None
    is_proposed: bool = False
    edges: frozenset[str] = frozenset()
    file_count: int = 0
    """Of all edges."""


def may_try_wall_s(tried_wall_s: float, failure_count: int, interval_s: float) -> float:
    """When the next may be tried at the earliest; `failure_count` of them failed in a row."""
    doubled_s: float = REPLAN_S * 2 ** min(failure_count, FAILURES_MAX)
    return tried_wall_s + min(doubled_s, max(interval_s, REPLAN_S))


def is_due(
    plans: Sequence[KnownPlan],
    *,
    edges: frozenset[str],
    wall_s: float,
    interval_s: float,
    applies: bool,
) -> bool:
    """`plans`: the clock's last and the one in force, where there are such; `applies`: the clock's
    are put in force at once."""
    # One from the future was made by a clock that was wrong: it must not stop planning until then.
    plans = [plan for plan in plans if plan.made_wall_s <= wall_s + REPLAN_S]
    if not plans:
        return True
    newest = max(plans, key=lambda plan: plan.made_wall_s)
    age_s = wall_s - newest.made_wall_s
    if age_s < REPLAN_S:
        return False
    # One that is valid for less than the interval has to be followed by another sooner.
    half_s = (newest.valid_until_wall_s - newest.made_wall_s) / 2
    if age_s >= min(interval_s, half_s):
        return True
    was_overtaken = any((plan.applied_wall_s or 0.0) >= newest.made_wall_s for plan in plans)
    was_not_applied = applies and newest.is_proposed and not was_overtaken
    return was_not_applied or not newest.file_count or newest.edges != edges
