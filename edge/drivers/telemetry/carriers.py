"""The two ways by which pieces get to the origin.

Over the fleet connection the origin answers each piece with how far it has come. Over NATS the
stream takes it and answers for keeping it; that the origin reads it once is the origin's business.
"""

from __future__ import annotations

import contextlib
import gzip
import importlib.util
from typing import Any, Final, Protocol
from urllib.parse import urlencode

import msgspec

from edge.drivers.telemetry.spool import Piece
from nearcast.errors import ConfigError, RemoteProtocolError
from nearcast.fleet import TELEMETRY_PATH, Refused
from nearcast.nats_login import nats_login
from nearcast.telemetry import NATS_SUBJECT, PiecePlace, Received

GZIP_LEVEL: Final = 6
ANSWER_S: Final = 10.0
"""For NATS to say that it has a message."""
UNREAD_SEGMENTS: Final = 256
"""Over NATS: so many segments behind the first that is still here may be on their way to an origin,
out of order. Only before them is everything said to be done with."""


class NotCarried(Exception):
    """It did not get there now; try again later."""


class NotWanted(Exception):
    """It was refused for what it is: trying again changes nothing."""


class Carrier(Protocol):
    async def carry(self, piece: Piece) -> int:
        """Up to where its segment was taken. Raises NotCarried, NotWanted."""

    async def close(self) -> None: ...


class Shipper(Protocol):
    """The fleet connection."""

    async def post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """Status and body of whichever origin answers. Raises RemoteProtocolError, OSError."""


class OverHttp:
    """Pieces as requests to the origin."""

    def __init__(self, shipper: Shipper) -> None:
        self._shipper = shipper

    async def carry(self, piece: Piece) -> int:
        query = urlencode(_place(piece, piece.first_segment_no))
        headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        try:
            status, body = await self._shipper.post(
                f"{TELEMETRY_PATH}?{query}", _packed(piece), headers
            )
        except (RemoteProtocolError, OSError) as error:
            raise NotCarried(str(error)) from error
        if status in (400, 413):
            raise NotWanted(_reason(body))
        if status != 200:
            raise NotCarried(f"{status}: {_reason(body)}")
        try:
            received = msgspec.json.decode(body, type=Received)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise NotCarried(f"no answer to a piece: {error}") from error
        if received.segment_no != piece.segment_no:
            raise NotCarried(f"an answer about segment {received.segment_no}")
        return received.offset_bytes

    async def close(self) -> None:
        pass


class OverNats:
    """Pieces as messages of JetStream. Connects when it is first needed."""

    def __init__(self, url: str, edge: str, *, credentials_file: str = "") -> None:
        if importlib.util.find_spec("nats") is None:
            raise ConfigError(
                "telemetry.url names a NATS server, and nats-py is not installed: "
                "pip install 'nearcast[nats]'"
            )
        self._url = url
        self._credentials_file = credentials_file
        self._edge = edge
        self._client: Any = None

    async def carry(self, piece: Piece) -> int:
        import nats.errors

        place = f"{piece.boot_id}-{piece.segment_no}-{piece.offset_bytes}-{len(piece.body)}"
        headers = {
            **_place(piece, max(piece.first_segment_no - UNREAD_SEGMENTS, 0)),
            "Content-Encoding": "gzip",
            # The stream itself leaves out what comes again within its window.
            "Nats-Msg-Id": f"{self._edge}-{place}",
        }
        try:
            stream = await self._stream()
            await stream.publish(
                f"{NATS_SUBJECT}.{self._edge}", _packed(piece), timeout=ANSWER_S, headers=headers
            )
        except (nats.errors.Error, ConfigError, OSError, TimeoutError) as error:
            raise NotCarried(str(error) or type(error).__name__) from error
        return piece.end_bytes

    async def close(self) -> None:
        if self._client is not None:
            with contextlib.suppress(Exception):  # whatever it says, we are leaving
                await self._client.close()

    async def _stream(self) -> Any:
        if self._client is None or self._client.is_closed:
            import nats

            self._client = await nats.connect(
                self._url,
                name=f"nearcast edge {self._edge}",
                connect_timeout=5,
                allow_reconnect=False,
                # Without these nats-py itself tries for two minutes before it says anything.
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                error_cb=_ignore,
                **nats_login(self._credentials_file),
            )
        return self._client.jetstream()


async def _ignore(error: Exception) -> None:
    """Each failure comes up where it matters: at the piece that was not carried."""


def _place(piece: Piece, first_segment_no: int) -> dict[str, str]:
    place = PiecePlace(
        boot=piece.boot_id,
        segment=piece.segment_no,
        offset=piece.offset_bytes,
        first=first_segment_no,
    )
    return {name: str(value) for name, value in msgspec.structs.asdict(place).items()}


def _packed(piece: Piece) -> bytes:
    return gzip.compress(piece.body, GZIP_LEVEL, mtime=0)


def _reason(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=Refused).detail[:200]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "no reason given"
