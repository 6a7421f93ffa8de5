"""One client's connection: one parser, one request after the other, one answer after the other.

    bytes -> the hit path, if they are exactly one head and nothing else is going on
          -> else the tail -> nearcast.http1 -> Reply -> the core
    a request's body -> Upload
    answers <- Reply, Sending

A connection is *free* when it waits for a head and has nothing of one yet. Only then is the hit
path asked; it either answers the very bytes that the parser would have been given, or leaves no
trace. While an answer is under way, later bytes wait in the tail: requests are answered in order,
however they arrive. Whatever the parser refuses is answered with an error and ends the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal, cast

from edge.drivers.body import Body, Buffer
from edge.drivers.server.direct import DirectSender, DirectSocket, Source
from edge.drivers.server.pace import CHECKS_PER_WINDOW, Pace
from edge.drivers.server.passing import Exchange
from edge.drivers.server.sending import (
    UNDER_WAY,
    BodySender,
    Done,
    Sending,
)
from edge.drivers.server.tail import Tail
from edge.drivers.server.upload import HELD_BYTES_MAX, Upload
from edge.drivers.server.wheel import NEVER, NO_DEADLINE_S
from edge.drivers.sockets import acknowledged_bytes, forget_unsent
from nearcast.http1 import (
    MalformedMessage,
    RequestHead,
    parse_request_head,
)

if TYPE_CHECKING:
    from edge.drivers.server.reply import Reply
    from edge.drivers.server.server import EdgeServer

logger = logging.getLogger(__name__)

LINGER_S: Final = 2.0
"""After the last answer, for what the client still sends; closing at once would reset the
connection and could lose the answer."""
LINGER_BYTES_MAX: Final = 1 << 20
Sent = Callable[[bool, int], None]
"""Called once when an answer's body has ended: whether it is whole, and its bytes sent."""

Ending = Literal["no", "after_answer", "lingering", "closed"]


