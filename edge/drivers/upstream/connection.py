"""One connection to an upstream: one exchange at a time, any number after one another.

    idle -> asked -> (head) -> body -> idle, or closed

Whoever asks is the exchange's `Receiver` and is called from the socket's own callback, so the first
bytes of an answer are on their way to its clients before anything else is read. The connection
reads strictly (nearcast.http1): what is no HTTP ends it. It is used again only if the answer was
whole, the request was sent whole, nothing came beyond the answer's end, and upstream keeps it open.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Final, Protocol, cast

from edge.events import FailureCause, Headers
from nearcast.http1 import (
    BodyDecoder,
    Limits,
    MalformedMessage,
    ResponseHead,
    SizedBody,
    check_partial,
    decoder,
    find_head_end,
    parse_response_head,
)

logger = logging.getLogger(__name__)

HEAD_LIMITS: Final = Limits(field_bytes_max=32_768, field_count_max=256)
"""An origin of one's own is allowed more than a stranger."""
INTERIM_MAX: Final = 16
"""Answers 1xx before the one that counts; who sends more will never come to the point."""
WRITE_BUFFER_BYTES: Final = 128 * 1024
"""Of an upload that upstream does not take yet."""

WIDE_BUFFER_BYTES: Final = 4 << 20
"""Asked for; the kernel gives what net.core.rmem_max allows."""


TURN_BYTES_MAX: Final = 1 << 20
"""Read from one upstream before others get their turn: the loop would read up to 8 MB of a body
that is there, and everyone else's hit waits 6 ms for that."""


class Receiver(Protocol):
    """Who asked. After `end` or `failed` it is not called again."""

    def interim(self, head: ResponseHead) -> None: ...

    def head(self, head: ResponseHead, payload: bytes) -> None:
        """The answer has begun; `payload` is what came with its head."""

    def data(self, payload: bytes) -> None: ...

    def end(self, trailers: Headers) -> None: ...

    def failed(self, cause: FailureCause, detail: str, *, is_unanswered: bool) -> None:
        """`is_unanswered`: not one byte of an answer has come."""

    def writable(self) -> None:
        """`can_write` has become true again."""


