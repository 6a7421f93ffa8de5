"""Writing into the fleet's folder beside the node's work, one thing after the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

from edge.drivers.fleet.folder import FleetFolder
from nearcast.errors import ConfigError

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Keeping:
    """Make it inside the running loop."""

    def __init__(self, folder: FleetFolder) -> None:
        self.folder = folder
        self._lock = asyncio.Lock()

    async def try_to(self, keep: Callable[[], None]) -> None:
        """What cannot be written is done without: the node goes on, and a restart knows less."""
        try:
            await self.do(keep)
        except (OSError, ConfigError) as error:
            logger.warning("fleet.not_written folder=%s cause=%s", self.folder.path, error)

    async def do(self, work: Callable[[], T]) -> T:
        """In a thread. Raises what `work` raises."""
        async with self._lock:
            return await asyncio.to_thread(work)
