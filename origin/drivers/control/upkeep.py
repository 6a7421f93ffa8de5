"""Forgets in the database what is too old: once an hour, one origin at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from nearcast.errors import NearcastError
from origin.drivers.state import ControlStore
from origin.drivers.state.telemetry import forget_old

logger = logging.getLogger(__name__)

LEASE: Final = "upkeep"
INTERVAL_S: Final = 3_600.0
LEASE_S: Final = 1.5 * INTERVAL_S
"""Its holder comes again before it ends; when it is gone, another one does a little later."""
FIRST_S: Final = 60.0
"""After the start, when there is more to do."""
RETRY_S: Final = 60.0


class Upkeep:
    """`run`; then `release`."""

    def __init__(
        self, store: ControlStore, origin_id: str, wall_s: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._origin_id = origin_id
        self._wall_s = wall_s

    async def run(self) -> None:
        pause_s = FIRST_S
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self.look()
                pause_s = INTERVAL_S
            except NearcastError as error:
                logger.warning("upkeep.failed detail=%s", error)
                pause_s = RETRY_S

    async def look(self) -> bool:
        """False: that is another origin's work at present. Raises StateUnavailable."""
        wall_s = self._wall_s()
        if not await self._store.lease(LEASE, self._origin_id, wall_s, LEASE_S):
            return False
        await self._store.tidy(wall_s)
        await forget_old(self._store.database, wall_s)
        return True

    async def release(self) -> None:
        await self._store.release(LEASE, self._origin_id)
