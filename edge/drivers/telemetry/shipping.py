"""Sends what is in the spool, oldest first, and goes on from where the origin is.

While the origin has everything it is looked each `flush_s` for something new. After a failure the
pause doubles from one second to a minute, each drawn from half to one and a half of it, so that a
thousand edges do not come back in step. What piled up is sent at `ship_kbps` at most.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, TypeVar

import numpy as np

from edge.config import TelemetryConfig
from edge.drivers.telemetry.carriers import Carrier, NotCarried, NotWanted
from edge.drivers.telemetry.spool import Piece, Spool
from nearcast.backoff import doubled_s
from nearcast.units import bytes_per_s_from_kbps

logger = logging.getLogger(__name__)
T = TypeVar("T")

PAUSE_S_MIN: Final = 1.0
PAUSE_S_MAX: Final = 60.0
REFUSALS_MAX: Final = 3
"""Of one piece in a row, for what it is; then its segment is given up."""


class Shipping:
    """One at a time; `run` it in a task."""

    def __init__(
        self,
        spool: Spool,
        carrier: Carrier,
        config: TelemetryConfig,
        *,
        now_s: Callable[[], float],
        jitter: np.random.Generator,
        lock: asyncio.Lock,
    ) -> None:
        """`lock`: the spool is used by one thread at a time."""
        self._spool = spool
        self._carrier = carrier
        self._flush_s = config.flush_s
        self._rate = bytes_per_s_from_kbps(config.ship_kbps)
        self._now_s = now_s
        self._jitter = jitter
        self._lock = lock
        self._failures = 0
        self._refusals = 0
        self.sent_count = 0
        self.failure = ""
        """Why the last piece did not get there; empty: it did."""

    async def run(self) -> None:
        pause_s = 0.0
        while True:
            await asyncio.sleep(pause_s)
            pause_s = await self.step()

    async def step(self) -> float:
        """Send one piece if there is one; how long to pause then."""
        piece = await self._use_spool(self._spool.next_piece, self._now_s())
        if piece is None:
            return self._flush_s * (0.9 + 0.2 * self._jitter.random())
        try:
            offset_bytes = await self._carrier.carry(piece)
        except NotCarried as error:
            return self._failed(str(error))
        except NotWanted as error:
            return await self._refused(piece, str(error))
        await self._use_spool(self._spool.taken, piece.boot_id, piece.segment_no, offset_bytes)
        if offset_bytes <= piece.offset_bytes:
            return self._failed("the origin wants what came before")
        self._failures = self._refusals = 0
        self.failure = ""
        self.sent_count += 1
        return len(piece.body) / self._rate

    async def drain(self) -> None:
        """Send what there is, until something fails."""
        while not self.failure:
            before = self.sent_count
            await self.step()
            if self.sent_count == before:
                return

    def _failed(self, reason: str) -> float:
        if not self.failure:
            logger.warning("telemetry.waits cause=%s", reason)
        self.failure = reason
        pause_s = doubled_s(PAUSE_S_MIN, self._failures, PAUSE_S_MAX)
        self._failures += 1
        return float(pause_s * (0.5 + self._jitter.random()))

    async def _refused(self, piece: Piece, reason: str) -> float:
        self._refusals += 1
        if self._refusals >= REFUSALS_MAX:
            self._refusals = 0
            logger.error("telemetry.refused segment=%d cause=%s", piece.segment_no, reason)
            await self._use_spool(self._spool.give_up, piece)
        return self._failed(reason)

    async def _use_spool(self, work: Callable[..., T], *arguments: object) -> T:
        async with self._lock:
            return await asyncio.to_thread(work, *arguments)