class Connection(asyncio.Protocol):
    """A connection to a client. Made for each by the listener."""

    __slots__ = (
        "_direct",
        "_ending",
        "_head_since_s",
        "_is_advancing",
        "_is_eof",
        "_is_held",
        "_linger_bytes",
        "_pace",
        "_reply",
        "_sending",
        "_serve_hit",
        "_server",
        "_tail",
        "_upload",
        "client",
        "due_s",
        "is_free",
        "is_paused",
        "is_plain",
        "tick",
        "transport",
    )

    def __init__(self, server: EdgeServer, *, is_plain: bool) -> None:
        self.transport: asyncio.Transport
        self.client = ""
        self.is_plain = is_plain
        """Not TLS: what is written to the socket is what the client reads."""
        self.is_free = False
        self.is_paused = False
        self.due_s = NO_DEADLINE_S
        self.tick = NEVER
        self._server = server
        self._serve_hit = server.hits.serve
        self._tail = Tail()
        self._head_since_s: float | None = None
        self._reply: Reply | None = None
        self._upload: Upload | None = None
        self._sending: Sending | None = None
        self._direct: DirectSocket | None = None
        self._ending: Ending = "no"
        self._is_advancing = False
        self._is_eof = False
        self._is_held = False
        self._linger_bytes = 0
        self._pace: Pace | None = None

    # What the loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        peer = transport.get_extra_info("peername")
        self.client = peer[0] if isinstance(peer, tuple) else ""
        if not self._server.listener.admit(self):
            self._ending = "closed"
            self.transport.abort()
            return
        self.is_free = True
        self._head_since_s = self._server.now_s()
        self._set_due(self._head_since_s + self._server.header_deadline_s)

    def data_received(self, data: bytes) -> None:
        if self.is_free and self._serve_hit(self, data):
            return
        self._take_in(data)

    def eof_received(self) -> bool:
        """The client sends no more. What it was promised before that it still gets."""
        if self._ending in ("lingering", "closed"):
            return False
        if self._upload is not None and not self._upload.is_complete:
            return False
        if self._reply is not None and not self._reply.is_begun:
            return False  # most who close now do not read the answer either
        if self._sending is None and self._reply is None:
            return False
        self._is_eof = True
        self._ending = "after_answer"
        return self.is_plain

    def connection_lost(self, error: Exception | None) -> None:
        self._ending = "closed"
        self.is_free = False
        self._tail.data = b""
        sending, self._sending = self._sending, None
        reply, self._reply = self._reply, None
        if sending is not None:
            sending.close()
        if reply is not None:
            reply.lost(sending.sent_bytes if sending is not None else 0)
        if self._direct is not None:
            self._direct.close()
            self._direct = None
        self._server.listener.forget(self)

    def pause_writing(self) -> None:
        self.is_paused = True
        self.is_free = False
        self.waits_for_client(True)

    def resume_writing(self) -> None:
        self.is_paused = False
        if self._reply is not None:
            self._reply.resume()
        if self._sending is not None:
            self._sending.resume()
        elif self._reply is None:
            self._next()

    # Reading

    def _take_in(self, data: bytes) -> None:
        if self._ending == "lingering":
            self._linger_bytes += len(data)
            if self._linger_bytes > LINGER_BYTES_MAX:
                self.abort()
            return
        if self._ending == "closed" or self._is_eof:
            return
        if self._upload is not None:
            self._set_due(self._server.now_s() + self._server.settings.send_s)
            self._upload.feed(data, self)
            self._upload_moved()
            return
        self._tail.add(data)
        self.is_free = False
        if self._is_busy:
            if len(self._tail.data) > HELD_BYTES_MAX:
                self.hold_reading(True)
        else:
            self._next()

    @property
    def _is_busy(self) -> bool:
        return self._reply is not None or self._sending is not None

    def _next(self) -> None:
        """Go on with what has arrived, as far as it goes; then wait in the right way."""
        if self._is_advancing:
            return  # it is this that made the answer which has just ended
        self._is_advancing = True
        try:
            while (
                self._tail.data
                and not self._is_busy
                and not self.is_paused
                and self._ending == "no"
            ):
                if not self._read_head():
                    break
        except MalformedMessage as error:
            self.refuse(error.status, error.detail)
        finally:
            self._is_advancing = False
        self._settle()

    def _read_head(self) -> bool:
        """Begin to answer the first request in the tail. False when its head is not complete."""
        head = self._tail.take_head(self._server.limits)
        if head is None:
            return False
        self._head_since_s = None
        if self._server.is_draining or not self._serve_hit(self, head):
            self._begin(head, parse_request_head(head, self._server.limits))
        return True

    def _begin(self, raw: bytes, head: RequestHead) -> None:
        server = self._server
        self.due_s = NO_DEADLINE_S
        if isinstance(head.framing, int) and head.framing > server.settings.request_body_bytes_max:
            raise MalformedMessage(
                413, f"a body of more than {server.settings.request_body_bytes_max} bytes"
            )
        if head.framing != 0:
            self._upload = Upload(
                head.framing,
                limits=server.limits,
                bytes_max=server.settings.request_body_bytes_max,
                expects_continue=head.expects_continue,
            )
            if self._tail.data:
                self._upload.feed(self._tail.take(), self)
        self._reply = reply = server.reply(self, head, self._upload)
        reply.begin(raw)

    def flow_to(self, exchange: Exchange) -> None:
        """Send the request's body there."""
        if self._upload is not None:
            self._upload.flow_to(exchange, self)
            self._upload_moved()

    def _upload_moved(self) -> None:
        upload = self._upload
        if upload is None:
            return
        if upload.is_complete:
            self._upload = None
            self._tail.put_before(upload.rest)
            self.due_s = NO_DEADLINE_S
        elif not upload.is_held_up:  # the client's move, even if all so far came with the head
            self._set_due(self._server.now_s() + self._server.settings.send_s)

    def _settle(self) -> None:
        """Nothing more can be done now: see that whatever comes next wakes us."""
        if self._is_busy or self._ending != "no":
            return
        self.hold_reading(False)
        if self.is_paused:
            return
        now_s = self._server.now_s()
        self._pace = None
        if self._tail.data:
            if self._head_since_s is None:
                self._head_since_s = now_s
            self._set_due(self._head_since_s + self._server.header_deadline_s)
            return
        if self._server.is_draining:
            self.close()
            return
        if self._tail.is_line_skipped and self.due_s != NO_DEADLINE_S:
            return  # an empty line buys no time
        self._head_since_s = None
        self.is_free = not self._tail.is_line_skipped  # `_read_head` is to see the next one too
        self._set_due(now_s + self._server.settings.idle_s)

    # What requests' bodies need

    def hold_reading(self, is_held: bool) -> None:
        if is_held == self._is_held or self._ending in ("lingering", "closed") or self._is_eof:
            return
        self._is_held = is_held
        if is_held:
            self.transport.pause_reading()
            if self._upload is not None:
                self.due_s = NO_DEADLINE_S  # it is not the client that is waited for
        else:
            self.transport.resume_reading()
            if self._upload is not None:
                self._set_due(self._server.now_s() + self._server.settings.send_s)

    def upload_failed(self, error: MalformedMessage) -> None:
        reply, self._reply = self._reply, None
        is_begun = reply is not None and reply.is_begun
        if reply is not None:
            reply.lost(self.stop_sending())
        if is_begun:
            self.cut(with_reset=False)
        else:
            self.refuse(error.status, error.detail)

    # Writing

    def write(self, data: Buffer) -> None:
        self.transport.write(data)

    def write_both(self, head: bytes, data: Buffer) -> None:
        self.transport.writelines((head, data))

    def refuse(self, status: int, detail: str) -> None:
        """Answer what is no request, and end the connection."""
        self.is_free = False
        self._ending = "after_answer"
        self.transport.write(self._server.heads.text(status, detail))
        self._finish()

    def direct_now(self) -> DirectSocket | None:
        """The way past the transport, if the next answer may take it."""
        if not self.is_plain or self.transport.get_write_buffer_size():
            return None
        if self._direct is None:
            self._direct = DirectSocket(self.transport, self._server.writables)
        return self._direct

    @property
    def direct(self) -> DirectSocket:
        """The same, of an answer that has taken it."""
        assert self._direct is not None
        return self._direct

    def send_still(self, head: bytes, source: Source, size_bytes: int, done: Sent) -> int:
        """Send a body that lies still, past the transport: `size_bytes` if it is out already, else
        UNDER_WAY, and `done` will be called."""
        sent_bytes = 0
        if source.is_ready(0, min(size_bytes, source.quantum_bytes)):
            head, sent_bytes = self.direct.send_at_once(head, source, size_bytes)
            if sent_bytes == size_bytes:
                source.release()
                return size_bytes
        return self.go_on_sending(head, source, size_bytes, sent_bytes, done)

    def go_on_sending(
        self, head: bytes, source: Source, size_bytes: int, sent_bytes: int, done: Sent
    ) -> int:
        """Send what is left of a head and of a body of which so much is sent. UNDER_WAY."""
        sender = DirectSender(
            self.direct,
            head,
            source,
            size_bytes,
            sent_bytes=sent_bytes,
            done=self._ended(done),
            on_wait=self.waits_for_client,
        )
        self._start(sender)
        sender.begin()
        return UNDER_WAY

    def send_body(
        self, head: bytes, body: Body, *, left_bytes: int | None, is_chunked: bool, done: Sent
    ) -> None:
        """Send a body piece by piece."""
        sender = BodySender(
            self,
            head,
            body,
            left_bytes=left_bytes,
            is_chunked=is_chunked,
            done=self._ended(done),
        )
        self._start(sender)
        sender.begin()

    def _start(self, sending: Sending) -> None:
        self._sending = sending
        self._pace = None
        self.is_free = False
        self.due_s = NO_DEADLINE_S

    def _ended(self, done: Sent) -> Done:
        def ended(is_whole: bool) -> None:
            sending, self._sending = self._sending, None
            done(is_whole, sending.sent_bytes if sending is not None else 0)

        return ended

    def stop_sending(self) -> int:
        """Give up the body under way; how much of it was sent."""
        sending, self._sending = self._sending, None
        if sending is None:
            return 0
        sending.close()
        return sending.sent_bytes

    def answered(
        self, *, is_whole: bool, keep_alive: bool = True, is_ended_by_close: bool = False
    ) -> None:
        """An answer has ended: go on, or end the connection."""
        self._reply = None
        if self._ending == "closed":
            return
        if not is_whole:
            self.cut(with_reset=is_ended_by_close)
            return
        upload, self._upload = self._upload, None
        if upload is not None:
            keep_alive = upload.discard() and keep_alive
            self._tail.put_before(upload.rest)
        if not keep_alive or self._is_eof or self._server.is_draining:
            self._ending = "after_answer"
            self._finish()
        else:
            self._next()

    # Ending

    def _finish(self) -> None:
        """The last answer is out. Let the client read it before the connection ends."""
        self._upload = None
        self._tail.data = b""
        if self.transport.is_closing():
            return
        if not self.is_plain or self._is_eof or not self.transport.can_write_eof():
            self.close()
            return
        self.hold_reading(False)
        self._ending = "lingering"
        with contextlib.suppress(OSError, RuntimeError):
            self.transport.write_eof()
        self._set_due(self._server.now_s() + LINGER_S)

    def close(self) -> None:
        """End it; what was written is still sent."""
        self.is_free = False
        self._ending = "closed"
        self.transport.close()
        self._set_due(self._server.now_s() + LINGER_S)

    def cut(self, *, with_reset: bool) -> None:
        """End it so that the client sees that its answer is not whole.

        What was sent still arrives, and the missing rest shows: by Content-Length, or by the last
        chunk that never comes. Where neither is there it takes a reset.
        """
        if with_reset:
            self.abort()
        elif self._ending != "closed":
            self.close()

    def abort(self) -> None:
        self._ending = "closed"
        self.is_free = False
        self.transport.abort()

    def drain(self, *, at_once: bool) -> None:
        """The node is about to stop. A connection that waits for a request has no more to come."""
        self.is_free = False
        if at_once and not self._is_busy and not self._tail.data and self._ending == "no":
            self.close()

    @property
    def is_busy(self) -> bool:
        """Whether a client waits for something."""
        return self._is_busy or bool(self._tail.data)

    # Time

    def waits_for_client(self, is_waiting: bool) -> None:
        """True: the client holds up an answer, and must take some of it within its time."""
        if not is_waiting:
            self._pace = None
            self.due_s = NO_DEADLINE_S
        elif self._pace is None:
            self._pace = Pace()
            self._check_pace_later(self._server.now_s())

    def expire(self, now_s: float) -> None:
        is_ended = self._ending in ("lingering", "closed")
        if is_ended and not self.transport.get_write_buffer_size():
            self.abort()
        elif self._pace is not None:
            self._check_pace(self._pace, now_s)
        elif is_ended:  # the last of its answer is still on its way
            self.waits_for_client(True)
        elif self._upload is not None and not self._upload.is_held_up:
            self.upload_failed(MalformedMessage(408, "the body did not arrive in time"))
        elif self._is_busy:
            self.due_s = NO_DEADLINE_S
        elif self._tail.data:
            self.refuse(408, "the head did not arrive in time")
        else:
            self.close()

    def _check_pace_later(self, now_s: float) -> None:
        self._set_due(now_s + self._server.settings.send_s / CHECKS_PER_WINDOW)

    def _check_pace(self, pace: Pace, now_s: float) -> None:
        server = self._server
        if pace.is_enough(
            self._taken_bytes(),
            now_s,
            bytes_per_s_min=server.client_bytes_per_s_min,
            window_s=server.settings.send_s,
        ):
            self._check_pace_later(now_s)
        else:
            logger.info("client.slow behind_bytes=%d", pace.behind_bytes)
            forget_unsent(self.transport.get_extra_info("socket"))
            self.abort()

    def _taken_bytes(self) -> int:
        """By the client's side; only differences mean something."""
        taken_bytes = acknowledged_bytes(self.transport.get_extra_info("socket"))
        if taken_bytes is not None:
            return taken_bytes
        # By our kernel, which takes more only when much of what it has is gone.
        sent_bytes = self._sending.sent_bytes if self._sending is not None else 0
        if self._reply is not None:
            sent_bytes += self._reply.passed_bytes
        return sent_bytes - self.transport.get_write_buffer_size()

    def _set_due(self, due_s: float) -> None:
        self.due_s = due_s
        self._server.wheel.watch(self)
