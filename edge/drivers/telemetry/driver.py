"""Telemetry as the node sees it: events go in, two figures come out for the heartbeat."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from edge.config import TelemetryConfig
from edge.drivers.telemetry.carriers import Carrier, OverHttp, OverNats, Shipper
from edge.drivers.telemetry.figures import TelemetryFigures
from edge.drivers.telemetry.shipping import Shipping
from edge.drivers.telemetry.spool import Spool
from edge.effects import WriteTelemetry
from nearcast.telemetry import LINE_BYTES_MAX, Line

PENDING_BYTES_MAX: Final = 8_000_000
"""Of lines on their way to a disk that does not keep up."""
FAREWELL_S: Final = 3.0
"""For sending what is left when the node stops; what is not sent then waits for the next start."""

Spawn = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]


class Telemetry:
    """Writes events down and sees that the origin gets them."""

    def __init__(
        self,
        config: TelemetryConfig,
        folder: Path,
        *,
        edge: str,
        boot_id: str,
        now_s: Callable[[], float],
        spawn: Spawn,
        jitter: np.random.Generator,
    ) -> None:
        self._config = config
        self._edge = edge
        self._now_s = now_s
        self._spawn = spawn
        self._jitter = jitter
        self._spool = Spool(folder, boot_id, config)
        self._lock = asyncio.Lock()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self._sending: asyncio.Task[None] | None = None
        self._shipping: Shipping | None = None
        self._carrier: Carrier | None = None
        if config.url:
            self._carrier = OverNats(config.url, edge, credentials_file=config.credentials_file)
        self._overflow_count = 0
        self._is_open = False

    # For the heartbeat

    @property
    def waiting_bytes(self) -> int:
        """What the origin has not taken yet."""
        return self._spool.waiting_bytes + self._pending_bytes

    @property
    def dropped_events(self) -> int:
        """Events that were lost since the node started."""
        return self._spool.dropped_count + self._overflow_count

    def figures(self) -> TelemetryFigures:
        return TelemetryFigures(
            waiting_bytes=self.waiting_bytes,
            dropped_events=self.dropped_events,
            failure=self.failure,
        )

    @property
    def failure(self) -> str:
        """Why nothing is sent, or written; empty: all is well."""
        shipping = self._shipping.failure if self._shipping is not None else ""
        return self._spool.failure or shipping

    # Work

    def use(self, shipper: Shipper) -> None:
        """The fleet connection, by which pieces are sent unless `telemetry.url` names another
        way."""
        if self._carrier is None:
            self._carrier = OverHttp(shipper)

    async def start(self) -> None:
        """Take up what earlier runs left, and begin to send."""
        async with self._lock:
            await asyncio.to_thread(self._spool.open)
        self._is_open = True
        if self._carrier is not None:
            self._shipping = Shipping(
                self._spool,
                self._carrier,
                self._config,
                now_s=self._now_s,
                jitter=self._jitter,
                lock=self._lock,
            )
            self._sending = self._spawn(self._shipping.run(), "telemetry.shipping")

    def write(self, effect: WriteTelemetry) -> None:
        """Returns at once; what there is no room for is counted."""
        for event in effect.events:
            line = _line(event)
            if not line or self._pending_bytes + len(line) > PENDING_BYTES_MAX:
                self._overflow_count += 1
                continue
            self._pending.append(line)
            self._pending_bytes += len(line)
        if self._is_open and (self._writing is None or self._writing.done()):
            self._writing = self._spawn(self._write_all(), "telemetry.writing")

    async def close(self) -> None:
        """Write down what has come, and send what can be sent quickly."""
        if not self._is_open:
            return
        if self._sending is not None:
            self._sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sending
        if self._writing is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._writing
        await self._write_all()
        if self._shipping is not None and not self._shipping.failure:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL_S):
                    await self._shipping.drain()
        if self._carrier is not None:
            await self._carrier.close()
        async with self._lock:
            await asyncio.to_thread(self._spool.close)

    async def _write_all(self) -> None:
        while self._pending:
            lines, self._pending = b"".join(self._pending), []
            async with self._lock:
                await asyncio.to_thread(self._spool.append, lines, self._now_s())
            self._pending_bytes -= len(lines)


def _line(event: Line) -> bytes:
    """Empty for what no line can hold: a name too long, or that is no text."""
    try:
        line = msgspec.json.encode(event) + b"\n"
    except UnicodeEncodeError:
        return b""
    return line if len(line) <= LINE_BYTES_MAX else b""
