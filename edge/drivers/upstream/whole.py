"""A small answer as a whole, for what the node asks in its own name."""

from __future__ import annotations

import asyncio

import msgspec

from edge.drivers.upstream.connection import Connection
from edge.drivers.upstream.errors import UpstreamError
from edge.drivers.upstream.pool import Peer
from edge.events import FailureCause, Headers
from edge.targets import Destination
from nearcast.http1 import ResponseHead, format_request_head


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`body` is None when it was longer than allowed."""

    status: int
    headers: Headers
    body: bytes | None


class WholeFetch:
    """A customer and receiver; `answer` is its end. Raises UpstreamError."""

    def __init__(self, *, bytes_max: int) -> None:
        self.is_gone = False
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._bytes_max = bytes_max
        self._request = b""
        self._connection: Connection | None = None
        self._head: ResponseHead | None = None
        self._parts: list[bytes] = []
        self._size_bytes = 0

    def start(self, peer: Peer, destination: Destination, headers: Headers) -> None:
        fields = peer.fields(destination.host, headers)
        self._request = format_request_head("GET", destination.target, fields)
        peer.take(self)

    def close(self) -> None:
        """Give it up, if it is not over."""
        self.is_gone = True
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.drop()

    def ready(self, connection: Connection) -> None:
        self._connection = connection
        connection.ask("GET", self._request, self)

    def refused(self, cause: FailureCause, detail: str) -> None:
        self.is_gone = True
        self._connection = None
        if not self.answer.done():
            self.answer.set_exception(UpstreamError(cause, detail))

    def interim(self, head: ResponseHead) -> None:
        pass

    def head(self, head: ResponseHead, payload: bytes) -> None:
        self._head = head
        self.data(payload)

    def data(self, payload: bytes) -> None:
        self._size_bytes += len(payload)
        if self._size_bytes <= self._bytes_max:
            self._parts.append(payload)
            return
        self.close()
        self._done(None)

    def end(self, trailers: Headers) -> None:
        self._connection = None
        self.is_gone = True
        self._done(b"".join(self._parts))

    def failed(self, cause: FailureCause, detail: str, *, is_unanswered: bool) -> None:
        self.refused(cause, detail)

    def writable(self) -> None:
        pass

    def _done(self, body: bytes | None) -> None:
        assert self._head is not None
        if not self.answer.done():
            answer = Answer(status=self._head.status, headers=self._head.headers, body=body)
            self.answer.set_result(answer)
