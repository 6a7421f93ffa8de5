"""The fleet's folder for a node that runs: read and written in threads, one thing at a time."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import TypeVar

from edge.drivers.fleet.folder import FleetFolder
from edge.fleet.identity import Identity
from edge.fleet.orders import PlacementState
from nearcast.errors import ConfigError

logger = logging.getLogger(__name__)

T = TypeVar("T")


class AsyncFolder:
    """Make it inside the running loop. What cannot be written is done without: the node goes on,
    and a restart knows less."""

    def __init__(self, folder: FleetFolder) -> None:
        self._folder = folder
        self._lock = asyncio.Lock()

    async def plan(self) -> bytes | None:
        """As it was fetched; None when there is none."""
        return await self._do(self._folder.plan)

    async def spent(self) -> PlacementState | None:
        return await self._do(self._folder.spent)

    async def keep_plan(self, signed: bytes) -> None:
        await self._try_to(lambda: self._folder.keep_plan(signed))

    async def keep_spent(self, state: PlacementState) -> None:
        await self._try_to(lambda: self._folder.keep_spent(state))

    async def keep_identity(self, identity: Identity) -> None:
        await self._try_to(lambda: self._folder.keep_identity(identity))

    async def renew(self, identity: Identity) -> ssl.SSLContext:
        """Keep it, and show its certificate from now on. Raises ConfigError."""

        def keep() -> ssl.SSLContext:
            self._folder.keep_identity(identity)
            return self._folder.tls(identity)

        return await self._do(keep)

    async def _try_to(self, keep: Callable[[], None]) -> None:
        try:
            await self._do(keep)
        except (OSError, ConfigError) as error:
            logger.warning("fleet.not_written folder=%s cause=%s", self._folder.path, error)

    async def _do(self, work: Callable[[], T]) -> T:
        async with self._lock:
            return await asyncio.to_thread(work)
