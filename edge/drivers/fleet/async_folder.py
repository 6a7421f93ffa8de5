"""The fleet's folder for a node that runs: read and written in threads, one thing at a time."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import TypeVar

from edge.drivers.fleet.folder import FleetFolder
from edge.fleet.identity import Identity
from nearcast.errors import ConfigError

logger = logging.getLogger(__name__)

T = TypeVar("T")


class AsyncFolder:
    """Make it inside the running loop. What cannot be written is done without: the node goes on,
    and a restart knows less. But nothing is fetched for a plan that is not written down as
    spent."""

    def __init__(self, folder: FleetFolder) -> None:
        self._folder = folder
        self._lock = asyncio.Lock()

    async def plan(self) -> bytes | None:
        """As it was fetched; None when there is none."""
        return await self._do(self._folder.plan)

    async def spent(self) -> dict[str, int]:
        """By id of a plan."""
        return await self._do(self._folder.spent)

    async def keep_plan(self, signed: bytes) -> None:
        await self._try_to(lambda: self._folder.keep_plan(signed))

    async def keep_spent(self, plan_id: str, spent_bytes: int) -> bool:
        """Whether it is written."""
        return await self._try_to(lambda: self._folder.keep_spent(plan_id, spent_bytes))

    async def keep_identity(self, identity: Identity) -> None:
        await self._try_to(lambda: self._folder.keep_identity(identity))

    async def renew(self, identity: Identity) -> ssl.SSLContext:
        """Keep it, and show its certificate from now on. Raises ConfigError."""

        def keep() -> ssl.SSLContext:
            self._folder.keep_identity(identity)
            return self._folder.tls(identity)

        return await self._do(keep)

    async def _try_to(self, keep: Callable[[], None]) -> bool:
        try:
            await self._do(keep)
        except (OSError, ConfigError) as error:
            logger.warning("fleet.not_written folder=%s cause=%s", self._folder.path, error)
            return False
        return True

    async def _do(self, work: Callable[[], T]) -> T:
        async with self._lock:
            return await asyncio.to_thread(work)