class Connection(asyncio.Protocol):
    """`on_idle` is told when it can be used again, `on_lost` once when it cannot, ever."""

    def __init__(
        self,
        *,
        on_idle: Callable[[Connection], None],
        on_lost: Callable[[Connection], None],
        end: socket.socket | None = None,
        is_tls: bool = False,
    ) -> None:
        self.is_open = True
        self.can_write = True
        self.is_reused = False
        """Whether it has carried an exchange before."""
        self.idle_since_s = 0.0
        self.is_wide = False
        """Whether its receive buffer was small and is not any more."""
        self._end = end
        self._is_tls = is_tls
        self._on_idle = on_idle
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._receiver: Receiver | None = None
        self._method = ""
        self._is_sent = True
        self._is_paused = False
        self._is_resting = False
        self._turn_bytes = 0
        self._is_answered = False
        self._interim_count = 0
        self._held = b""  # a head that is not all here
        self._head: ResponseHead | None = None
        self._decoder: BodyDecoder | None = None

    # -- for whoever asks

    def ask(self, method: str, head: bytes, receiver: Receiver, *, is_whole: bool = True) -> None:
        """Send a request's head. `is_whole`: nothing follows it; else `write`, then `sent`."""
        assert self._receiver is None
        assert self._transport is not None
        self._receiver = receiver
        self._method = method
        self._is_sent = is_whole
        self._is_answered = False
        self._interim_count = 0
        self._transport.write(head)

    def write(self, data: bytes | memoryview) -> None:
        if self.is_open and self._transport is not None:
            self._transport.write(data)

    def sent(self) -> None:
        """The request is whole."""
        self._is_sent = True

    def pause(self) -> None:
        """Read no more for now; what is here already may still come."""
        if not self._is_paused and self.is_open and self._transport is not None:
            self._is_paused = True
            if not self._is_resting:
                self._transport.pause_reading()

    def resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            if self.is_open and self._transport is not None and not self._is_resting:
                self._transport.resume_reading()

    def widen(self) -> None:
        """Demand has joined a prefetch: its small buffer would keep it slow over a long way."""
        if self._end is not None and self.is_open and not self.is_wide:
            self.is_wide = True
            with contextlib.suppress(OSError):
                self._end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WIDE_BUFFER_BYTES)

    def drop(self) -> None:
        """Let go of the exchange, if there is one, and of the connection. Nobody is called back."""
        self._receiver = None
        self._held = b""
        if self.is_open:
            self.is_open = False
            if self._transport is not None:
                self._transport.abort()
            self._on_lost(self)

    def is_stale(self) -> bool:
        """Whether an idle connection has news that the loop has not brought yet: its end, or bytes
        that nobody asked for. It saves an attempt that would fail."""
        if not self.is_open:
            return True
        if self._end is None or self._is_tls:
            return False  # under TLS, bytes may be about the session
        try:
            self._end.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True
        return True

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's only looks like one
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)

    def data_received(self, data: bytes) -> None:
        receiver = self._receiver
        if receiver is None:
            if self.is_open:  # nobody asked: it can only be taken for a later answer
                logger.debug("upstream.unasked bytes=%d", len(data))
                self.drop()
            return
        self._is_answered = True
        self._turn_bytes += len(data)
        if self._turn_bytes > TURN_BYTES_MAX:
            self._rest()
        try:
            if self._decoder is None:
                self._take_head(receiver, data)
            else:
                payload = self._decoder.feed(data)
                if payload:
                    receiver.data(payload)
                self._go_on(receiver)
        except MalformedMessage as error:
            self._fail(receiver, "broken", error.detail)
        except Exception:  # a bug of ours must cost this one answer, not the node
            logger.exception("upstream.broken")
            if self._receiver is receiver:
                self._fail(receiver, "broken", "internal error")

    def _rest(self) -> None:
        """Go on reading in the next turn of the loop."""
        self._turn_bytes = 0
        if not self._is_paused and not self._is_resting and self._transport is not None:
            self._is_resting = True
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._rested)

    def _rested(self) -> None:
        self._is_resting = False
        if not self._is_paused and self.is_open and self._transport is not None:
            self._transport.resume_reading()

    def eof_received(self) -> None:
        self._ended(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._ended(error)

    def pause_writing(self) -> None:
        self.can_write = False

    def resume_writing(self) -> None:
        self.can_write = True
        if self._receiver is not None:
            self._receiver.writable()

    # -- reading

    def _take_head(self, receiver: Receiver, data: bytes) -> None:
        start = len(self._held)
        if start:
            data, self._held = self._held + data, b""
        while True:
            end = find_head_end(data, start)
            if end < 0:
                check_partial(data, HEAD_LIMITS)
                self._held = data
                return
            head = parse_response_head(data[:end], self._method, HEAD_LIMITS)
            data, start = data[end:], 0
            if head.status >= 200:
                break
            self._interim_count += 1
            if head.status == 101 or self._interim_count > INTERIM_MAX:
                raise MalformedMessage(502, f"status {head.status} where none was asked for")
            receiver.interim(head)
            if self._receiver is not receiver or not data:
                return
        self._head = head
        self._decoder = body = decoder(head.framing, HEAD_LIMITS)
        try:
            payload = body.feed(data) if data else b""
        except MalformedMessage:
            # Its readers get what they would get had the nonsense come a moment later.
            receiver.head(head, b"")
            raise
        receiver.head(head, payload)
        self._go_on(receiver)

    def _go_on(self, receiver: Receiver) -> None:
        """After each piece: the receiver may have dropped the connection, or the body be whole."""
        body = self._decoder
        if self._receiver is receiver and body is not None and body.is_complete:
            self._complete(receiver, body)

    def _complete(self, receiver: Receiver, body: BodyDecoder) -> None:
        assert self._head is not None
        can_go_on = self._head.is_keep_alive and self._is_sent and not body.rest
        self._receiver = self._decoder = self._head = None
        if can_go_on and self.is_open:
            self.is_reused = True
            self.resume()
            self._on_idle(self)
        else:
            self.drop()
        receiver.end(body.trailers)

    def _ended(self, error: Exception | None) -> None:
        """Upstream has closed, or the connection broke."""
        receiver, body = self._receiver, self._decoder
        if receiver is None:
            self.drop()
            return
        if error is not None or body is None:
            detail = f"the connection broke: {error}" if error is not None else "no answer"
            cause: FailureCause = "integrity" if isinstance(body, SizedBody) else "broken"
            self._fail(receiver, cause, detail)
            return
        try:
            body.eof()
        except MalformedMessage as malformed:
            cause = "integrity" if isinstance(body, SizedBody) else "broken"
            self._fail(receiver, cause, malformed.detail)
            return
        assert self._head is not None
        self._go_on(receiver)

    def _fail(self, receiver: Receiver, cause: FailureCause, detail: str) -> None:
        is_current = self._receiver is receiver
        is_unanswered = not self._is_answered
        self.drop()
        if is_current:
            receiver.failed(cause, detail, is_unanswered=is_unanswered)
