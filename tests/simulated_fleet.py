"""A fleet on a virtual clock: edges that heartbeat and look at each other, links that lose probes.

Only what is not ours is made up here (processes that die, a network that loses); who is judged how
is for the real `Fleet` to say. Everything is drawn from one seed.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection
from functools import partial
from typing import Final

import msgspec
import numpy as np

from nearcast.fleet import (
    EdgeProfile,
    Heartbeat,
    HeartbeatAnswer,
    Load,
    Observation,
    Observations,
    Refused,
    Storage,
)
from nearcast.seeds import Seeds
from origin.fleet import (
    ConnectionLost,
    EdgeChanged,
    EdgeStateChanged,
    Fleet,
    HeartbeatRead,
    ProbeAnswered,
    ProbeEdge,
    ProbeOutcome,
    StateRead,
)
from origin.records import EdgeRecord, ObservationRecord

WALL_S: Final = 1_750_000_000.0
PROBE_TIMEOUT_S: Final = 0.8
REPEAT_S: Final = 5.0


def profile_of(name: str, **changes: object) -> EdgeProfile:
    fields: dict[str, object] = {"url": f"http://{name}.example:8080", "capacity_bytes": 10**12}
    return msgspec.convert(fields | changes, EdgeProfile)


def record_of(name: str, *, duty: str = "active", **profile: object) -> EdgeRecord:
    return msgspec.convert(
        {
            "edge": name,
            "profile": msgspec.to_builtins(profile_of(name, **profile)),
            "duty": duty,
            "serial": "01",
            "enrolled_wall_s": WALL_S,
            "changed_wall_s": WALL_S,
        },
        EdgeRecord,
    )


class SimulatedEdge:
    """What an edge does in a fleet: heartbeats, looks, claims."""

    def __init__(self, record: EdgeRecord) -> None:
        self.record = record
        self.name = record.edge
        self.is_running = True
        self.is_silent = False
        """Its power failed: nothing refuses, and no connection breaks."""
        self.boots = 1
        self.number = 0
        self.answer: HeartbeatAnswer | None = None
        self.failures: dict[str, int] = {}
        self.claimed_s: dict[str, float] = {}
        self.client_kbps = 0.0
        self.clock_off_s = 0.0
        self.held: bytes | None = None

    @property
    def boot_id(self) -> str:
        return f"{self.boots:016x}"


class FleetWorld:
    """Edges, one or more origins, and the network between them."""

    def __init__(
        self,
        records: list[EdgeRecord],
        *,
        seed: int = 1,
        loss: float = 0.0,
        origins: int = 1,
        looks: bool = True,
    ) -> None:
        self.now_s = 100.0
        self.random: np.random.Generator = Seeds(seed).stream("tests/fleet")
        self.loss = loss
        self.fleets = [Fleet() for _ in range(origins)]
        self.is_up = [True] * origins
        self.edges = {record.edge: SimulatedEdge(record) for record in records}
        self.cut: set[tuple[str, str]] = set()
        """Pairs (from, to) that cannot reach each other; `origin0` is the first origin."""
        self.changes: list[tuple[float, EdgeStateChanged]] = []
        self.refused: list[Refused] = []
        self.is_database_up = True
        self.after_each: Callable[[], None] | None = None
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self._heartbeats: list[tuple[float, Heartbeat]] = []
        self._observed: list[ObservationRecord] = []
        for fleet in self.fleets:
            for record in records:
                fleet.handle(EdgeChanged(record=record), self.now_s)
        for edge in self.edges.values():
            self.at(self.now_s + self.random.uniform(0, 1), partial(self._beat, edge))
            if looks:
                self.at(self.now_s + self.random.uniform(0, 1), partial(self._look, edge))
        if origins > 1:
            self.at(self.now_s + 1.0, self._share)

    # The clock.

    def at(self, at_s: float, call: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._queue, (at_s, self._order, call))

    def run(self, for_s: float) -> None:
        """Everything that happens within that time, in order."""
        until_s = self.now_s + for_s
        while True:
            deadlines = [
                deadline
                for fleet, is_up in zip(self.fleets, self.is_up, strict=True)
                if is_up and (deadline := fleet.deadline_s()) is not None
            ]
            next_s = min([*deadlines, self._queue[0][0] if self._queue else until_s])
            if next_s > until_s:
                break
            self.now_s = max(self.now_s, next_s)
            if self._queue and self._queue[0][0] <= self.now_s:
                heapq.heappop(self._queue)[2]()
            for fleet, is_up in zip(self.fleets, self.is_up, strict=True):
                if is_up:
                    fleet.advance(self.now_s)
            self._drain()
            if next_s >= until_s and not self._queue:
                break
        self.now_s = until_s

    def _drain(self) -> None:
        for index, fleet in enumerate(self.fleets):
            if not self.is_up[index]:
                continue
            effects = fleet.drain()
            for effect in effects:
                if isinstance(effect, ProbeEdge):
                    self._probe(index, effect)
                else:
                    self.changes.append((self.now_s, effect))
            if effects and self.after_each is not None:
                self.after_each()

    # The network.

    def cut_off(self, one: Collection[str], others: Collection[str]) -> None:
        self.cut |= {(a, b) for a in one for b in others} | {(b, a) for a in one for b in others}

    def _reaches(self, source: str, edge: SimulatedEdge) -> bool:
        return (
            edge.is_running
            and (source, edge.name) not in self.cut
            and self.random.random() >= self.loss
        )

    def _outcome(self, source: str, edge: SimulatedEdge) -> tuple[ProbeOutcome, float]:
        """And how long it takes to know."""
        if self._reaches(source, edge):
            return "ok", 0.02
        if not edge.is_running and not edge.is_silent and (source, edge.name) not in self.cut:
            return "refused", 0.02
        return "timeout", PROBE_TIMEOUT_S

    def _probe(self, index: int, effect: ProbeEdge) -> None:
        outcome, took_s = self._outcome(f"origin{index}", self.edges[effect.edge])
        event = ProbeAnswered(edge=effect.edge, outcome=outcome, rtt_s=took_s)
        self.at(self.now_s + took_s, lambda: self.fleets[index].handle(event, self.now_s))

    # Edges.

    def _origin_of(self, edge: SimulatedEdge) -> int | None:
        """The first that is up and can be reached."""
        for index, is_up in enumerate(self.is_up):
            if is_up and (edge.name, f"origin{index}") not in self.cut:
                return index
        return None

    def _beat(self, edge: SimulatedEdge) -> None:
        interval_s = 1.0 if edge.answer is None else edge.answer.interval_s
        self.at(self.now_s + interval_s, lambda: self._beat(edge))
        index = self._origin_of(edge)
        if not edge.is_running or index is None:
            return
        edge.number += 1
        heartbeat = Heartbeat(
            edge=edge.name,
            boot_id=edge.boot_id,
            sequence_no=edge.number,
            sent_wall_s=self.wall_s + edge.clock_off_s,
            storage=Storage(capacity_bytes=10**12),
            load=Load(client_kbps=edge.client_kbps),
            held_id="" if edge.held is None else "01",
            held=edge.held,
        )
        answer = self.fleets[index].heartbeat(
            heartbeat, certificate_edge=edge.name, received_wall_s=self.wall_s, now_s=self.now_s
        )
        if isinstance(answer, Refused):
            self.refused.append(answer)
        else:
            edge.answer = answer
            if len(self.fleets) > 1:
                self._heartbeats.append((self.wall_s, heartbeat))

    def _look(self, edge: SimulatedEdge) -> None:
        self.at(self.now_s + 1.0, lambda: self._look(edge))
        if not edge.is_running or edge.answer is None:
            return
        for target in edge.answer.probes:
            outcome, took_s = self._outcome(edge.name, self.edges[target.edge])
            is_ok = outcome == "ok"
            self.at(self.now_s + took_s, partial(self._saw, edge, target.edge, is_ok))

    def _saw(self, edge: SimulatedEdge, name: str, is_ok: bool) -> None:
        failures = 0 if is_ok else edge.failures.get(name, 0) + 1
        edge.failures[name] = failures
        claimed_s = edge.claimed_s.get(name)
        if is_ok and claimed_s is not None:
            del edge.claimed_s[name]
            self._tell(edge, name, is_up=True, failures=0)
        elif failures >= 2 and (claimed_s is None or self.now_s - claimed_s >= REPEAT_S):
            edge.claimed_s[name] = self.now_s
            self._tell(edge, name, is_up=False, failures=failures)

    def _tell(self, edge: SimulatedEdge, name: str, *, is_up: bool, failures: int) -> None:
        index = self._origin_of(edge)
        if index is None or not edge.is_running:
            return
        edge.number += 1
        seen = (Observation(edge=name, is_up=is_up, failure_count=failures),)
        said = Observations(
            edge=edge.name, boot_id=edge.boot_id, sequence_no=edge.number, seen=seen
        )
        refused = self.fleets[index].observations(
            said, certificate_edge=edge.name, received_wall_s=self.wall_s, now_s=self.now_s
        )
        assert refused is None
        if len(self.fleets) > 1:
            self._observed.append(
                ObservationRecord(
                    observer=edge.name,
                    edge=name,
                    is_up=is_up,
                    failure_count=failures,
                    seen_wall_s=self.wall_s,
                    origin_id=f"origin{index}",
                )
            )

    # What happens to them.

    @property
    def wall_s(self) -> float:
        return WALL_S + self.now_s

    def kill(self, name: str, *, power: bool = False) -> None:
        """Its process ends: connections break and new ones are refused. `power`: nothing does."""
        edge = self.edges[name]
        edge.is_running, edge.is_silent = False, power
        index = self._origin_of(edge)
        if not power and index is not None:
            self.fleets[index].handle(ConnectionLost(edge=name), self.now_s)
            self._drain()

    def start(self, name: str) -> None:
        edge = self.edges[name]
        edge.is_running, edge.is_silent = True, False
        edge.boots += 1
        edge.number = 0
        edge.failures.clear()
        edge.claimed_s.clear()

    def _share(self) -> None:
        """The database: what one origin received, all others read."""
        self.at(self.now_s + 1.0, self._share)
        if not self.is_database_up:
            return
        event = StateRead(
            wall_s=self.wall_s,
            heartbeats=tuple(
                HeartbeatRead(heartbeat=heartbeat, received_wall_s=wall_s)
                for wall_s, heartbeat in self._heartbeats
            ),
            observations=tuple(self._observed),
        )
        self._heartbeats.clear()
        self._observed.clear()
        for fleet, is_up in zip(self.fleets, self.is_up, strict=True):
            if is_up:
                fleet.handle(event, self.now_s)

    def state(self, name: str, index: int = 0) -> str:
        edge = self.fleets[index].edge(name)
        assert edge is not None
        return edge.state

    def states(self, state: str) -> list[str]:
        """The edges that came to be in `state`, each time."""
        return [change.edge for _, change in self.changes if change.after == state]
