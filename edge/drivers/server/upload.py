"""A request's body on its way upstream.

The connection keeps what has arrived of it until it is known where it goes. Then it flows there as
fast as that side takes it; reading from the client stops meanwhile.
"""

from __future__ import annotations

from typing import Final, Protocol

from edge.drivers.server.passing import Exchange
from edge.events import Headers
from nearcast.http1 import Framing, Limits, MalformedMessage, decoder

HELD_BYTES_MAX: Final = 256 * 1024
"""Kept of a body, or of the requests that follow, while there is nowhere for them to go."""

_NOT_TRAILERS: Final = frozenset(
    {"authorization", "connection", "content-encoding", "content-length", "content-range",
     "content-type", "cookie", "host", "set-cookie", "te", "trailer", "transfer-encoding",
     "upgrade"}
)  # fmt: skip


class Inlet(Protocol):
    """What an upload needs of its connection."""

    def hold_reading(self, is_held: bool) -> None: ...

    def upload_failed(self, error: MalformedMessage) -> None: ...


class Upload:
    """Takes a body's bytes off a connection."""

    def __init__(
        self, framing: Framing, *, limits: Limits, bytes_max: int, expects_continue: bool
    ) -> None:
        self.framing = framing
        self.expects_continue = expects_continue
        """The client waits for our word before it sends."""
        self.size_bytes = 0
        self._decoder = decoder(framing, limits)
        self._bytes_max = bytes_max
        self._held = b""
        self._inlet: Inlet | None = None
        self._exchange: Exchange | None = None
        self._is_told = False

    @property
    def is_complete(self) -> bool:
        return self._decoder.is_complete

    @property
    def has_begun(self) -> bool:
        """Whether any of it has arrived."""
        return bool(self._held) or self.size_bytes > 0

    @property
    def rest(self) -> bytes:
        """What came after the body."""
        return self._decoder.rest

    @property
    def is_held_up(self) -> bool:
        """Whether it is not the client that is waited for."""
        return bool(self._held) or self._exchange is None

    def feed(self, data: bytes, inlet: Inlet) -> None:
        """More of it has arrived."""
        self._inlet = inlet
        self._held = self._held + data if self._held else data
        if self._exchange is not None:
            self._flow()
        elif len(self._held) >= HELD_BYTES_MAX:
            inlet.hold_reading(True)

    def flow_to(self, exchange: Exchange, inlet: Inlet) -> None:
        self._exchange = exchange
        self._inlet = inlet
        self._flow()

    def discard(self) -> bool:
        """Nobody wants it. Whether all of it has arrived, so that the connection can go on."""
        self._exchange = None
        if not self.is_complete:
            held, self._held = self._held, b""
            try:
                self._decoder.feed(held)
            except MalformedMessage:
                return False
        return self.is_complete

    def _flow(self) -> None:
        exchange, inlet = self._exchange, self._inlet
        if exchange is None or inlet is None:
            return
        if not exchange.has_room:
            inlet.hold_reading(True)
            exchange.when_room(self._flow)
            return
        inlet.hold_reading(False)
        if self._held and not self.is_complete:
            held, self._held = self._held, b""
            try:
                payload = self._decoder.feed(held)
                self.size_bytes += len(payload)
                if self.size_bytes > self._bytes_max:
                    raise MalformedMessage(413, f"a body of more than {self._bytes_max} bytes")
            except MalformedMessage as error:
                inlet.upload_failed(error)
                return
            if payload:
                exchange.send(payload)
        if self.is_complete and not self._is_told:
            self._is_told = True
            exchange.end_upload(passable(self._decoder.trailers))


def passable(trailers: Headers) -> Headers:
    """The trailer fields that may be passed on: none that say how a message is read."""
    return tuple(field for field in trailers if field[0] not in _NOT_TRAILERS)
