"""The fleet as people and players see it, made of what the cores know now."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlsplit

from nearcast.aio import Pump
from nearcast.fleet import Heartbeat
from origin.control import api
from origin.control.recent import Recent
from origin.control.rows import edge_row, fleet_totals
from origin.control.states import StateHistory
from origin.drivers.control.desk import Desk
from origin.drivers.control.identities import Identities
from origin.drivers.control.sync import Sync
from origin.fleet import (
    EdgeChanged,
    EdgeRemoved,
    EdgeStateChanged,
    Effect,
    Event,
    Fleet,
    PlayerErrors,
)
from origin.records import EdgeRecord
from origin.telemetry.growth import Growth
from origin.telemetry.series import Series


class View:
    """Answers the admin API's questions about edges (`FleetView`)."""

    def __init__(
        self,
        fleet: Fleet,
        pump: Pump[Event, Effect],
        identities: Identities,
        desk: Desk,
        now_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._fleet = fleet
        self._pump = pump
        self._identities = identities
        self._desk = desk
        self._now_s = now_s
        self._wall_s = wall_s
        self._growth = Growth()
        self.recent = Recent()
        self.series = Series()
        self.states = StateHistory()
        self.origin_count = 1
        self.sync: Sync | None = None
        self._hosts: dict[str, str] = {}
        self._figured: set[str] = set()
        """Edges of which there are figures."""

    def heard(self, beat: Heartbeat, received_wall_s: float) -> None:
        self._figured.add(beat.edge)
        grown = self._growth.take(beat, received_wall_s)
        if grown is not None:
            self.recent.take(grown)
            self.series.take(grown)

    def state_changed(self, change: EdgeStateChanged) -> None:
        self._figured.add(change.edge)
        self.states.take(change, self._wall_s())

    def totals(self) -> api.FleetTotals:
        return fleet_totals(
            self._fleet.rows(self._now_s()),
            self.recent,
            wall_s=self._wall_s(),
            plan_id=self._desk.plan_id,
            database_trouble="" if self.sync is None else self.sync.trouble,
            origin_count=self.origin_count,
            refused={str(reason): count for reason, count in self._desk.refusals.items()},
        )

    def rows(self) -> tuple[api.EdgeRow, ...]:
        wall_s = self._wall_s()
        return tuple(
            edge_row(edge, self.recent.sums(edge.edge, wall_s))
            for edge in self._fleet.rows(self._now_s())
        )

    def row(self, edge: str) -> api.EdgeRow | None:
        found = self._fleet.row(edge, self._now_s())
        if found is None:
            return None
        return edge_row(found, self.recent.sums(edge, self._wall_s()))

    def detail(self, edge: str) -> api.EdgeDetail | None:
        record = self._identities.records.get(edge)
        found = self._fleet.row(edge, self._now_s())
        if record is None or found is None:
            return None
        return api.EdgeDetail(
            row=edge_row(found, self.recent.sums(edge, self._wall_s())),
            edge=found,
            enrolled_wall_s=record.enrolled_wall_s,
            changed_wall_s=record.changed_wall_s,
            serial=record.serial,
            note=record.note,
            states=self.states.of(edge),
        )

    def edge_changed(self, record: EdgeRecord) -> None:
        self.records_changed()
        self._pump.feed(EdgeChanged(record=record))

    def forget_edge(self, edge: str) -> None:
        self.records_changed()
        self._pump.feed(EdgeRemoved(edge=edge))

    def records_changed(self) -> None:
        """Read anew, perhaps; what another origin forgot is forgotten here too."""
        self._hosts = {}
        known = self._identities.records
        figured = self._figured | self.series.edges()  # some were only read from the database
        for edge in [edge for edge in figured if edge not in known]:
            self._figured.discard(edge)
            self._growth.forget(edge)
            self.recent.forget(edge)
            self.series.forget(edge)
            self.states.forget(edge)

    # Players' reports

    def edges_by_host(self) -> dict[str, str]:
        """What players may name an edge by: its host, and its id."""
        if not self._hosts:
            for edge, record in self._identities.records.items():
                if not record.revoked:
                    self._hosts[edge] = edge
                    self._hosts[urlsplit(record.profile.url).netloc.lower()] = edge
        return self._hosts

    def player_errors(self, edge: str, count: int) -> None:
        self._pump.feed(PlayerErrors(edge=edge, count=count))
