"""The fleet as one machine: what edges say goes in, their states and answers come out."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Set
from typing import Final

from nearcast import held_digest
from nearcast.fleet import (
    Heartbeat,
    HeartbeatAnswer,
    Observations,
    Refused,
)
from nearcast.machine import EffectQueue
from origin.fleet.admission import (
    count_refusal,
    heartbeat_refused,
    identity_refused,
    observations_refused,
)
from origin.fleet.answers import Answers, without_held
from origin.fleet.events import (
    ConnectionLost,
    EdgeChanged,
    EdgeRemoved,
    Effect,
    Event,
    FleetEdge,
    OriginsKnown,
    PlanInForce,
    PlayerErrors,
    ProbeAnswered,
    StateRead,
)
from origin.fleet.judging import Judging
from origin.fleet.observers import Observers
from origin.fleet.rows import row_of
from origin.fleet.watched_edge import PAST_BOOTS_MAX, WatchedEdge
from origin.records import EdgeRecord

FRESH_S: Final = 60.0
"""A heartbeat in the database that is no older says that the edge is alive."""


class Fleet:
    """All edges that have enrolled. Memory is bounded by their number: each keeps its newest
    heartbeat, at most 120 kB of what it holds, and what three observers said."""

    def __init__(self) -> None:
        self._edges: dict[str, WatchedEdge] = {}
        self._observers = Observers()
        self._effects: EffectQueue[Effect] = EffectQueue()
        self._judging = Judging(self._edges, self._observers, self._effects)
        self._answers = Answers()
        self.generation = 0
        """Grows when an edge comes, goes or gets another profile."""

    def handle(self, event: Event, now_s: float) -> None:
        match event:
            case EdgeChanged():
                self._put((event.record,), now_s)
            case EdgeRemoved():
                self._remove(event.edge, now_s)
            case PlanInForce():
                self._answers.plan = event
            case OriginsKnown():
                self._answers.origins = event.urls
            case StateRead():
                self._read(event, now_s)
            case _:
                self._handle_sign(event, now_s)

    def _handle_sign(
        self, event: ConnectionLost | ProbeAnswered | PlayerErrors, now_s: float
    ) -> None:
        edge = self._edges.get(event.edge)
        if edge is None:
            return
        match event:
            case ConnectionLost():
                self._judging.connection_lost(edge, now_s)
            case ProbeAnswered():
                self._judging.probed(edge, event, now_s)
            case PlayerErrors():
                self._judging.players_failed(edge, event.count, now_s)

    def advance(self, now_s: float) -> None:
        self._judging.advance(now_s)

    def deadline_s(self) -> float | None:
        return self._judging.deadline_s()

    def drain(self) -> list[Effect]:
        return self._effects.drain()

    # What edges ask.

    def heartbeat(
        self,
        heartbeat: Heartbeat,
        *,
        certificate_edge: str,
        received_wall_s: float,
        now_s: float,
        renew: bool = False,
    ) -> HeartbeatAnswer | Refused:
        """Take a heartbeat in, or say why not. `renew`: its certificate should be renewed."""
        edge = self._edges.get(heartbeat.edge)
        refused = identity_refused(heartbeat.edge, certificate_edge, edge)
        if refused is not None or edge is None:
            return self._refuse(refused, None)
        intervals = None
        if edge.heartbeat_s is not None:
            intervals = (now_s - edge.heartbeat_s) / self._judging.witnesses.interval_s
        refused = heartbeat_refused(heartbeat, edge, received_wall_s, intervals)
        if refused is not None:
            if refused.error == "clock":
                edge.clock_offset_s = heartbeat.sent_wall_s - received_wall_s
            return self._refuse(refused, edge)
        edge.through_other = False
        self._take(edge, heartbeat, received_wall_s, now_s, now_s)
        targets = [self._edges[name] for name in sorted(self._observers.watched_by(edge.edge))]
        interval_s = self._judging.witnesses.interval_s
        return self._answers.answer(
            edge, heartbeat, targets, received_wall_s, now_s, interval_s=interval_s, renew=renew
        )

    def observations(
        self,
        said: Observations,
        *,
        certificate_edge: str,
        received_wall_s: float,
        now_s: float,
    ) -> Refused | None:
        """Take in what an edge sees of others. What it was not asked to look at does not count."""
        observer = self._edges.get(said.edge)
        refused = identity_refused(said.edge, certificate_edge, observer)
        if refused is not None or observer is None:
            return self._refuse(refused, None)
        refused = observations_refused(said, observer)
        if refused is not None:
            return self._refuse(refused, observer)
        observer.observed_boot_id, observer.observed_no = said.boot_id, said.sequence_no
        self._judging.spoke(observer, now_s)
        seen = [(one.edge, one.is_up, now_s - one.age_s) for one in said.seen]
        self._claim(said.edge, seen, now_s)
        return None

    def watched_by(self, observer: str) -> Set[str]:
        """Whom an edge was asked to look at: what it says of others does not count."""
        return self._observers.watched_by(observer)

    def _claim(self, observer: str, seen: list[tuple[str, bool, float]], now_s: float) -> None:
        """All claims are taken before any is weighed: whether the observer sees most of what it
        looks at as down is known by then."""
        watched = self._observers.watched_by(observer)
        edges = [(self._edges[name], is_up, at_s) for name, is_up, at_s in seen if name in watched]
        for edge, is_up, at_s in edges:
            self._judging.claimed(edge, observer, not is_up, at_s)
        for edge, _, _ in edges:
            self._judging.claims_changed(edge, now_s)
        if edges and observer in self._edges:
            self._judging.review(self._edges[observer], now_s)

    def _take(
        self,
        edge: WatchedEdge,
        heartbeat: Heartbeat,
        received_wall_s: float,
        heard_s: float,
        now_s: float,
    ) -> None:
        last = edge.heartbeat
        if last is not None and last.boot_id != heartbeat.boot_id:
            edge.past_boots = [*edge.past_boots[1 - PAST_BOOTS_MAX :], last.boot_id]
        if heartbeat.held is not None:
            edge.held, edge.held_id = held_digest.unpack(heartbeat.held), heartbeat.held_id
            heartbeat = without_held(heartbeat)
        edge.heartbeat = heartbeat
        edge.clock_offset_s = heartbeat.sent_wall_s - received_wall_s
        edge.heartbeat_s = heard_s if edge.heartbeat_s is None else max(edge.heartbeat_s, heard_s)
        self._judging.heard(edge, heard_s, now_s)

    def _refuse(self, refused: Refused | None, edge: WatchedEdge | None) -> Refused:
        assert refused is not None
        if edge is not None:
            count_refusal(edge.refused, refused)
        return refused

    # What the database says.

    def _read(self, event: StateRead, now_s: float) -> None:
        self._judging.witnesses.read_s = now_s
        if event.edges is not None:
            there = {record.edge for record in event.edges}
            for name in [name for name in self._edges if name not in there]:
                self._remove(name, now_s)
            self._put(event.edges, now_s)
        for read in event.heartbeats:
            self._read_heartbeat(read.heartbeat, read.received_wall_s, event.wall_s, now_s)
        by_observer: dict[str, list[tuple[str, bool, float]]] = {}
        for one in event.observations:
            at_s = now_s - max(0.0, event.wall_s - one.seen_wall_s)
            by_observer.setdefault(one.observer, []).append((one.edge, one.is_up, at_s))
        for observer, seen in by_observer.items():
            self._claim(observer, seen, now_s)

    def _read_heartbeat(
        self, heartbeat: Heartbeat, received_wall_s: float, wall_s: float, now_s: float
    ) -> None:
        edge = self._edges.get(heartbeat.edge)
        age_s = max(0.0, wall_s - received_wall_s)
        if edge is None or edge.record.revoked or heartbeat.boot_id in edge.past_boots:
            return
        last = edge.heartbeat
        if last is not None and last.boot_id == heartbeat.boot_id:
            if heartbeat.sequence_no <= last.sequence_no:
                return
        elif edge.heartbeat_s is not None and now_s - age_s <= edge.heartbeat_s:
            return
        edge.through_other = True
        if age_s > FRESH_S:
            # From before this origin was started: what it said then is shown, it proves nothing.
            edge.heartbeat, edge.heartbeat_s = without_held(heartbeat), now_s - age_s
            edge.reason = "not heard since this origin started"
            self._judging.review(edge, now_s)
        else:
            self._take(edge, heartbeat, received_wall_s, now_s - age_s, now_s)

    def _put(self, records: tuple[EdgeRecord, ...], now_s: float) -> None:
        changed: list[WatchedEdge] = []
        anew: list[WatchedEdge] = []  # of these, what was seen before says nothing
        for record in records:
            edge = self._edges.get(record.edge)
            if edge is None or (edge.record.revoked and not record.revoked):
                self._edges[record.edge] = edge = WatchedEdge(record, now_s)
                anew.append(edge)
            elif edge.record != record:
                before, edge.record = edge.record, record
                is_elsewhere = before.profile.url != record.profile.url
                if _is_idle(before) != _is_idle(record) or is_elsewhere:
                    anew.append(edge)
                elif before.profile != record.profile:
                    changed.append(edge)
        changed += anew
        if not changed:
            return
        self.generation += 1
        self._observers.put(
            {edge.edge: edge.record.profile.cluster for edge in changed if not edge.record.revoked}
        )
        for edge in anew:
            if edge.record.revoked:
                self._observers.remove(edge.edge)
            if _is_idle(edge.record):
                self._judging.left(edge, now_s)
            else:
                self._judging.joined(edge, now_s)

    def _remove(self, name: str, now_s: float) -> None:
        edge = self._edges.pop(name, None)
        if edge is not None:
            self._observers.remove(name)
            self._judging.left(edge, now_s)
            self.generation += 1

    # What others ask.

    def edge(self, name: str) -> WatchedEdge | None:
        return self._edges.get(name)

    def edges(self) -> Iterator[WatchedEdge]:
        """In the order they came to be known."""
        return iter(self._edges.values())

    def rows(self, now_s: float) -> tuple[FleetEdge, ...]:
        """All edges as people see them, by name."""
        return tuple(self._row(self._edges[name], now_s) for name in sorted(self._edges))

    def row(self, name: str, now_s: float) -> FleetEdge | None:
        edge = self._edges.get(name)
        return None if edge is None else self._row(edge, now_s)

    def held_titles(self, name: str) -> array[int] | None:
        """Sums (nearcast.held_digest); None where what it says at present is not known here."""
        edge = self._edges.get(name)
        if edge is None or edge.heartbeat is None or edge.heartbeat.held_id != edge.held_id:
            return None
        return edge.held

    def _row(self, edge: WatchedEdge, now_s: float) -> FleetEdge:
        return row_of(
            edge,
            now_s,
            observers=self._observers.of(edge.edge),
            sees_most_down=self._judging.witnesses.sees_most_down(edge.edge),
            plan_id=self._answers.plan_id(edge.edge),
        )


def _is_idle(record: EdgeRecord) -> bool:
    """Nobody waits to hear of it."""
    return record.revoked or record.duty == "maintenance"
