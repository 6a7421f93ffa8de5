"""Builds an edge from its settings and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import secrets
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from edge.config import EdgeConfig
from edge.core import EdgeCore
from edge.drivers.admin import Admin
from edge.drivers.bodies import Bodies
from edge.drivers.catalog import CatalogReader
from edge.drivers.fleet.folder import enrolled
from edge.drivers.fleet.part import FleetPart
from edge.drivers.forgetting import Forgetting
from edge.drivers.home import Home
from edge.drivers.inference import Inference
from edge.drivers.live_settings import LiveSettings
from edge.drivers.manifests import ManifestReader
from edge.drivers.metrics import DriverFigures, rss_bytes
from edge.drivers.models import Models
from edge.drivers.purging import Purging
from edge.drivers.ring import HitRing
from edge.drivers.server import EdgeServer
from edge.drivers.settings import admin_token, local_time, node_settings, pseudonym_key
from edge.drivers.store.disk import DiskStore
from edge.drivers.titles import TitlesInference
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
from edge.events import Draining, Event, Headers, PurgeKind, Restored
from edge.fleet.beats import Vitals
from edge.fleet.orders import KeepSpent
from edge.hops import Hops
from edge.media_map import StreamFormat
from edge.models.effects import FetchModel, RememberModels, StartModel, StopModel, SwitchModel
from edge.models.figures import ModelsFigures
from edge.prefetch.explanation import Explanation
from edge.status import EdgeStatus
from edge.titles.events import Recommend
from edge.titles.home import Row
from nearcast.aio import Pump
from nearcast.clock import Clock, SystemClock
from nearcast.record import NullRecorder, Recorder
from nearcast.seeds import Seeds
from nearcast.units import bytes_per_s_from_kbps

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
        joined = enrolled(config)
        config = node_settings(config, joined)
        self._is_restored = False
        self._clock = clock if clock is not None else SystemClock()
        self._store = DiskStore(Path(config.store)) if config.store is not None else None
        hops = Hops(secrets.token_hex(6))
        self._core = EdgeCore.from_config(
            config,
            epoch_s=self._clock.epoch_s,
            recorder=recorder if recorder is not None else NullRecorder(),
            hops=hops,
            local_time=local_time(config),
            viewer_key=pseudonym_key(config),
            is_in_fleet=joined is not None,
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
            edge=joined.identity.edge if joined is not None else "",
        )
        self._settings = LiveSettings(
            config,
            read=(lambda: node_settings(read_config(), joined))
            if read_config is not None
            else None,
            tell=tell,
            upstream=self._upstream,
            server=self._server,
            admin=self.admin,
        )
        self.reload = self._settings.reload
        self._fleet = FleetPart(
            config,
            joined,
            clock=self._clock,
            node=self,
            tell=tell,
            spawn=self._spawn,
            tell_all=lambda: self._core.telemetry.flush(self._clock.now_s()),
        )
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
            StreamOnly: self._bodies.fills.stream_only,
            Commit: self._bodies.commit,
            Discard: lambda effect: self._bodies.fills.end(effect.fill_id),
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
            WriteTelemetry: self._fleet.write_telemetry,
            KeepSpent: self._fleet.keep_spent,
        }
        self.address = ""
        self.admin_address: str | None = None

    @property
    def config(self) -> EdgeConfig:
        """The settings that are in force."""
        return self._settings.config

    @property
    def failure(self) -> asyncio.Future[None]:
        """Fails when a background task did: the node is then no longer whole."""
        return self._pump.tasks.failure

    async def start(self) -> None:
        """Take up the store, listen. Raises ConfigError when that cannot be done."""
        try:
            self.admin.use_token(admin_token(self.config))
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
            await self._fleet.start()
        except BaseException:
            await self._let_go()
            raise

    async def stop(self) -> None:
        """Take no more requests, finish those under way, put everything in order."""
        self._pump.feed(Draining())
        await self._fleet.leave()
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
        return self._fleet.unready()

    def vitals(self) -> Vitals:
        """What a heartbeat says beside the status."""
        return Vitals(
            connection_count=self._server.listener.connection_count,
            cpu_s=time.process_time(),
            store_state=self._bodies.health.state if self._store is not None else "none",
            qoe=self._core.telemetry.qoe,
            telemetry_waiting_bytes=self._fleet.waiting_bytes,
            telemetry_dropped_events=self._fleet.dropped_events,
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
            reload_count=self._settings.count,
            reload_failure_count=self._settings.failure_count,
            inference=self._inference.figures(),
            registry=self._models.figures(),
            titles_inference=self._titles.figures(),
            fleet=self._fleet.membership_figures(),
            telemetry=self._fleet.telemetry_figures(),
        )

    async def _let_go(self) -> None:
        self._ring.flush()
        with contextlib.suppress(asyncio.CancelledError):
            await self._server.listener.close()
        await self.admin.close()
        await self._inference.close()
        await self._titles.close()
        await self._fleet.close()
        await self._pump.close()
        self._manifests.close()
        self._upstream.close()
        await self._models.close()
        await self._bodies.close()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return self._pump.spawn(work, name=name)

    def _perform(self, effect: Effect) -> None:
        self._handlers[type(effect)](effect)
