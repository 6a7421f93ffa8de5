"""What the origin says to a heartbeat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import structs

from nearcast.fleet import Heartbeat, HeartbeatAnswer, Target
from origin.fleet.events import PlanInForce
from origin.fleet.watched_edge import WatchedEdge

PROBE_S: Final = 1.0
"""Between two looks of an observer at an edge; `health` counts with it."""
HELD_AGAIN_S: Final = 30.0
"""An edge is not asked oftener what it holds: 120 kB at most."""
HELD_ASKS_PER_S: Final = 5.0
"""Of the whole fleet: 600 kB/s at most."""


class Answers:
    """Answers to heartbeats: the plan in force, the origins, and whom to ask what it holds."""

    def __init__(self) -> None:
        self.plan = PlanInForce(plan_id="", edges=frozenset())
        self.origins: tuple[str, ...] = ()
        self._held_asked_s = 0.0

    def plan_id(self, edge: str) -> str:
        """The plan in force for it; empty: it has no part in one."""
        return self.plan.plan_id if edge in self.plan.edges else ""

    def answer(
        self,
        edge: WatchedEdge,
        heartbeat: Heartbeat,
        targets: Sequence[WatchedEdge],
        received_wall_s: float,
        now_s: float,
        *,
        interval_s: float,
        renew: bool,
    ) -> HeartbeatAnswer:
        """`targets`: whom it is to look at, if they can be."""
        return HeartbeatAnswer(
            interval_s=interval_s,
            wall_s=received_wall_s,
            duty=edge.record.duty,
            plan_id=self.plan_id(edge.edge),
            wants_held=self._wants_held(edge, heartbeat, now_s),
            probes=tuple(
                Target(edge=other.edge, url=other.record.profile.url)
                for other in targets
                if _is_looked_at(other)
            ),
            probe_s=PROBE_S,
            origins=self.origins,
            renew=renew,
            time_zone=edge.record.profile.time_zone,
        )

    def _wants_held(self, edge: WatchedEdge, heartbeat: Heartbeat, now_s: float) -> bool:
        if heartbeat.held is not None or heartbeat.held_id == edge.held_id:
            return False
        if edge.held_asked_s is not None and now_s - edge.held_asked_s < HELD_AGAIN_S:
            return False
        if now_s - self._held_asked_s < 1.0 / HELD_ASKS_PER_S:
            return False
        edge.held_asked_s = self._held_asked_s = now_s
        return True


def _is_looked_at(edge: WatchedEdge) -> bool:
    """An edge that enrolled and was not started yet is not down."""
    return edge.state != "unknown" and edge.record.duty != "maintenance"


def without_held(heartbeat: Heartbeat) -> Heartbeat:
    return heartbeat if heartbeat.held is None else structs.replace(heartbeat, held=None)
