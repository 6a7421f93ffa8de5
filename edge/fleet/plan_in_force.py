"""Which plan the edge follows: the one that the origin named last, while it is valid.

A plan that was refused, or has ended, is not fetched again while it is named. What is valid only
later waits beside what is followed until then. An origin that has said nothing yet changes nothing:
the plan that was kept is followed over a restart.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edge.fleet.events import Follow, PlanMissed, PlanRead
from edge.fleet.origin_time import OriginTime
from nearcast.placement import EdgePlan

RETRY_S: Final = 5.0
RETRY_S_MAX: Final = 300.0


class PlanInForce:
    """Asked what to fetch and what to follow."""

    def __init__(self, time: OriginTime, jitter: np.random.Generator) -> None:
        self._time = time
        self._jitter = jitter
        self._plan: EdgePlan | None = None
        self._coming: EdgePlan | None = None
        self._spent_bytes: dict[str, int] = {}
        self._followed_id = ""
        self._named_id: str | None = None  # by the origin; None: it has said nothing yet
        self._refused_id = ""
        self._is_fetching = False
        self._fetch_due_s = 0.0
        self._fetch_failures = 0

    # -- what happens

    def named(self, plan_id: str, now_s: float) -> None:
        """By the origin, as the one in force; empty: none is."""
        if plan_id != self._named_id:
            self._named_id = plan_id
            self._fetch_due_s = now_s
            self._fetch_failures = 0

    def read(self, event: PlanRead, now_s: float) -> None:
        self._is_fetching = False
        plan = event.plan
        if self._named_id is not None and plan.plan_id != self._named_id:
            return  # another one is in force meanwhile
        self._spent_bytes = {plan.plan_id: event.spent_bytes}
        if plan.valid_from_wall_s > self._time.wall_s(now_s):
            self._coming = plan
        else:
            self._plan, self._coming = plan, None

    def missed(self, event: PlanMissed, now_s: float) -> None:
        self._is_fetching = False
        if event.is_refused:
            self._refused_id = event.plan_id
            return
        self._fetch_failures += 1
        pause_s = min(RETRY_S * 2.0 ** min(self._fetch_failures - 1, 10), RETRY_S_MAX)
        self._fetch_due_s = now_s + pause_s * float(self._jitter.uniform(0.5, 1.0))

    def keys_changed(self) -> None:
        """What was refused may be accepted now."""
        self._refused_id = ""

    # -- what is to be done

    def take_wanted(self, now_s: float) -> str | None:
        """The plan to be fetched now; it is under way then."""
        if not self._wants() or self._fetch_due_s > now_s:
            return None
        self._is_fetching = True
        return self._named_id

    def take_change(self, now_s: float) -> Follow | None:
        """What is to be followed from now on, if it is another."""
        wall_s = self._time.wall_s(now_s)
        if self._coming is not None and self._coming.valid_from_wall_s <= wall_s:
            self._plan, self._coming = self._coming, None
        if self._plan is not None and self._plan.valid_until_wall_s <= wall_s:
            self._refused_id = self._plan.plan_id  # it is over: not to be fetched again
            self._plan = None
        if self._plan is not None and self._named_id == "":
            self._plan = None
        followed_id = self._plan.plan_id if self._plan is not None else ""
        if followed_id == self._followed_id:
            return None
        self._followed_id = followed_id
        return Follow(plan=self._plan, spent_bytes=self._spent_bytes.get(followed_id, 0))

    def due_s(self) -> list[float]:
        """When a plan begins, ends, or is to be fetched."""
        behind_s = self._time.wall_s(0.0)
        due = [self._fetch_due_s] if self._wants() else []
        if self._plan is not None:
            due.append(self._plan.valid_until_wall_s - behind_s)
        if self._coming is not None:
            due.append(self._coming.valid_from_wall_s - behind_s)
        return due

    def _wants(self) -> bool:
        held = {plan.plan_id for plan in (self._plan, self._coming) if plan is not None}
        return (
            bool(self._named_id)
            and not self._is_fetching
            and self._named_id not in held
            and self._named_id != self._refused_id
        )
