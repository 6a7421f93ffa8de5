"""Builds an edge from its settings and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from edge.config import EdgeConfig
from edge.core import EdgeCore
from edge.drivers.admin import Admin, DriverFigures, rss_bytes
from edge.drivers.bodies import Bodies
from edge.drivers.catalog import CatalogReader
from edge.drivers.disk import DiskStore
from edge.drivers.http import EdgeServer
from edge.drivers.inference import Inference
from edge.drivers.ring import HitRing
from edge.drivers.upstream import Upstream
from edge.events import (
    AbortResponse,
    CancelFill,
    Commit,
    Discard,
    Draining,
    DropObject,
    Effect,
    Event,
    FetchCatalog,
    PassThrough,
    PauseFill,
    Predict,
    ReadObject,
    Restored,
    ResumeFill,
    ServeFill,
    ServeObject,
    ServeText,
    SetFillPriority,
    SetInMemory,
    StartFill,
    StreamOnly,
    UpdateStored,
)
from edge.status import EdgeStatus
from nearcast.aio import Pump
from nearcast.clock import Clock, SystemClock
from nearcast.record import NullRecorder, Recorder

logger = logging.getLogger(__name__)


class EdgeNode:
    """One edge with all its drivers. Make it inside the running loop; `start`, then `stop`."""

    def __init__(
        self, config: EdgeConfig, *, clock: Clock | None = None, recorder: Recorder | None = None
    ) -> None:
        if config.store is None:
            # Larger objects could not be kept, so they must not pile up in memory either.
            size_bytes_max = min(config.object_bytes_max, config.cache().capacity_bytes)
            config = msgspec.structs.replace(config, object_bytes_max=size_bytes_max)
        self.config = config
        self._clock = clock if clock is not None else SystemClock()
        self._store = DiskStore(Path(config.store)) if config.store is not None else None
        self._core = EdgeCore.from_config(
            config,
            epoch_s=self._clock.epoch_s,
            recorder=recorder if recorder is not None else NullRecorder(),
        )
        self._pump: Pump[Event, Effect] = Pump(self._core, self._perform, self._clock)
        tell = self._pump.feed
        self._bodies = Bodies(
            self._store, tell, memory_object_bytes_max=config.memory_object_bytes_max
        )
        self._upstream = Upstream(config, self._core.services, self._bodies, tell, self._spawn)
        self._catalogs = CatalogReader(self._upstream, self._clock, tell, self._spawn)
        self._inference = Inference(config, self._clock, tell, self._spawn)
        self._ring = HitRing(tell)
        self.admin = Admin(self, config.admin_listen)
        self._server = EdgeServer(
            config,
            self._core,
            self._clock,
            tell,
            self._bodies,
            self._upstream,
            self._ring,
            self.admin.special,
        )
        self._handlers: dict[type[Effect], Callable[[Any], None]] = {
            ServeObject: self._server.answer,
            ServeFill: self._server.answer,
            ServeText: self._server.answer,
            PassThrough: self._server.answer,
            AbortResponse: self._server.abort,
            StartFill: self._upstream.start,
            SetFillPriority: _nothing,  # its connection is what it is; ResumeFill does the rest
            PauseFill: self._upstream.pause,
            ResumeFill: self._upstream.resume,
            CancelFill: self._upstream.cancel,
            StreamOnly: self._bodies.stream_only,
            Commit: self._bodies.commit,
            Discard: lambda effect: self._bodies.end(effect.fill_id),
            UpdateStored: self._bodies.update,
            DropObject: self._bodies.drop,
            SetInMemory: self._bodies.set_in_memory,
            ReadObject: self._bodies.read,
            FetchCatalog: self._catalogs.fetch,
            Predict: self._inference.ask,
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
            if self._store is not None:
                await asyncio.to_thread(self._store.open)
                restored = await asyncio.to_thread(self._bodies.restore)
                if self._store.damaged_count:
                    logger.warning("store.damaged count=%d", self._store.damaged_count)
                self._pump.feed(Restored(objects=restored))
            self._upstream.load()
            self._pump.wake()
            self.address = await self._server.listener.start()
            self.admin_address = await self.admin.start()
            self._inference.start()
        except BaseException:
            await self._let_go()
            raise

    async def stop(self) -> None:
        """Take no more requests, finish those under way, put everything in order."""
        await self._server.listener.stop_listening()
        self._pump.feed(Draining())
        await self._server.listener.close()
        await self._let_go()

    def status(self) -> EdgeStatus:
        """The core's figures up to this moment."""
        self._ring.flush()
        return self._core.status(self._clock.now_s())

    def figures(self) -> DriverFigures:
        return DriverFigures(
            connection_count=self._server.listener.connection_count,
            refused_connection_count=self._server.listener.refused_count,
            store_failure_count=self._bodies.store_failures,
            store_failure_last=self._bodies.store_failure_last,
            store_queued_bytes=self._bodies.queued_bytes,
            process_rss_bytes=rss_bytes(),
            inference=self._inference.figures(),
        )

    async def _let_go(self) -> None:
        self._ring.flush()
        with contextlib.suppress(asyncio.CancelledError):
            await self._server.listener.close()
        await self.admin.close()
        await self._inference.close()
        await self._pump.close()
        self._upstream.close()
        await self._bodies.close()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return self._pump.spawn(work, name=name)

    def _perform(self, effect: Effect) -> None:
        self._handlers[type(effect)](effect)


def _nothing(effect: Effect) -> None:
    pass
