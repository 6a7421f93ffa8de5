"""One request passed through for one client: its upload and its answer, streamed both ways.

What could happen twice must not: a request goes out again only if it is idempotent, has no body,
was sent on a kept connection and that died without a byte of an answer. All others get a new
connection, where none of this can come up.

The answer may begin while the upload still runs. If it is an error, or upstream will close, the
rest of the upload is of no use to anyone: it is stopped, and the connection ends with the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from cache.http.headers import without
from edge.config import HttpConfig
from edge.drivers.body import Buffer
from edge.drivers.upstream.connection import Connection
from edge.drivers.upstream.deadline import Deadline
from edge.drivers.upstream.pool import Peer
from edge.effects import PassThrough
from edge.events import FailureCause, Headers
from edge.targets import Destination
from nearcast.http1 import (
    Framing,
    ResponseHead,
    format_chunk,
    format_last_chunk,
    format_request_head,
)

# The server has given the client its 100, or its body is here; upstream's would come too late.
_OURS: Final = ("host", "content-length", "transfer-encoding", "expect", "connection", "keep-alive")
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
HELD_BYTES_MAX: Final = 64 * 1024
"""Of an upload, until there is a connection to send it on."""


class ExchangeSink(Protocol):
    """Who waits for the answer."""

    def interim(self, status: int, headers: Headers) -> None:
        """A 1xx answer other than 100, which is ours to give, and 101, which nobody asked for."""

    def head(self, head: ResponseHead) -> None: ...

    def data(self, data: Buffer) -> None:
        """Payload, freed from its framing."""

    def end(self, trailers: Headers) -> None: ...

    def failed(self, cause: FailureCause, detail: str) -> None:
        """No more will come: before the head, or in the middle of the body."""


class Exchange:
    """As edge.drivers.server.passing.Exchange."""

    def __init__(
        self, effect: PassThrough, framing: Framing, sink: ExchangeSink, http: HttpConfig
    ) -> None:
        self.is_gone = False
        self._effect = effect
        self._framing = framing
        self._sink = sink
        self._peer: Peer | None = None
        self._http = http
        self._request = b""
        self._connection: Connection | None = None
        self._held: list[bytes] = []  # of the upload, framed, until there is a connection
        self._held_bytes = 0
        self._uploaded_bytes = 0
        self._is_uploading = framing != 0
        self._is_second_try = False
        self._is_paused = False
        self._is_answered = False
        self._when_room: Callable[[], None] | None = None
        self._deadline = Deadline(self._overdue)

    def start(self, peer: Peer, destination: Destination) -> None:
        effect = self._effect
        self._peer = peer
        http = self._http
        headers = list(peer.fields(destination.host, without(effect.headers, _OURS)))
        if self._framing == "chunked":
            headers.append(("transfer-encoding", "chunked"))
        elif self._framing or effect.method in ("POST", "PUT", "PATCH"):
            headers.append(("content-length", str(self._framing)))
        self._request = format_request_head(effect.method, destination.target, tuple(headers))
        # For a connection; it may have to wait in line for one.
        self._deadline.set(http.connect_timeout_s + http.fill_header_timeout_s)
        peer.take(self, is_fresh=not self._may_repeat)

    def refuse(self, cause: FailureCause, detail: str) -> None:
        """End it before it began, but not before the caller knows of it."""
        asyncio.get_running_loop().call_soon(self.refused, cause, detail)

    # -- for the server

    @property
    def has_room(self) -> bool:
        if self.is_gone or not self._is_uploading:
            return True  # it goes nowhere
        if self._connection is None:
            return self._held_bytes < HELD_BYTES_MAX
        return self._connection.can_write

    def when_room(self, callback: Callable[[], None]) -> None:
        self._when_room = callback
        if self.has_room:
            asyncio.get_running_loop().call_soon(self._tell_room)

    def send(self, data: Buffer) -> None:
        if not self._is_uploading or self.is_gone or not len(data):
            return
        self._uploaded_bytes += len(data)
        if self._framing == "chunked":
            self._write(format_chunk(data))
        elif isinstance(self._framing, int) and self._uploaded_bytes > self._framing:
            # It would be taken for the next request on that connection.
            self.refuse("broken", "an upload longer than announced")
        else:
            self._write(bytes(data))

    def end_upload(self, trailers: Headers) -> None:
        if not self._is_uploading or self.is_gone:
            return
        if isinstance(self._framing, int) and self._uploaded_bytes != self._framing:
            self.refuse("broken", "an upload shorter than announced")
            return
        if self._framing == "chunked":
            self._write(format_last_chunk(trailers))
        self._is_uploading = False
        if self._connection is not None:
            self._connection.sent()
            self._watch()

    def pause(self) -> None:
        self._is_paused = True
        if self._connection is not None:
            self._connection.pause()
            self._watch()

    def resume(self) -> None:
        self._is_paused = False
        if self._connection is not None:
            self._connection.resume()
            self._watch()

    def cancel(self) -> None:
        self.is_gone = True
        self._deadline.close()
        self._held.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.drop()

    # -- a customer

    def ready(self, connection: Connection) -> None:
        self._connection = connection
        connection.ask(self._effect.method, self._request, self, is_whole=not self._is_uploading)
        held, self._held = self._held, []
        for piece in held:
            connection.write(piece)
        if self._framing != 0 and not self._is_uploading:
            connection.sent()
        if self._is_paused:
            connection.pause()
        self._watch()
        if self._is_uploading and connection.can_write:
            self._tell_room_soon()

    def refused(self, cause: FailureCause, detail: str) -> None:
        if self.is_gone:
            return
        self.cancel()
        self._sink.failed(cause, detail)

    # -- a receiver

    def interim(self, head: ResponseHead) -> None:
        self._watch()
        if head.status != 100:
            self._sink.interim(head.status, head.headers)

    def head(self, head: ResponseHead, payload: bytes) -> None:
        self._is_answered = True
        if self._is_uploading and (head.status >= 400 or not head.is_keep_alive):
            self._is_uploading = False  # the connection knows that the request is not whole
            self._tell_room_soon()
        self._watch()
        self._sink.head(head)
        if payload and not self.is_gone:
            self._sink.data(payload)

    def data(self, payload: bytes) -> None:
        self._watch()
        self._sink.data(payload)

    def end(self, trailers: Headers) -> None:
        self._connection = None
        self.cancel()
        self._sink.end(trailers)

    def failed(self, cause: FailureCause, detail: str, *, is_unanswered: bool) -> None:
        was_kept = self._connection is not None and self._connection.is_reused
        self._connection = None
        if is_unanswered and was_kept and self._may_repeat and not self._is_second_try:
            self._is_second_try = True
            assert self._peer is not None
            self._peer.take(self, is_fresh=True)
        else:
            self._failed(cause, detail)

    def writable(self) -> None:
        self._watch()
        self._tell_room()

    # -- parts

    @property
    def _may_repeat(self) -> bool:
        return self._framing == 0 and self._effect.method in _IDEMPOTENT

    def _write(self, framed: bytes) -> None:
        if self._connection is None:
            self._held.append(framed)
            self._held_bytes += len(framed)
        else:
            self._connection.write(framed)
            self._watch()

    def _watch(self) -> None:
        """Wait for upstream only as long as it is upstream's turn."""
        connection, http = self._connection, self._http
        if connection is None:
            return
        if self._is_answered:
            if self._is_paused:
                self._deadline.clear()
            else:
                self._deadline.set(http.fill_idle_timeout_s)
        elif not self._is_uploading:
            self._deadline.set(http.fill_header_timeout_s)
        elif not connection.can_write:
            self._deadline.set(http.fill_idle_timeout_s)
        else:
            self._deadline.clear()  # the client's turn; the server minds that

    def _overdue(self) -> None:
        self._failed("timeout", "no answer in time")

    def _failed(self, cause: FailureCause, detail: str) -> None:
        if self._peer is not None and not self.is_gone:
            self._peer.failed(cause, detail)
        self.refused(cause, detail)

    def _tell_room_soon(self) -> None:
        if self._when_room is not None:
            asyncio.get_running_loop().call_soon(self._tell_room)

    def _tell_room(self) -> None:
        if self._when_room is not None and self.has_room and not self.is_gone:
            callback, self._when_room = self._when_room, None
            callback()
