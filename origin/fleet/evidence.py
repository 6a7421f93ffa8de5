"""What is known of an edge at one time, counted for `health.judge`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from origin.fleet.contacts import Contacts
from origin.fleet.health import WITNESS_S, Evidence, Surroundings
from origin.fleet.observers import Observers
from origin.fleet.probing import PROBE_EVERY_S
from origin.fleet.watched_edge import WatchedEdge

HEARTBEATS_PER_S_MAX: Final = 200.0
"""Of the whole fleet: a fifth of a core at a millisecond each, TLS and JSON with them."""
INTERVAL_S_MIN: Final = 1.0
SHARED_LAG_S: Final = 2.5
"""What another origin hears is in the database within a second, and read within another."""
READ_S: Final = 5.0
"""A database that was not read for so long is away."""
LOOK_BLIND_S: Final = 1.0
LOOKS_PER_S_MAX: Final = 200.0
"""Of this origin, at edges whose heartbeats it cannot read."""
NOTICE_S: Final = 3.0
"""By then an observer would have said something."""
REACHED_S: Final = 3_600.0
"""An edge that answered within this time can be reached by this origin."""
SILENT_INTERVALS: Final = 4.0


class Witnesses:
    """Counts what the witnesses of an edge say. Every call is O(observers)."""

    def __init__(
        self, edges: Mapping[str, WatchedEdge], observers: Observers, contacts: Contacts
    ) -> None:
        self._edges = edges
        self._observers = observers
        self._contacts = contacts
        self.read_s: float | None = None
        """When the database was read last."""

    @property
    def interval_s(self) -> float:
        """Between two heartbeats of an edge."""
        return max(INTERVAL_S_MIN, len(self._observers) / HEARTBEATS_PER_S_MAX)

    def weigh(self, edge: WatchedEdge, now_s: float) -> tuple[Evidence, Surroundings]:
        asked_s = edge.questioned_s if edge.questioned_s is not None else now_s
        claims = doubtful = silent = 0
        first_s = asked_s  # claims may have stood for long when the question comes up again
        for observer in self._observers.of(edge.edge):
            claim = edge.claims.get(observer)
            if claim is not None and claim.is_down:
                first_s = min(first_s, claim.since_s)
                if self.sees_most_down(observer):
                    doubtful += 1
                else:
                    claims += 1
            elif self._could_have_noticed(observer, asked_s, now_s):
                silent += 1
        # A network that never let this origin through says nothing by not doing so now.
        can_reach = self.is_reachable(edge, now_s)
        quiet = self.is_quiet(edge, now_s)
        heartbeat_s = edge.heartbeat_s
        evidence = Evidence(
            claims=claims,
            doubtful_claims=doubtful,
            silent_observers=silent,
            probe_failures=edge.probe_failures if can_reach else 0,
            is_refused=(edge.was_refused or edge.is_another_there) and can_reach,
            is_another_there=edge.is_another_there,
            is_probe_ok=edge.probe_failures == 0
            and edge.probe_ok_s is not None
            and edge.probe_ok_s >= asked_s,
            is_quiet=quiet,
            is_silent_long=quiet and self.silence_s(edge, now_s) > self.silent_long_s(edge),
            is_blind=self.is_blind(edge, now_s),
            is_unseen=not can_reach and now_s - asked_s >= WITNESS_S,
            is_heard=not quiet and heartbeat_s is not None and heartbeat_s >= first_s,
            wrong_claims=self._wrong_claims(edge),
        )
        around = Surroundings(
            fleet_size=len(self._contacts),
            others_heard=self._contacts.others_heard(edge.edge, asked_s),
            silent_share=self._contacts.silent_share(now_s, self.overdue_s(edge) + SHARED_LAG_S),
        )
        return evidence, around

    def sees_most_down(self, observer: str) -> bool:
        """Whether it claims so much that it is the one to doubt."""
        down = watched = 0
        for name in self._observers.watched_by(observer):
            other = self._edges[name]
            if other.state in ("alive", "suspect") and other.record.duty != "maintenance":
                watched += 1
                claim = other.claims.get(observer)
                down += claim is not None and claim.is_down
        return down >= 2 and 2 * down > watched

    def _wrong_claims(self, edge: WatchedEdge) -> int:
        """How many of its claims are contradicted, if it claims most of what it looks at."""
        if not self.sees_most_down(edge.edge):
            return 0
        wrong = 0
        for name in self._observers.watched_by(edge.edge):
            other = self._edges[name]
            claim = other.claims.get(edge.edge)
            if claim is not None and claim.is_down and other.probe_failures == 0:
                wrong += other.answered_s is not None and other.answered_s >= claim.at_s
        return wrong if wrong >= 2 else 0

    def _could_have_noticed(self, observer: str, asked_s: float, now_s: float) -> bool:
        other = self._edges.get(observer)
        if other is None or other.heartbeat_s is None or other.state not in ("alive", "suspect"):
            return False
        return other.heartbeat_s >= asked_s + NOTICE_S and not self.is_quiet(other, now_s)

    def is_reachable(self, edge: WatchedEdge, now_s: float) -> bool:
        return edge.answered_s is not None and now_s - edge.answered_s < REACHED_S

    def overdue_s(self, edge: WatchedEdge) -> float:
        lag_s = SHARED_LAG_S if edge.through_other else 0.0
        return 1.5 * self.interval_s + 0.5 + lag_s

    def silent_long_s(self, edge: WatchedEdge) -> float:
        return SILENT_INTERVALS * self.overdue_s(edge)

    def silence_s(self, edge: WatchedEdge, now_s: float) -> float:
        heard_s = edge.grace_s if edge.heartbeat_s is None else max(edge.heartbeat_s, edge.grace_s)
        return now_s - heard_s

    def is_quiet(self, edge: WatchedEdge, now_s: float) -> bool:
        if self.is_blind(edge, now_s):
            return False  # it may well speak to the other origin: we cannot know
        return edge.lost_s is not None or self.silence_s(edge, now_s) > self.overdue_s(edge)

    def is_blind(self, edge: WatchedEdge, now_s: float) -> bool:
        """Whether it speaks to another origin while the database cannot be read."""
        blind_s = self.blind_from_s(edge)
        return blind_s is not None and now_s > blind_s

    def blind_from_s(self, edge: WatchedEdge) -> float | None:
        """When that begins, if nothing is read by then; None: it speaks to this origin."""
        if not edge.through_other:
            return None
        return -math.inf if self.read_s is None else self.read_s + READ_S

    def look_every_s(self, edge: WatchedEdge, now_s: float) -> float:
        """Between two looks of this origin at it without a reason."""
        if not self.is_blind(edge, now_s):
            return PROBE_EVERY_S
        return max(LOOK_BLIND_S, len(self._edges) / LOOKS_PER_S_MAX)
