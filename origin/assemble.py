"""Builds a serving origin out of its parts."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nearcast.aio import on_hangup, stop_signals
from nearcast.errors import ConfigError, NearcastError
from nearcast.server_tls import ServerTls
from origin.config import OriginConfig
from origin.core import OriginCore
from origin.drivers.control.public import Public
from origin.drivers.http import OriginServer
from origin.drivers.media import Media, objects_of
from origin.drivers.metrics import OriginMetrics
from origin.drivers.model_store import ModelStore, OnDisk
from origin.drivers.shelves import DiskLibrary
from origin.drivers.storage import LibraryFolder

if TYPE_CHECKING:
    from origin.drivers.control.control import Control

logger = logging.getLogger(__name__)

CONTROL_RETRY_S: Final = 5.0
CONTROL_MODULE: Final = "origin.drivers.control.control"


class Origin:
    """A library, its core and its server, and the control plane of a fleet. Raises InputError when
    the library cannot be served."""

    def __init__(self, config: OriginConfig) -> None:
        self.config = config
        self._folder = LibraryFolder(Path(config.library), must_exist=True)
        models = OnDisk(ModelStore(self._folder), config.freshness)
        self.library = DiskLibrary(
            self._folder.database,
            self._folder.media,
            models,
            config.freshness,
            site_url=config.control.steering_url,
        )
        self.core = OriginCore(self.library)
        self.metrics = OriginMetrics()
        media = Media(self.library, objects_of(config.objects), self.metrics)
        self.public = Public(config.control.trusted_proxies, collects=config.control.collector)
        self.server = OriginServer(
            self.core, self.library, media, config, self.metrics, self.public
        )
        self.control: Control | None = None

    async def start(self) -> str:
        """Listen; returns the base URL. Raises ConfigError."""
        tls = self.config.control.admin_tls
        if self.config.control.enabled and tls.certificate:
            # A pair of no use ends the start, and is found before anybody hears that it is ready.
            ServerTls(tls.certificate, tls.key, what="control.admin_tls")
        return f"http://{await self.server.start()}"

    async def start_control(self) -> None:
        """Look after the fleet as well. Content is served whatever comes of this: a database that
        is away is waited for, and without the packages there is no fleet. Raises ConfigError."""
        if not self.config.control.enabled:
            return
        try:
            # Half a second of imports, in which content is served already.
            module = await asyncio.to_thread(importlib.import_module, CONTROL_MODULE)
        except ModuleNotFoundError as error:
            logger.warning(
                "control.off missing=%s: no edges can enrol; pip install 'nearcast[origin]'",
                error.name,
            )
            return
        host, _, port = self.server.address.rpartition(":")
        while True:
            control: Control = module.Control(self.config, self.public, lambda: self.library.titles)
            try:
                await control.start((host, int(port)))
            except ConfigError:
                await control.close()
                raise
            except NearcastError as error:
                await control.close()
                logger.warning("control.waits detail=%s retry_s=%.0f", error, CONTROL_RETRY_S)
                await asyncio.sleep(CONTROL_RETRY_S)
            except BaseException:
                await control.close()
                raise
            else:
                self.control = control
                self.public.steers = control.players
                print(f"  page {control.admin_url} (token in {control.token_file})")
                print(f"  edges report to {control.fleet_url}", flush=True)
                return

    def reload(self) -> None:
        """On SIGHUP: certificates that were renewed. Settings need a restart."""
        if self.control is not None:
            self.control.reload()

    async def close(self) -> None:
        await self.server.close()
        if self.control is not None:
            await self.control.close()
        self._folder.close()


async def serve(config: OriginConfig) -> dict[str, float]:
    """Serve until SIGTERM or Ctrl-C, then finish what is under way; what was counted."""
    origin = Origin(config)
    with stop_signals() as stop, on_hangup(origin.reload):
        try:
            url = await origin.start()
            count = origin.library.title_count
            titles = "1 title" if count == 1 else f"{count} titles"
            print(f"origin ready on {url} ({titles} in {config.library})", flush=True)
            await _until(stop, origin.start_control())
        finally:
            await origin.close()
    return origin.metrics.totals()


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Wait for `stop`, with `work` beside it; its errors end the waiting."""
    task = asyncio.get_running_loop().create_task(work, name="origin/control")
    stopped = asyncio.get_running_loop().create_task(stop.wait(), name="origin/stop")
    try:
        await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
            await stopped
    finally:
        task.cancel()
        stopped.cancel()
        await asyncio.gather(task, stopped, return_exceptions=True)
