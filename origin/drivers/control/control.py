"""Puts the control plane of an origin together, and keeps it going.

`start` opens the database, makes what is not there yet (the authority, keys, the first token),
reads what is known of the fleet and opens the two ports. From then on three things go round: edges
and people ask, `Sync` keeps in step with the database, and once a second readers of the page are
told what changed.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import secrets
import ssl
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Final

from nearcast.aio import Pump
from nearcast.clock import SystemClock
from nearcast.descriptors import raise_descriptor_limit
from nearcast.errors import InputError, NearcastError
from nearcast.fleet import Heartbeat
from nearcast.server_tls import ServerTls
from origin.config import AdminTlsConfig, OriginConfig
from origin.control.access import token_digest
from origin.drivers.control.admin.access_routes import AccessRoutes, make_token
from origin.drivers.control.admin.events import EventHub
from origin.drivers.control.admin.fleet_routes import FleetRoutes
from origin.drivers.control.admin.login import Login
from origin.drivers.control.admin.plan_routes import PlanRoutes
from origin.drivers.control.admin.port import AdminPort
from origin.drivers.control.admin.series_routes import SeriesRoutes
from origin.drivers.control.admin.title_routes import Catalogue, TitleRoutes
from origin.drivers.control.admin_place import AdminPlace, write_place
from origin.drivers.control.desk import Desk
from origin.drivers.control.fleet_port import FleetPort, tls_context
from origin.drivers.control.identities import Identities
from origin.drivers.control.listener import shown_address
from origin.drivers.control.metrics import ControlCollector
from origin.drivers.control.page import WebPage
from origin.drivers.control.plan_clock import PlanClock
from origin.drivers.control.planning import Planning
from origin.drivers.control.players import Players
from origin.drivers.control.ports import ADMIN_PORT_ABOVE, FLEET_PORT_ABOVE, opened
from origin.drivers.control.probes import Prober
from origin.drivers.control.public import Public
from origin.drivers.control.series_keeper import SeriesKeeper
from origin.drivers.control.sync import Sync
from origin.drivers.control.token_file import TOKEN_FILE, made_or_read
from origin.drivers.control.upkeep import Upkeep
from origin.drivers.control.view import View
from origin.drivers.keeper import Keeper
from origin.drivers.state import ControlStore
from origin.drivers.telemetry.service import TelemetryService
from origin.fleet import (
    EdgeStateChanged,
    Effect,
    Event,
    Fleet,
    OriginsKnown,
    PlanInForce,
    ProbeEdge,
    StateRead,
)
from origin.records import OriginRecord, PlanHead
from origin.steering import Steering

logger = logging.getLogger(__name__)
# It tells of every step and plugin; what fails, it raises.
logging.getLogger("alembic").setLevel(logging.WARNING)

TOKEN_VALID_S: Final = 10 * 365 * 86_400.0
CERTIFICATE_S: Final = 86_400.0
"""The fleet port gets a new certificate so often."""
FIGURES_S: Final = 1.0


class Control:
    """`start`, then `close`. Make it inside the running loop."""

    def __init__(self, origin: OriginConfig, public: Public, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._origin = origin
        self._config = config = origin.control
        self._public = public
        self._folder = folder = Path(origin.library)
        self._clock = SystemClock()
        self._keeper = Keeper()
        self._store: ControlStore | None = None
        self._fleet_port: FleetPort | None = None
        self._admin_port: AdminPort | None = None
        self._telemetry: TelemetryService | None = None
        self._prober: Prober | None = None
        self._pump: Pump[Event, Effect] | None = None
        self._sync: Sync | None = None
        self.origin_id: Final = secrets.token_hex(8)
        self.hub: Final = EventHub(self.origin_id)
        self._origin_urls: tuple[str, ...] = ()
        self._beat_edges: set[str] = set()
        self.players: Players | None = None
        self._planning: Planning | None = None
        self._collector: ControlCollector | None = None
        self.admin_url = ""
        self.fleet_url = ""
        self.token_file = Path(config.admin_token_file or folder / TOKEN_FILE)

    async def start(self, content: tuple[str, int]) -> None:
        """`content` is where the origin's content is. Raises ConfigError, and StateUnavailable
        when the database cannot be reached."""
        config, keeper = self._config, self._keeper
        admin_tls = _admin_tls(config.admin_tls)
        store = self._store = await ControlStore.open(config.database, self._folder)
        await self._make_token(store)
        identities = self._identities = await Identities.open(store, self._origins)
        fleet = self._fleet = Fleet()
        pump = self._pump = Pump(fleet, self._perform, self._clock)
        self._prober = Prober()
        self._telemetry = TelemetryService(
            store, self._origin, holder=self.origin_id, wall_s=time.time, is_known=self._is_known
        )
        desk = self._desk = Desk(
            identities, store, fleet, pump, self._telemetry, self._heard, self.origin_id
        )
        view = self.view = View(fleet, pump, identities, desk)
        players = self.players = Players(Steering(fleet, site_url=config.steering_url), view)
        planning = self._planning = Planning(self._origin, store, fleet, identities, self._hurry)
        clock = self._plan_clock = PlanClock(config.plan, store, planning, self.origin_id)
        upkeep = self._upkeep = Upkeep(store, self.origin_id)
        tls = self._tls = tls_context(identities.authority.certificate_pem)
        self._certify()
        connections_max = min(config.connections_max, raise_descriptor_limit() // 2)
        if connections_max < config.connections_max:  # content and the database need some
            logger.warning(
                "control.few_descriptors connections_max=%d wanted=%d: raise the limit (ulimit -n)",
                connections_max, config.connections_max,
            )  # fmt: skip
        self._fleet_port = FleetPort(desk, tls, connections_max=connections_max)
        login = self._login = Login(store, config.admin_names)
        self._admin_port = AdminPort(
            (
                *FleetRoutes(view, identities).routes,
                *SeriesRoutes(view.series, players).routes,
                *PlanRoutes(planning, store).routes,
                *TitleRoutes(store, fleet, self._catalogue).routes,
                *AccessRoutes(store).routes,
            ),
            login,
            self.hub,
            WebPage(),
            self._metrics,
            version("nearcast"),
            admin_tls,
        )
        # Edges come when all is known; but which port it is has to be known before that.
        bound = await opened(self._fleet_port.start, config.fleet_listen, content, FLEET_PORT_ABOVE)
        self.fleet_url = config.fleet_url or _url("https", config.fleet_names[0], bound[1])
        self._origin_urls = (self.fleet_url,)
        wall_s = time.time()
        origin = OriginRecord(
            origin_id=self.origin_id,
            fleet_url=self.fleet_url,
            started_wall_s=wall_s,
            seen_wall_s=wall_s,
        )
        sync = self._sync = view.sync = Sync(store, identities, desk, self, origin)
        figures = self._series_keeper = SeriesKeeper(
            store, view.series, self._is_known, sync.write, self.origin_id,
            lambda: view.origin_count > 1, self._origin.telemetry.series_s,
        )  # fmt: skip
        self._collector = ControlCollector(
            view, desk, self._fleet_port, sync, players, self._public, self._telemetry, self.hub,
            planning, clock, keeper,
        )  # fmt: skip
        await sync.look()
        pump.wake()
        self._telemetry.start()
        bound = await opened(self._admin_port.start, config.admin_listen, content, ADMIN_PORT_ABOVE)
        self.admin_url = _url("http" if admin_tls is None else "https", *bound)
        self._write_place()
        for name, work in (
            ("control.sync", sync.run),
            ("control.figures", self._tell),
            ("control.planning", clock.run),
            ("control.upkeep", upkeep.run),
            ("control.series", figures.run),
            ("control.certificate", self._recertify),
        ):
            keeper.keep(name, work)
        _calm_collector()

    async def close(self) -> None:
        """Take no more, write what waits, say goodbye."""
        for port in (self._fleet_port, self._admin_port):
            if port is not None:
                await port.close()
        await self._keeper.close()
        if self._planning is not None:
            self._planning.close()
        if self._pump is not None:
            await self._pump.close()
        if self._prober is not None:
            await self._prober.close()
        if self._telemetry is not None:
            await self._telemetry.close()
        if self._store is not None:
            try:
                async with asyncio.timeout(3.0):
                    if self._sync is not None:
                        await self._sync.write()
                        await self._series_keeper.close()
                        await self._store.remove_origin(self.origin_id)
                        await self._plan_clock.release()
                        await self._upkeep.release()
            except (NearcastError, TimeoutError) as error:
                logger.warning("control.not_written detail=%s", error or "no answer in time")
            await self._store.close()

    def reload(self) -> None:
        """What files hold now, as on SIGHUP. What cannot be used changes nothing."""
        if self._admin_port is not None:
            self._admin_port.reload()

    # What is made at start

    def _write_place(self) -> None:
        """For commands on this machine, with what is shown there: they trust just that."""
        certificate = self._config.admin_tls.certificate
        place = AdminPlace(
            url=self.admin_url,
            certificate=str(Path(certificate).absolute()) if certificate else "",
        )
        try:
            write_place(self._folder, place)
        except InputError as error:
            logger.warning("control.place_not_written detail=%s", error)

    async def _make_token(self, store: ControlStore) -> None:
        """See to it that the token in the file opens the door."""
        token = await asyncio.to_thread(made_or_read, self.token_file)
        if await store.api_token(token_digest(token)) is None:
            await make_token(
                store,
                f"{TOKEN_FILE}-{token_digest(token)[:8]}",
                "admin",
                token=token,
                wall_s=time.time(),
                valid_s=TOKEN_VALID_S,
                by="origin",
            )

    def _certify(self) -> None:
        chain, key = self._identities.authority.server_certificate(
            self._config.fleet_names, time.time()
        )
        _load(self._tls, chain, key)

    async def _recertify(self) -> None:
        """Connections that stand keep what they have; new ones get the new certificate."""
        while True:
            await asyncio.sleep(CERTIFICATE_S)
            self._certify()

    def _hurry(self) -> None:
        if self._sync is not None:
            self._sync.hurry()

    def _is_known(self, edge: str) -> bool:
        record = self._identities.records.get(edge)
        return record is not None and not record.revoked

    def _origins(self) -> tuple[str, ...]:
        return self._origin_urls

    # The fleet's core

    def _perform(self, effect: Effect) -> None:
        assert self._pump is not None
        if isinstance(effect, ProbeEdge):
            self._pump.spawn(self._probe(effect), name=f"origin/probe/{effect.edge}")
        elif isinstance(effect, EdgeStateChanged):
            logger.info(
                "fleet.state edge=%s before=%s after=%s reason=%s",
                effect.edge, effect.before, effect.after, effect.reason,
            )  # fmt: skip
            self.view.state_changed(effect)
            # Its row is made when the core has come to rest.
            asyncio.get_running_loop().call_soon(self._tell_edge, effect)

    async def _probe(self, effect: ProbeEdge) -> None:
        assert self._prober is not None
        assert self._pump is not None
        self._pump.feed(await self._prober.look(effect))

    def _heard(self, beat: Heartbeat, received_wall_s: float) -> None:
        self.view.heard(beat, received_wall_s)
        self._beat_edges.add(beat.edge)

    # What Sync reads (`Follower`)

    def state_read(self, state: StateRead) -> None:
        assert self._pump is not None
        if state.edges is not None:
            self.view.records_changed()
        self._pump.feed(state)

    def heartbeat_read(self, beat: Heartbeat, received_wall_s: float) -> None:
        self._heard(beat, received_wall_s)

    def plan_in_force(self, plan: PlanHead | None, edges: frozenset[str]) -> None:
        assert self._pump is not None
        self._desk.plan_id = "" if plan is None else plan.plan_id
        self._pump.feed(PlanInForce(plan_id=self._desk.plan_id, edges=edges))
        self.hub.publish("plan", {"plan_id": self._desk.plan_id})

    def origins_known(self, origins: tuple[OriginRecord, ...]) -> None:
        assert self._pump is not None
        others = [one.fleet_url for one in origins if one.origin_id != self.origin_id]
        self._origin_urls = tuple(dict.fromkeys((self.fleet_url, *others)))
        self.view.origin_count = max(1, len(origins))
        self._pump.feed(OriginsKnown(urls=self._origin_urls))

    def access_changed(self) -> None:
        self._login.forget()

    def database_away(self, why: str | None) -> None:
        self.hub.publish("database", {"is_away": why is not None})

    # Readers of the page

    def _tell_edge(self, effect: EdgeStateChanged) -> None:
        self.hub.publish(
            "edge",
            {
                "edge": effect.edge,
                "before": effect.before,
                "after": effect.after,
                "reason": effect.reason,
                "row": self.view.row(effect.edge),
            },
        )

    async def _tell(self) -> None:
        """Once a second: the totals, and the rows of edges that were heard of since."""
        while True:
            await asyncio.sleep(FIGURES_S)
            edges, self._beat_edges = self._beat_edges, set()
            if self.hub.reader_count:
                rows = [self.view.row(edge) for edge in sorted(edges)]
                self.hub.publish("figures", {"totals": self.view.totals(), "edges": rows})

    def _metrics(self) -> bytes:
        return b"" if self._collector is None else self._collector.text()


def _calm_collector() -> None:
    """Look for cycles among what is young; what was made at start stays for good.

    With 1,000 edges a full search stopped everything for a quarter of a second and more, several
    times a minute (docs/results/fleet.md), and found next to nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 100)


def _admin_tls(config: AdminTlsConfig) -> ServerTls | None:
    """Before anything else is begun: raises ConfigError when the files cannot be used."""
    if not config.certificate:
        return None
    return ServerTls(config.certificate, config.key, what="control.admin_tls")


def _url(scheme: str, host: str, port: int) -> str:
    return f"{scheme}://{shown_address(host, port)}"


def _load(tls: ssl.SSLContext, chain: str, key: bytes) -> None:
    """OpenSSL through Python reads keys from files alone: a folder of our own, and gone at once."""
    with tempfile.TemporaryDirectory(prefix="nearcast-") as folder:
        file = Path(folder) / "chain.pem"
        file.touch(mode=0o600)
        file.write_bytes(chain.encode() + key)
        tls.load_cert_chain(file)
