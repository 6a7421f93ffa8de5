"""Takes telemetry from NATS JetStream: any number of origins share one durable consumer.

A message is acknowledged when what it holds is committed, so one that an origin had when it was
killed comes again, to whichever is there. What comes out of order waits a little and comes again
too. The stream keeps a message until it is acknowledged, and takes no more when it is full: then
edges keep what they have on their disks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Final

import msgspec

from nearcast.backoff import doubled_s
from nearcast.errors import NearcastError, RemoteProtocolError
from nearcast.fleet import Refused
from nearcast.nats_login import nats_login
from nearcast.telemetry import NATS_SUBJECT, PiecePlace
from origin.config import TelemetryConfig
from origin.drivers.telemetry.intake import Intake
from origin.telemetry.pieces import Piece, inflate, read_piece

logger = logging.getLogger(__name__)

STREAM: Final = "NEARCAST_TELEMETRY"
CONSUMER: Final = "nearcast-origin"
BATCH: Final = 100
"""Messages at a time, committed together."""
FETCH_S: Final = 5.0
MORE_S: Final = 0.2
"""After the first message has come: nats-py waits for the whole of a batch, or so long."""
ACK_S: Final = 30.0
"""After which a message of an origin that says nothing goes to another."""
UNREAD_MAX: Final = 256
"""Messages under way. An edge declares nothing done with that may be among them
(edge.drivers.telemetry.carriers.UNREAD_SEGMENTS)."""
EARLY_S: Final = 1.0
EARLY_TRIES: Final = 60
"""How often a piece may come before the one that it follows; then that one is lost, and it too."""
PAUSE_S: Final = 1.0
"""Before the first try to connect again; doubled with each that fails."""
PAUSE_S_MAX: Final = 30.0


class NatsFigures(msgspec.Struct, kw_only=True):
    """Counted since the start of the process."""

    message_count: int = 0
    again_count: int = 0
    """Put back: out of order, or the database was away."""
    refused_count: int = 0
    """No telemetry, or of an edge that nobody knows."""
    lost_count: int = 0
    """What they follow never came."""
    away_count: int = 0
    """Failures to connect, and connections that ended."""
    is_connected: bool = False


class NatsIntake:
    """`run` it in a task; it connects again and again by itself."""

    def __init__(
        self,
        intake: Intake,
        config: TelemetryConfig,
        *,
        wall_s: Callable[[], float],
        is_known: Callable[[str], bool],
        ack_s: float = ACK_S,
        early_s: float = EARLY_S,
        pause_s: float = PAUSE_S,
    ) -> None:
        """`is_known`: whether an edge of that name is in the fleet. That a message is of the edge
        in its subject is for the server's permissions to see to."""
        self._intake = intake
        self._config = config
        self._wall_s = wall_s
        self._is_known = is_known
        self._ack_s = ack_s
        self._early_s = early_s
        self._pause_s = pause_s
        self._failures = 0
        """Since it was connected last."""
        self.figures = NatsFigures()

    async def run(self) -> None:
        import nats.errors

        while True:
            try:
                await self._take_all()
            except (nats.errors.Error, NearcastError, OSError, TimeoutError) as error:
                if not self._failures:
                    logger.warning("telemetry.nats_away cause=%s", error)
                pause_s = doubled_s(self._pause_s, self._failures, PAUSE_S_MAX)
                self._failures += 1
                self.figures.away_count += 1
                await asyncio.sleep(pause_s)

    async def _take_all(self) -> None:
        import nats

        client = await nats.connect(
            self._config.nats_url,
            name="nearcast origin",
            connect_timeout=5,
            allow_reconnect=False,
            # Without these nats-py itself tries for two minutes before it says anything.
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            error_cb=_ignore,
            **nats_login(self._config.nats_credentials_file),
        )
        try:
            subscription = await self._subscribe(client.jetstream())
            self.figures.is_connected = True
            self._failures = 0
            logger.info("telemetry.nats_connected")
            while True:
                # In the order of the stream: `take` queues before it first waits.
                messages = await _fetch(subscription)
                await asyncio.gather(*(self._take(message) for message in messages))
                if client.is_closed:
                    raise ConnectionError("the server has closed the connection")
        finally:
            self.figures.is_connected = False
            with contextlib.suppress(Exception):  # whatever it says, we are leaving
                await client.close()

    async def _subscribe(self, stream: Any) -> Any:
        from nats.js.api import (
            AckPolicy,
            ConsumerConfig,
            DiscardPolicy,
            RetentionPolicy,
            StreamConfig,
        )
        from nats.js.errors import BadRequestError

        wanted = StreamConfig(
            name=STREAM,
            subjects=[f"{NATS_SUBJECT}.*"],
            retention=RetentionPolicy.WORK_QUEUE,
            discard=DiscardPolicy.NEW,
            max_bytes=self._config.nats_bytes_max,
        )
        try:
            await stream.add_stream(wanted)
        except BadRequestError:  # it is there, with other settings: an operator's, and they stay
            await stream.stream_info(STREAM)
        return await stream.pull_subscribe(
            f"{NATS_SUBJECT}.*",
            durable=CONSUMER,
            stream=STREAM,
            config=ConsumerConfig(
                ack_policy=AckPolicy.EXPLICIT, ack_wait=self._ack_s, max_ack_pending=UNREAD_MAX
            ),
        )

    async def _take(self, message: Any) -> None:
        self.figures.message_count += 1
        try:
            piece = self._read(message)
        except (RemoteProtocolError, ValueError) as error:
            self.figures.refused_count += 1
            logger.warning("telemetry.message_refused cause=%s", error)
            await message.term()
            return
        try:
            verdict = await self._intake.take(piece)
        except NearcastError:
            await message.nak(delay=self._early_s)
            raise
        if isinstance(verdict, Refused) and verdict.error != "busy":
            self.figures.refused_count += 1
            await message.term()
        elif isinstance(verdict, Refused):
            self.figures.again_count += 1
            await message.nak(delay=self._early_s)
        elif verdict.outcome == "early":
            await self._early(message, piece)
        else:
            await message.ack()

    async def _early(self, message: Any, piece: Piece) -> None:
        if message.metadata.num_delivered < EARLY_TRIES:
            self.figures.again_count += 1
            await message.nak(delay=self._early_s)
            return
        self.figures.lost_count += 1
        logger.error(
            "telemetry.gap edge=%s segment=%d offset=%d: what comes before never came",
            piece.edge,
            piece.segment_no,
            piece.offset_bytes,
        )
        await message.term()

    def _read(self, message: Any) -> Piece:
        edge = message.subject.removeprefix(f"{NATS_SUBJECT}.")
        if not self._is_known(edge):
            raise RemoteProtocolError("an edge that is not in the fleet")
        headers = message.headers or {}
        try:
            place = msgspec.convert(headers, PiecePlace, strict=False)
        except msgspec.ValidationError as error:
            raise RemoteProtocolError(f"no piece of a segment: {error}") from error
        return read_piece(
            edge=edge,
            boot_id=place.boot,
            segment_no=place.segment,
            offset_bytes=place.offset,
            first_segment_no=place.first,
            body=inflate(message.data, headers.get("Content-Encoding", "")),
            received_wall_s=self._wall_s(),
        )


async def _fetch(subscription: Any) -> list[Any]:
    messages: list[Any] = []
    with contextlib.suppress(TimeoutError):  # nothing came
        messages += await subscription.fetch(1, timeout=FETCH_S)
        messages += await subscription.fetch(BATCH - 1, timeout=MORE_S)
    return messages


async def _ignore(error: Exception) -> None:
    """Each failure comes up where it matters: at the next fetch."""
