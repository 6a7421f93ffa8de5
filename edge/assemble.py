"""Builds an edge from its settings and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import secrets
import time
from collections.abc import Callable, Coroutine
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edge.config import EdgeConfig
from edge.config.node import NAME_DEFAULT
from edge.core import EdgeCore
from edge.drivers.admin import Admin
from edge.drivers.bodies import Bodies
from edge.drivers.catalog import CatalogReader
from edge.drivers.fleet.folder import FleetFolder, fleet_folder
from edge.drivers.forgetting import Forgetting
from edge.drivers.home import Home
from edge.drivers.inference import Inference
from edge.drivers.manifests import ManifestReader
from edge.drivers.metrics import DriverFigures, rss_bytes
from edge.drivers.models import Models
from edge.drivers.purging import Purging
from edge.drivers.ring import HitRing
from edge.drivers.server import EdgeServer
from edge.drivers.store.disk import DiskStore
from edge.drivers.telemetry import Telemetry
from edge.drivers.titles import TitlesInference
from edge.drivers.token import AdminToken, viewer_key
from edge.drivers.upstream import Upstream
from edge.effects import (
    AbortResponse,
    AllowFill,
    CancelFill,
    Commit,
    CutFill,
    Discard,
    DropObject,
    Effect,
    FetchCatalog,
    PassThrough,
    PauseFill,
    Predict,
    PurgeDone,
    ReadManifest,
    ReadObject,
    ResumeFill,
    ServeFill,
    ServeInterim,
    ServeObject,
    ServeText,
    SetFillPriority,
    SetInMemory,
    StartFill,
    StreamOnly,
    UpdateStored,
    ViewerForgotten,
    WriteTelemetry,
)
from edge.events import Draining, Event, Headers, Noticed, PurgeKind, Reconfigured, Restored
from edge.fleet.beats import Vitals
from edge.fleet.identity import Identity
from edge.fleet.orders import KeepSpent, PlanFollowed
from edge.hops import Hops
from edge.media_map import StreamFormat
from edge.models.effects import FetchModel, RememberModels, StartModel, StopModel, SwitchModel
from edge.models.figures import ModelsFigures
from edge.prefetch.explanation import Explanation
from edge.reload import plan
from edge.services import Services
from edge.status import EdgeStatus
from edge.titles.events import Recommend
from edge.titles.home import Row
from nearcast.aio import Pump
from nearcast.clock import Clock, SystemClock
from nearcast.errors import ConfigError, InputError
from nearcast.local_time import LocalTime
from nearcast.record import NullRecorder, Recorder
from nearcast.seeds import Seeds
from nearcast.units import bytes_per_s_from_kbps
from nearcast.zones import viewers_time

if TYPE_CHECKING:
    from edge.drivers.fleet.membership import Membership

logger = logging.getLogger(__name__)


class EdgeNode:
    """One edge with all its drivers. Make it inside the running loop; `start`, then `stop`.

    `read_config` reads the settings again, for `reload`.
    """

    def __init__(
        self,
        config: EdgeConfig,
        *,
        read_config: Callable[[], EdgeConfig] | None = None,
        clock: Clock | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        identity = _identity(config)
        config = _named(_bounded(config), identity)
        self.config = config
        self._identity = identity
        self._read_config = read_config
        self._is_restored = False
        self._reload_count = 0
        self._reload_failure_count = 0
        self._clock = clock if clock is not None else SystemClock()
        self._store = DiskStore(Path(config.store)) if config.store is not None else None
        hops = Hops(secrets.token_hex(6))
        self._core = EdgeCore.from_config(
            config,
            epoch_s=self._clock.epoch_s,
            recorder=recorder if recorder is not None else NullRecorder(),
            hops=hops,
            local_time=_viewers_time(config),
            viewer_key=_viewer_key(config),
            is_in_fleet=identity is not None,
        )
        self._pump: Pump[Event, Effect] = Pump(self._core, self._perform, self._clock)
        tell = self._pump.feed
        self._bodies = Bodies(
            self._store,
            tell,
            memory_object_bytes_max=config.memory_object_bytes_max,
            growing_bytes_max=config.growing_bytes_max,
            kept_bytes_max=config.memory_bytes,
            verify_every=config.storage.verify_every,
        )
        self._upstream = Upstream(
            config, self._core.services, self._bodies, tell, self._spawn, mark=hops.marked
        )
        self._catalogs = CatalogReader(self._upstream, self._clock, tell, self._spawn)
        self._manifests = ManifestReader(tell, self._spawn)
        self._inference = Inference(config, self._clock, tell, self._spawn)
        self._titles = TitlesInference(config, self._clock, tell, self._spawn)
        self._models = Models(
            config,
            self._upstream,
            tell,
            self._spawn,
            jitter=Seeds(secrets.randbits(32)).stream("edge/models"),
        )
        self._ring = HitRing(tell)
        self._purging = Purging(tell, self._bodies.when_recorded)
        self.purge = self._purging.purge
        self._forgetting = Forgetting(tell)
        self.forget = self._forgetting.forget
        self.admin = Admin(self, config.admin_listen)
        self._server = EdgeServer(
            config,
            self._core,
            self._clock,
            tell,
            self._bodies,
            self._upstream,
            self._ring,
            self.admin,
            Home(self, is_on=config.titles.home_rows),
        )
        self._membership: Membership | None = None
        self._telemetry: Telemetry | None = None
        if identity is not None:
            self._join(*identity)
        self._handlers: dict[type[Effect], Callable[[Any], None]] = {
            ServeObject: self._server.answer,
            ServeFill: self._server.answer,
            ServeText: self._server.answer,
            PassThrough: self._server.answer,
            ServeInterim: self._server.interim,
            AbortResponse: self._server.abort,
            StartFill: self._upstream.start,
            SetFillPriority: self._upstream.set_priority,
            PauseFill: self._upstream.pause,
            ResumeFill: self._upstream.resume,
            AllowFill: self._upstream.allow,
            CancelFill: self._upstream.cancel,
            CutFill: self._upstream.cut,
            StreamOnly: self._bodies.stream_only,
            Commit: self._bodies.commit,
            Discard: lambda effect: self._bodies.end(effect.fill_id),
            UpdateStored: self._bodies.update,
            DropObject: self._bodies.drop,
            SetInMemory: self._bodies.set_in_memory,
            ReadObject: self._bodies.read,
            ReadManifest: self._manifests.read,
            FetchCatalog: self._catalogs.fetch,
            Predict: self._inference.ask,
            Recommend: self._titles.ask,
            StartModel: self._inference.start,
            SwitchModel: self._inference.switch,
            StopModel: self._inference.stop,
            FetchModel: self._models.fetch,
            RememberModels: self._models.remember,
            PurgeDone: self._purging.done,
            ViewerForgotten: self._forgetting.done,
            WriteTelemetry: self._write_telemetry,
            KeepSpent: self._keep_spent,
        }
        self.address = ""
        self.admin_address: str | None = None

    @property
    def failure(self) -> asyncio.Future[None]:
        """Fails when a background task did: the node is then no longer whole."""
        return self._pump.tasks.failure

    async def start(self) -> None:
        """Take up the store, listen. Raises ConfigError when that cannot be done."""
        try:
            self.admin.use_token(_token(self.config))
            # First of all: a store that takes long to restore is not ready, but alive.
            self.admin_address = await self.admin.start()
            if self._store is not None:
                await asyncio.to_thread(self._store.open)
                restored = await asyncio.to_thread(self._bodies.restore)
                if self._store.damaged_count:
                    logger.warning("store.damaged count=%d", self._store.damaged_count)
                self._pump.feed(Restored(objects=restored))
                self._bodies.begin_upkeep(bytes_per_s_from_kbps(self.config.storage.scrub_kbps))
            self._upstream.load()
            self._pump.wake()
            # A full collection looks at all there is: 50 ms without a hit, with 100,000 objects.
            gc.freeze()
            # And a young one after each 700 objects looks at a crowd of waiting requests again and
            # again: it doubled the time until the last of 1,000 got its first byte.
            gc.set_threshold(50_000, 20, 100)
            self.address = await self._server.listener.start()
            await self._models.start()
            self._titles.start()
            self._is_restored = True
            await self._start_fleet()
        except BaseException:
            await self._let_go()
            raise

    async def stop(self) -> None:
        """Take no more requests, finish those under way, put everything in order."""
        self._pump.feed(Draining())
        if self._membership is not None:
            await self._membership.leave()
        if self.config.server.drain_delay_s and not self.failure.done():
            await asyncio.sleep(self.config.server.drain_delay_s)
        await self._server.listener.stop_listening()
        await self._server.listener.close()
        await self._let_go()

    def status(self) -> EdgeStatus:
        """The core's figures up to this moment."""
        self._ring.flush()
        return self._core.status(self._clock.now_s())

    def models(self) -> ModelsFigures:
        """What models run, and how they do, up to this moment."""
        return self._core.models(self._clock.now_s())

    def home_rows(
        self, client: str, headers: Headers, count: int, form: StreamFormat
    ) -> tuple[Row, ...]:
        """What a client may like."""
        return self._core.home_rows(client, headers, count, form, self._clock.now_s())

    def unready(self) -> str | None:
        """Why no requests should be sent here at the moment; None: they should.

        An upstream that fails is no reason while anything is stored: that is what a cache is for.
        When its breaker lets a request through again the node is ready, since only a request can
        find out that upstream is back.
        """
        if not self._is_restored:
            return "starting"
        if self.status().is_draining:
            return "draining"
        if self._core.is_cut_off(self._clock.now_s()):
            return "every upstream fails, and nothing is stored"
        return self._membership.unready() if self._membership is not None else None

    def vitals(self) -> Vitals:
        """What a heartbeat says beside the status."""
        telemetry = self._telemetry
        return Vitals(
            connection_count=self._server.listener.connection_count,
            cpu_s=time.process_time(),
            store_state=self._bodies.health.state if self._store is not None else "none",
            qoe=self._core.telemetry.qoe,
            telemetry_waiting_bytes=telemetry.waiting_bytes if telemetry is not None else 0,
            telemetry_dropped_events=telemetry.dropped_events if telemetry is not None else 0,
        )

    def held(self) -> tuple[str, bytes]:
        """Which titles are held, and an id of that."""
        return self._core.held_titles()

    def finds(self, kind: PurgeKind, value: str) -> bool:
        """Whether such a purge could mean anything that is served here."""
        services = self._core.services
        if kind == "url":
            return services.purge_url(value) is not None
        return kind == "tag" or bool(services.purge_prefixes(value))

    def explain(self, url: str) -> Explanation | None:
        """Why an object was, is or was not fetched ahead. None: it belongs to no service."""
        self._ring.flush()
        return self._core.explain(url, self._clock.now_s())

    def reload(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Read the settings again and go by them: the keys that changed, and of these those that
        need a restart. Certificates and tokens are read anew too.

        Raises ConfigError; everything is as before then: what can fail is tried first.
        """
        try:
            if self._read_config is None:
                raise ConfigError("this node was given its settings once and for all")
            change = plan(self.config, _named(_bounded(self._read_config()), self._identity))
            services = Services(change.config)
            token = _token(change.config)
            self._upstream.check(services)
            self._server.listener.reload_tls()
        except ConfigError as error:
            self._reload_failure_count += 1
            logger.error("config.refused cause=%s; the settings before it stay", error)
            raise
        self.config = change.config
        self._pump.feed(Reconfigured(config=change.config))
        self._server.reconfigure(change.config)
        with contextlib.suppress(ConfigError):  # a file changed since; what was read stays in use
            self._upstream.reconfigure(change.config)
        self.admin.use_token(token)
        self._reload_count += 1
        logger.info("config.reloaded changed=%s", ",".join(change.changed) or "nothing")
        if change.waiting:
            logger.warning("config.needs_restart keys=%s", ",".join(change.waiting))
        return change.changed, change.waiting

    def figures(self) -> DriverFigures:
        return DriverFigures(
            connection_count=self._server.listener.connection_count,
            refused_connection_count=self._server.listener.refused_count,
            store_failure_count=self._bodies.health.failure_count,
            store_failure_last=self._bodies.health.failure_last,
            store_state=self._bodies.health.state if self._store is not None else "none",
            store_damaged_count=self._bodies.health.damaged_count,
            store_queued_bytes=self._bodies.queued_bytes,
            upstream_failures=self._upstream.failures,
            process_rss_bytes=rss_bytes(),
            reload_count=self._reload_count,
            reload_failure_count=self._reload_failure_count,
            inference=self._inference.figures(),
            registry=self._models.figures(),
            titles_inference=self._titles.figures(),
            fleet=self._membership.figures() if self._membership is not None else None,
            telemetry=self._telemetry.figures() if self._telemetry is not None else None,
        )

    async def _let_go(self) -> None:
        self._ring.flush()
        with contextlib.suppress(asyncio.CancelledError):
            await self._server.listener.close()
        await self.admin.close()
        await self._inference.close()
        await self._titles.close()
        if self._telemetry is not None:
            self._core.telemetry.flush(self._clock.now_s())
            self._pump.feed(Noticed(what="stopped"))  # hands out what was served until now too
            await self._telemetry.close()
        if self._membership is not None:
            await self._membership.close()
        await self._pump.close()
        self._manifests.close()
        self._upstream.close()
        await self._models.close()
        await self._bodies.close()

    # -- the fleet

    def _join(self, folder: FleetFolder, identity: Identity) -> None:
        from edge.drivers.fleet.membership import Membership  # X.509 takes 0.1 s to import

        seeds = Seeds(secrets.randbits(32))
        self._membership = membership = Membership(
            self.config,
            folder=folder,
            identity=identity,
            software=f"nearcast {metadata.version('nearcast')}",
            clock=self._clock,
            node=self,
            tell=self._pump.feed,
            jitter=seeds.stream("edge/fleet"),
        )
        if self.config.telemetry.enabled:
            self._telemetry = Telemetry(
                self.config.telemetry,
                folder.path / "telemetry",
                edge=membership.edge,
                boot_id=membership.boot_id,
                now_s=self._clock.now_s,
                spawn=self._spawn,
                jitter=seeds.stream("edge/telemetry"),
            )
            self._telemetry.use(membership.client)

    async def _start_fleet(self) -> None:
        if self._membership is None:  # what a plan had pinned before is pinned no more
            self._pump.feed(PlanFollowed(plan=None))
            return
        if self._telemetry is not None:
            await self._telemetry.start()
        self._pump.feed(Noticed(what="started", detail=f"nearcast {metadata.version('nearcast')}"))
        await self._membership.start()

    def _write_telemetry(self, effect: WriteTelemetry) -> None:
        if self._telemetry is not None:
            self._telemetry.write(effect)

    def _keep_spent(self, effect: KeepSpent) -> None:
        if self._membership is not None:
            self._membership.keep_spent(effect)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return self._pump.spawn(work, name=name)

    def _perform(self, effect: Effect) -> None:
        self._handlers[type(effect)](effect)


def _bounded(config: EdgeConfig) -> EdgeConfig:
    """Without a store larger objects could not be kept, so they must not pile up in memory
    either."""
    if config.store is not None:
        return config
    size_bytes_max = min(config.object_bytes_max, config.cache().capacity_bytes)
    return msgspec.structs.replace(config, object_bytes_max=size_bytes_max)


def _named(config: EdgeConfig, identity: tuple[FleetFolder, Identity] | None) -> EdgeConfig:
    """A node that was given no name has the one that its fleet knows it by."""
    if identity is None or config.name != NAME_DEFAULT:
        return config
    edge = identity[1].edge  # which may begin with a digit, as no name may
    return msgspec.structs.replace(config, name=edge if edge[0].isalpha() else f"edge-{edge}")


def _identity(config: EdgeConfig) -> tuple[FleetFolder, Identity] | None:
    """Who the edge is in a fleet; None: it takes part in none. Raises ConfigError."""
    path = fleet_folder(config)
    if config.fleet.enabled == "off":
        return None
    folder = FleetFolder(path) if path is not None else None
    if folder is not None and folder.has_identity:
        return folder, folder.identity()
    if config.fleet.enabled == "on":
        raise ConfigError(
            "fleet.enabled is on, and this edge has not enrolled; make a token at the origin with "
            "`nearcast origin fleet enrol EDGE`, then run `nearcast edge enrol TOKEN --store DIR`"
        )
    return None


def _viewers_time(config: EdgeConfig) -> LocalTime:
    """Raises ConfigError."""
    try:
        return viewers_time(config.sessions.time_zone, config.sessions.utc_offset_h)
    except InputError as error:
        raise ConfigError(f"sessions.time_zone: {error}") from error


def _token(config: EdgeConfig) -> AdminToken | None:
    return AdminToken(config.admin_token_file) if config.admin_token_file is not None else None


def _viewer_key(config: EdgeConfig) -> bytes:
    """Of the viewers' pseudonyms: forgotten with the process, unless the operator wants it kept."""
    if config.sessions.pseudonym_key_file is None:
        return secrets.token_bytes(32)
    return viewer_key(Path(config.sessions.pseudonym_key_file))
