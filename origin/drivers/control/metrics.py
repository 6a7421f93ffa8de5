"""The fleet for Prometheus. No edge is a label but where the question is about one edge, and then
there are as many values as edges; titles and viewers never are."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from origin.control.api import EdgeRow
from origin.control.rows import group
from origin.drivers.control.admin.events import EventHub
from origin.drivers.control.desk import Desk
from origin.drivers.control.fleet_port import FleetPort
from origin.drivers.control.plan_clock import PlanClock
from origin.drivers.control.planning import Planning
from origin.drivers.control.players import Players
from origin.drivers.control.public import Public
from origin.drivers.control.sync import Sync
from origin.drivers.control.view import View
from origin.drivers.keeper import Keeper
from origin.drivers.telemetry.metrics import telemetry_metrics
from origin.drivers.telemetry.service import TelemetryService

STATES = ("unknown", "alive", "suspect", "dead", "draining", "maintenance", "revoked")


class ControlCollector(Collector):
    """Read when asked for."""

    def __init__(
        self,
        view: View,
        desk: Desk,
        port: FleetPort,
        sync: Sync,
        players: Players,
        public: Public,
        telemetry: TelemetryService,
        hub: EventHub,
        planning: Planning,
        clock: PlanClock,
        keeper: Keeper,
    ) -> None:
        self._view = view
        self._desk = desk
        self._port = port
        self._sync = sync
        self._players = players
        self._public = public
        self._telemetry = telemetry
        self._hub = hub
        self._planning = planning
        self._clock = clock
        self._keeper = keeper

    def text(self) -> bytes:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        rows = self._view.rows()
        yield from self._fleet_metrics(rows)
        yield from self._edge_metrics(rows)
        yield from self._origin_metrics()

    def _fleet_metrics(self, rows: tuple[EdgeRow, ...]) -> Iterator[Metric]:
        edges = GaugeMetricFamily("nearcast_fleet_edges", "Edges by state", labels=["state"])
        found = [group(row) for row in rows]
        for state in STATES:
            edges.add_metric([state], found.count(state))
        yield edges
        recent = self._view.totals().recent
        for name, value, text in (
            ("client_kbps", recent.client_kbps, "What all edges send to players"),
            ("origin_kbps", recent.origin_kbps, "What all edges fetch from their origins"),
            ("peer_kbps", recent.peer_kbps, "What all edges fetch from each other"),
        ):
            yield GaugeMetricFamily(f"nearcast_fleet_{name}", text, value=value)

    def _edge_metrics(self, rows: tuple[EdgeRow, ...]) -> Iterator[Metric]:
        families = {
            name: GaugeMetricFamily(f"nearcast_fleet_edge_{name}", text, labels=["edge"])
            for name, text in _EDGE_TEXTS.items()
        }
        for row in rows:
            if row.is_revoked:
                continue
            recent = row.recent
            values = {
                "up": float(row.state == "alive"),
                "client_kbps": recent.client_kbps,
                "origin_kbps": recent.origin_kbps,
                "hit_ratio": recent.hit_ratio,
                "prefetch_precision_ratio": recent.prefetch_precision,
                "startup_seconds": recent.startup_s,
                "stall_ratio": recent.stall_ratio,
                "bitrate_kbps": recent.bitrate_kbps,
                "used_bytes": float(row.used_bytes),
                "capacity_bytes": float(row.capacity_bytes),
                "load_ratio": row.load_share,
                "planned_files": float(row.plan_files),
                "planned_files_held": float(row.plan_files_held),
                "telemetry_waiting_bytes": float(row.telemetry_waiting_bytes),
            }
            for name, value in values.items():
                if value is not None:
                    families[name].add_metric([row.edge], value)
        yield from families.values()

    def _origin_metrics(self) -> Iterator[Metric]:
        refused = CounterMetricFamily(
            "nearcast_origin_fleet_refused", "Edges' messages refused, by reason",
            labels=["reason"],
        )  # fmt: skip
        for reason, count in sorted(self._desk.refusals.items()):
            refused.add_metric([reason], count)
        yield refused
        moves = CounterMetricFamily(
            "nearcast_origin_steering_moves", "Answers that sent a player elsewhere, by reason",
            labels=["reason"],
        )  # fmt: skip
        for move, count in sorted(self._players.steering.moves.items()):
            moves.add_metric([move], count)
        yield moves
        broken = CounterMetricFamily(
            "nearcast_origin_tasks_broken", "Work in the background that had to begin anew",
            labels=["task"],
        )  # fmt: skip
        counts = {**self._keeper.broken, **self._telemetry.keeper.broken}
        for task, count in sorted(counts.items()):
            broken.add_metric([task], count)
        yield broken
        plans = CounterMetricFamily(
            "nearcast_origin_plans_refused", "Plans not put in force, by reason", labels=["reason"]
        )
        for obstacle, count in sorted(self._planning.refusals.items()):
            plans.add_metric([obstacle], count)
        yield plans
        yield from telemetry_metrics(self._telemetry)
        listener = self._port.listener
        certificates = CounterMetricFamily(
            "nearcast_origin_fleet_certificates_refused", "Certificates that TLS turned away",
            labels=["reason"],
        )  # fmt: skip
        for why, count in sorted(listener.certificates.counts.items()):
            certificates.add_metric([why], count)
        yield certificates
        is_away = self._sync.away_since_wall_s is not None
        for name, value, text in (
            ("fleet_heartbeats", self._desk.heartbeat_count, "Heartbeats taken"),
            ("fleet_connections_refused", listener.refused_count, "For want of room"),
            ("steering_answers", self._public.steering_count, "Steering answers given"),
            ("cmcd_reports", self._public.report_count, "Lines of players' reports read"),
            ("cmcd_reports_dropped", self._public.dropped_count, "Reports not read"),
            ("plans_made", self._planning.made_count, "Plans made, for whomever"),
            ("plans_missing_bytes", self._planning.missing_bytes, "Should be held, and is missing"),
            ("plans_failed", self._clock.failed_count, "Times the clock's plan did not come off"),
            ("page_readers_dropped", self._hub.dropped_count, "Readers of events that were slow"),
        ):
            yield CounterMetricFamily(f"nearcast_origin_{name}", text, value=value)
        for name, number, text in (
            ("fleet_connections", listener.connection_count, "Edges' connections now"),
            (
                "fleet_zones_unknown",
                self._planning.unknown_zone_count,
                "Edges planned by an offset",
            ),
            ("page_readers", self._hub.reader_count, "Readers of events now"),
            ("database_away", float(is_away), "1 while the database cannot be reached"),
            (
                "clock_ahead_seconds",
                self._sync.clock_ahead_s,
                "By how much this origin's clock is ahead of the database's",
            ),
            ("database_sync_seconds", self._sync.lag_s, "What the last round took"),
        ):
            yield GaugeMetricFamily(f"nearcast_origin_{name}", text, value=number)


_EDGE_TEXTS = {
    "up": "1 while it is alive",
    "client_kbps": "What it sends to players, over the last minute",
    "origin_kbps": "What it fetches from its origins, over the last minute",
    "hit_ratio": "Bytes from its store / bytes to players, over the last minute",
    "prefetch_precision_ratio": "Of what was fetched ahead and decided about, what was used",
    "startup_seconds": "Mean start-up of players, over the last minute",
    "stall_ratio": "Of players' reports those that tell of a stall, over the last minute",
    "bitrate_kbps": "Mean bitrate of players, over the last minute",
    "used_bytes": "Of its store",
    "capacity_bytes": "Of its store",
    "load_ratio": "Of its link to players",
    "planned_files": "Files the plan wants it to hold",
    "planned_files_held": "Of these, those it holds",
    "telemetry_waiting_bytes": "Telemetry it has not shipped yet",
}
