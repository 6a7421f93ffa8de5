"""Upstream's end of a connection in memory, and who asks on the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from edge.drivers.upstream.connection import Connection
from edge.events import FailureCause, Headers
from nearcast.http1 import ResponseHead


class MemoryTransport(asyncio.Transport):
    """Keeps what is written, and what was asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reads = True
        self.is_aborted = False

    def write(self, data: Any) -> None:
        assert not self.is_aborted
        self.written += bytes(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def abort(self) -> None:
        self.is_aborted = True


class Line:
    """A connection, its transport, and what it told its owner."""

    def __init__(self) -> None:
        self.transport = MemoryTransport()
        self.idle_count = 0
        self.lost_count = 0
        self.connection = Connection(on_idle=self._idle, on_lost=self._lost)
        self.connection.connection_made(self.transport)

    def feed(self, data: bytes, size_bytes: int | None = None) -> None:
        """Upstream says this, in pieces of a size."""
        step = size_bytes if size_bytes is not None else max(len(data), 1)
        for start in range(0, len(data), step):
            if self.transport.is_aborted:
                return
            self.connection.data_received(data[start : start + step])

    def end(self, error: Exception | None = None) -> None:
        """Upstream closes, or the connection breaks."""
        if error is None:
            self.connection.eof_received()
        self.connection.connection_lost(error)

    def _idle(self, connection: Connection) -> None:
        self.idle_count += 1

    def _lost(self, connection: Connection) -> None:
        self.lost_count += 1


class Listener:
    """A receiver that writes down what it hears."""

    def __init__(self, on_head: Callable[[], None] | None = None) -> None:
        self.interims: list[int] = []
        self.status: int | None = None
        self.body = b""
        self.trailers: Headers | None = None
        self.failure: tuple[FailureCause, bool] | None = None
        self.detail = ""
        self._on_head = on_head

    @property
    def story(self) -> tuple[object, ...]:
        """All it heard, however it was cut into pieces. Of an answer that failed it does not
        matter how far it had come."""
        cause = self.failure[0] if self.failure is not None else None
        body = self.body if cause is None else None
        return (tuple(self.interims), self.status, body, self.trailers, cause)

    def interim(self, head: ResponseHead) -> None:
        self.interims.append(head.status)

    def head(self, head: ResponseHead, payload: bytes) -> None:
        assert self.status is None
        self.status = head.status
        self.body += payload
        if self._on_head is not None:
            self._on_head()

    def data(self, payload: bytes) -> None:
        assert payload
        assert not self._is_over
        self.body += payload

    def end(self, trailers: Headers) -> None:
        assert not self._is_over
        self.trailers = trailers

    def failed(self, cause: FailureCause, detail: str, *, is_unanswered: bool) -> None:
        assert not self._is_over
        self.failure = (cause, is_unanswered)
        self.detail = detail

    def writable(self) -> None:
        pass

    @property
    def _is_over(self) -> bool:
        return self.trailers is not None or self.failure is not None


def asked(method: str = "GET", *, is_whole: bool = True) -> tuple[Line, Listener]:
    """A connection on which a request went out."""
    line, listener = Line(), Listener()
    line.connection.ask(method, b"request", listener, is_whole=is_whole)
    return line, listener
