"""The origin's own looks at edges: when each is due, and how many are under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

from nearcast.hashing import key_of
from nearcast.machine import EffectQueue
from origin.fleet.events import Effect, ProbeEdge
from origin.fleet.watched_edge import WatchedEdge

PROBE_TIMEOUT_S: Final = 0.8
"""A new connection and an answer: two round trips of up to 0.4 s."""
PROBE_EVERY_S: Final = 60.0
FIRST_S: Final = 10.0
FIRST_TRIES: Final = 6
"""New edges are probed within this time, and so often if they do not answer: perhaps this origin
has no way to them, which is no fault."""
PROBE_AGAIN_S: Final = 0.1
PROBE_DOUBTED_S: Final = 2.0
PROBE_DEAD_S: Final = 5.0
PROBE_LOST_S: Final = 5.0
"""An answer that has not come by then never will."""
QUICK_FAILURES: Final = 4
"""So many in a row follow each other at once."""
PROBES_MAX: Final = 256
"""Under way at once; others wait for their turn."""
PROBES_ROUTINE_MAX: Final = 64


class Probes:
    """Which edges this origin looks at now."""

    def __init__(self, edges: Mapping[str, WatchedEdge], effects: EffectQueue[Effect]) -> None:
        self._edges = edges
        self._effects = effects
        self._under_way = 0
        self._waiting: deque[str] = deque()

    def next_s(self, edge: WatchedEdge, every_s: float) -> float | None:
        """When something has to be done about it; None while it waits for its turn. `every_s`: how
        often it is looked at without a reason."""
        if edge.probe_started_s is not None:
            return edge.probe_started_s + PROBE_LOST_S
        return None if edge.edge in self._waiting else self._due_s(edge, every_s)

    def start_if_due(self, edge: WatchedEdge, every_s: float, now_s: float) -> None:
        if edge.probe_started_s is not None:
            if now_s - edge.probe_started_s < PROBE_LOST_S:
                return
            self.end(edge, now_s)
        if now_s < self._due_s(edge, every_s):
            return
        is_routine = edge.questioned_s is None
        if self._under_way < (PROBES_ROUTINE_MAX if is_routine else PROBES_MAX):
            self._start(edge, now_s)
        elif is_routine:
            edge.probed_s = now_s  # it is left out of this round
        elif edge.edge not in self._waiting:
            self._waiting.append(edge.edge)

    def end(self, edge: WatchedEdge, now_s: float) -> None:
        """Its answer came, or none will. The next that waits is begun."""
        if edge.probe_started_s is None:
            return
        edge.probe_started_s = None
        edge.probed_s = now_s
        self._under_way -= 1
        while self._waiting and self._under_way < PROBES_MAX:
            other = self._edges.get(self._waiting.popleft())
            if other is not None and other.probe_started_s is None:
                self._start(other, now_s)

    def _start(self, edge: WatchedEdge, now_s: float) -> None:
        edge.probe_started_s = edge.probe_begun_s = now_s
        self._under_way += 1
        self._effects.emit(
            ProbeEdge(edge=edge.edge, url=edge.record.profile.url, timeout_s=PROBE_TIMEOUT_S)
        )

    def _due_s(self, edge: WatchedEdge, every_s: float) -> float:
        asked_s = edge.questioned_s
        urgent_s = edge.urgent_s
        if urgent_s is not None and (edge.probe_begun_s is None or edge.probe_begun_s < urgent_s):
            return urgent_s
        if edge.probed_s is None:
            return edge.joined_s + _spread_s(edge.edge, FIRST_S)
        if asked_s is None:
            if edge.answered_s is None and edge.probe_failures < FIRST_TRIES:
                return edge.probed_s + FIRST_S
            return edge.probed_s + every_s / 2 + _spread_s(edge.edge, every_s / 2)
        if edge.state == "dead":
            return edge.probed_s + PROBE_DEAD_S
        is_failing = 0 < edge.probe_failures < QUICK_FAILURES
        return edge.probed_s + (PROBE_AGAIN_S if is_failing else PROBE_DOUBTED_S)


def _spread_s(edge: str, over_s: float) -> float:
    """A fixed moment of its own, so that not all edges are probed at once."""
    return over_s * (key_of(f"probe/{edge}") % 4096) / 4096
