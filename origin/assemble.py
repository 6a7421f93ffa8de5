"""Builds a serving origin out of its parts."""

from __future__ import annotations

from pathlib import Path

from nearcast.aio import stop_signals
from origin.config import OriginConfig
from origin.core import OriginCore
from origin.drivers.http import OriginServer
from origin.drivers.metrics import OriginMetrics
from origin.drivers.model_store import ModelStore, OnDisk
from origin.drivers.shelves import DiskLibrary
from origin.drivers.storage import LibraryFolder


class Origin:
    """A library, its core and its server. Raises InputError when the library cannot be served."""

    def __init__(self, config: OriginConfig) -> None:
        self.config = config
        self._folder = LibraryFolder(Path(config.library), must_exist=True)
        models = OnDisk(ModelStore(self._folder), config.freshness)
        self.library = DiskLibrary(
            self._folder.database,
            self._folder.media,
            models,
            config.freshness,
            steering_url=config.control.steering_url,
        )
        self.core = OriginCore(self.library)
        self.metrics = OriginMetrics()
        self.server = OriginServer(self.core, self.library, config, self.metrics)

    async def start(self) -> str:
        """Listen; returns the base URL."""
        return f"http://{await self.server.start()}"

    async def close(self) -> None:
        await self.server.close()
        self._folder.close()


async def serve(config: OriginConfig) -> dict[str, float]:
    """Serve until SIGTERM or Ctrl-C, then finish what is under way; what was counted."""
    origin = Origin(config)
    with stop_signals() as stop:
        try:
            url = await origin.start()
            count = origin.library.title_count
            titles = "1 title" if count == 1 else f"{count} titles"
            print(f"origin ready on {url} ({titles} in {config.library})", flush=True)
            await stop.wait()
        finally:
            await origin.close()
    return origin.metrics.totals()
