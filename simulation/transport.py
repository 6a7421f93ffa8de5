"""HTTP exchanges over simulated paths: heads and bodies as numbers of bytes.

A `Client` keeps persistent connections to one server, at most `connection_limit` of them; a new one
costs a round trip. One exchange at a time uses a connection. A body may grow while it is sent (an
edge passing on a fill): the server says how much there is so far, and what the link has room for
goes out at once.

    Client.send -> [queue] -> [connect] -> request bytes up -> Server.requested(exchange)
    exchange.start, offer, finish -> head and body bytes down -> Listener.started, arrived, ended
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import msgspec

from nearcast.errors import LocalProtocolError
from nearcast.http1 import Headers as Headers
from simulation.link_events import BytesOffered, EndOffered, FlowHeld, FlowReleased
from simulation.scheduler import Scheduler
from simulation.wire import Path

# What every request and answer carries beside the fields our cores set: request line or status
# line, Host, User-Agent, Accept, Date, Server, Connection.
HEAD_BYTES_BASE = 160
REFUSED = "connection refused"
CHUNK_FRAME_BYTES = 5  # the last chunk of a body whose length was not announced


class Request(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    target: str
    headers: Headers = ()

    def size_bytes(self) -> int:
        return len(self.target) + _head_bytes(self.headers)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The head of a response. `body_bytes` is None when the length is not known beforehand; `text`
    is the whole body where it is one that somebody must read."""

    status: int
    headers: Headers = ()
    body_bytes: int | None = None
    text: bytes | None = None


class Listener(Protocol):
    """Whoever sent a request. After `ended`, `failed` or a cancelled call nothing more comes."""

    def started(self, answer: Answer) -> None: ...

    def arrived(self, received_bytes: int) -> None:
        """So much of the body is here in all."""

    def ended(self, size_bytes: int, text: bytes | None) -> None: ...

    def failed(self, detail: str) -> None: ...


class Server(Protocol):
    def requested(self, exchange: Exchange) -> None:
        """A whole request is here; answer through the exchange, now or later."""

    def sent(self, exchange: Exchange) -> None:
        """The whole answer has been put on the link."""

    def left(self, exchange: Exchange) -> None:
        """The client closed before it had the whole answer."""


class Call:
    """A request that was sent, or waits to be."""

    __slots__ = ("connection", "is_held", "is_over", "listener", "request")

    def __init__(self, request: Request, listener: Listener) -> None:
        self.request = request
        self.listener = listener
        self.connection: _Connection | None = None
        self.is_held = False
        self.is_over = False


class Exchange:
    """The server's side of one request and its answer."""

    def __init__(self, request: Request, call: Call, connection: _Connection) -> None:
        self.request = request
        self.call = call
        self.answer: Answer | None = None
        self.is_over = False  # answered, aborted, or the client has left
        self._connection = connection
        self._head_bytes = 0
        self._available_bytes = 0  # head included
        self._is_complete = False
        self._offered_bytes = 0

    @property
    def client_name(self) -> str:
        """Who asks."""
        return self._connection.client_name

    @property
    def sent_bytes(self) -> int:
        """Body bytes put on the link."""
        return max(0, self._offered_bytes - self._head_bytes)

    @property
    def size_bytes(self) -> int | None:
        """Bytes of head and body together, once that is known."""
        return self._available_bytes if self._is_complete else None

    @property
    def head_bytes(self) -> int:
        return self._head_bytes

    def start(self, answer: Answer) -> None:
        assert self.answer is None, "a request is answered once"
        self.answer = answer
        self._head_bytes = self._available_bytes = _head_bytes(answer.headers)
        self._is_complete = answer.body_bytes == 0
        self._connection.pump_out(self)

    def offer(self, body_bytes: int) -> None:
        """So much of the body is there in all."""
        if not self.is_over:
            assert self.answer is not None
            self._available_bytes = self._head_bytes + body_bytes
            self._is_complete = self._is_complete or body_bytes == self.answer.body_bytes
            self._connection.pump_out(self)

    def finish(self) -> None:
        """What was offered is the whole body."""
        assert self.answer is not None
        if not self.is_over and not self._is_complete:
            self._is_complete = True
            if self.answer.body_bytes is None:
                self._available_bytes += CHUNK_FRAME_BYTES
            self._connection.pump_out(self)

    def abort(self) -> None:
        """Close the connection instead of finishing."""
        if not self.is_over:
            self.is_over = True
            self._connection.break_off()

    def drop_connection(self) -> None:
        """Close the connection behind what was sent; whoever uses it next finds it gone."""
        self.is_over = True
        self._connection.break_off()

    def take(self, room_bytes: int) -> int:
        """How much goes on the link now."""
        size_bytes = min(room_bytes, self._available_bytes - self._offered_bytes)
        self._offered_bytes += size_bytes
        self.is_over = self._is_complete and self._offered_bytes == self._available_bytes
        return size_bytes


class Client:
    """Sends requests to one server over one path."""

    def __init__(
        self,
        path: Path,
        server: Server,
        scheduler: Scheduler,
        *,
        connection_limit: int,
        name: str = "client",
    ) -> None:
        self.name = name
        self.path = path
        self.server = server
        self.scheduler = scheduler
        self.connection_count = 0  # opened in all
        self.is_refused = False  # nobody listens at the other end
        self._limit = connection_limit
        self._idle: list[_Connection] = []
        self._open_count = 0
        self._queue: deque[Call] = deque()

    def send(self, request: Request, listener: Listener) -> Call:
        """Send now if a connection is free or may be opened, else when one is."""
        call = Call(request, listener)
        self._queue.append(call)
        self._dispatch()
        return call

    def cancel(self, call: Call) -> None:
        """The answer is not wanted any more: close its connection."""
        if call.is_over:
            return
        call.is_over = True
        if call.connection is not None:
            call.connection.close()

    def hold(self, call: Call) -> None:
        """Take no more of this answer for now."""
        call.is_held = True
        if call.connection is not None:
            call.connection.set_held(True)

    def release(self, call: Call) -> None:
        call.is_held = False
        if call.connection is not None:
            call.connection.set_held(False)

    def freed(self, connection: _Connection) -> None:
        """A connection has finished its exchange."""
        self._idle.append(connection)
        self._dispatch()

    def closed(self, connection: _Connection) -> None:
        self._open_count -= 1
        if connection in self._idle:
            self._idle.remove(connection)
        self._dispatch()

    def _dispatch(self) -> None:
        while self._idle or self._open_count < self._limit:
            call = self._next_call()
            if call is None:
                return
            if self._idle:
                # The one used last, as pools do.
                self._idle.pop().use(call)
            else:
                self._open_count += 1
                self.connection_count += 1
                _Connection(self).connect(call)

    def _next_call(self) -> Call | None:
        while self._queue:
            call = self._queue.popleft()
            if not call.is_over:
                return call
        return None


class _Connection:
    """One connection of a client; a flow in each direction."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._id = client.path.next_connection_id()
        self._up = _UpEnd(self)
        self._call: Call | None = None
        self._exchange: Exchange | None = None
        self._is_open = False
        self._is_closed = False
        self._is_held = False
        self._delivered_bytes = 0  # of head and body
        self._told_bytes = 0  # of the body, to the listener
        self._has_started = False
        self._request_left_bytes = 0

    @property
    def client_name(self) -> str:
        return self._client.name

    # The client's side.

    def connect(self, call: Call) -> None:
        self._call, call.connection = call, self
        self._client.scheduler.after(self._client.path.round_trip_s, self._connected)

    def _connected(self) -> None:
        if self._is_closed:
            return
        if self._client.is_refused:
            self._refused()
            return
        self._is_open = True
        self._client.path.up.open(self._id, self._up)
        self._client.path.down.open(self._id, self)
        assert self._call is not None
        self.use(self._call)

    def _refused(self) -> None:
        self._is_closed = True
        call = self._call
        self._client.closed(self)
        if call is not None and not call.is_over:
            call.is_over = True
            call.listener.failed(REFUSED)

    def use(self, call: Call) -> None:
        """Send a request on this open connection."""
        self._call, call.connection = call, self
        self._delivered_bytes = self._told_bytes = 0
        self._has_started = False
        self._request_left_bytes = call.request.size_bytes()
        self.set_held(call.is_held)
        self._client.path.up.feed(BytesOffered(self._id, self._request_left_bytes))

    def set_held(self, is_held: bool) -> None:
        if self._is_open and is_held != self._is_held:
            self._is_held = is_held
            kind = FlowHeld if is_held else FlowReleased
            self._client.path.down.feed(kind(self._id))

    def close(self) -> None:
        """The client closes in the middle: the server learns it one delay later."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._is_open:
            self._client.path.down.drop(self._id)
            self._client.path.up.feed(EndOffered(self._id, is_reset=True))
        self._client.closed(self)

    def delivered(self, size_bytes: int) -> None:
        """Bytes of head and body have arrived."""
        call, exchange = self._call, self._exchange
        assert call is not None, "bytes arrive only during an exchange"
        assert exchange is not None
        assert exchange.answer is not None
        self._delivered_bytes += size_bytes
        if self._delivered_bytes < exchange.head_bytes:
            return
        if not self._has_started:
            self._has_started = True
            call.listener.started(exchange.answer)
        body_bytes = self._delivered_bytes - exchange.head_bytes
        announced_bytes = exchange.answer.body_bytes
        if announced_bytes is None and exchange.size_bytes is not None:
            body_bytes = min(
                body_bytes, exchange.size_bytes - exchange.head_bytes - CHUNK_FRAME_BYTES
            )
        if body_bytes > self._told_bytes and not call.is_over:
            self._told_bytes = body_bytes
            call.listener.arrived(body_bytes)
        is_whole = (
            body_bytes == announced_bytes
            if announced_bytes is not None
            else self._delivered_bytes == exchange.size_bytes
        )
        if is_whole and not call.is_over:
            self._end_exchange(call, exchange.answer, body_bytes)

    def _end_exchange(self, call: Call, answer: Answer, body_bytes: int) -> None:
        call.is_over = True
        call.connection = None
        self._call = self._exchange = None
        self.set_held(False)
        self._client.freed(self)
        call.listener.ended(body_bytes, answer.text)

    def ended(self, is_reset: bool) -> None:
        """The server has closed the connection."""
        self._client.path.up.drop(self._id)
        call = self._call
        self._is_closed = True
        self._client.closed(self)
        if call is not None and not call.is_over:
            call.is_over = True
            call.listener.failed("connection closed in the middle of the answer")

    # The server's side.

    def request_arrived(self, size_bytes: int) -> None:
        self._request_left_bytes -= size_bytes
        if self._request_left_bytes == 0:
            assert self._call is not None
            self._exchange = Exchange(self._call.request, self._call, self)
            self._client.server.requested(self._exchange)

    def client_left(self) -> None:
        exchange = self._exchange
        if exchange is not None and not exchange.is_over:
            exchange.is_over = True
            self._client.server.left(exchange)

    def room_freed(self) -> None:
        if self._exchange is not None:
            self.pump_out(self._exchange)

    def pump_out(self, exchange: Exchange) -> None:
        """Put as much on the link as there is and as it takes."""
        if exchange.is_over or exchange is not self._exchange or self._is_closed:
            return
        size_bytes = exchange.take(self._client.path.down.link.room_bytes(self._id))
        if size_bytes > 0:
            self._client.path.down.feed(BytesOffered(self._id, size_bytes))
            if exchange.is_over:
                self._client.server.sent(exchange)

    def break_off(self) -> None:
        if not self._is_closed:
            self._client.path.down.feed(EndOffered(self._id, is_reset=True))


class _UpEnd:
    """The server's end of a connection's upward flow."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    def delivered(self, size_bytes: int) -> None:
        self._connection.request_arrived(size_bytes)

    def ended(self, is_reset: bool) -> None:
        self._connection.client_left()

    def room_freed(self) -> None:
        raise LocalProtocolError("a request fits the queue of its flow")


def _head_bytes(headers: Headers) -> int:
    return HEAD_BYTES_BASE + sum(len(name) + len(value) + 4 for name, value in headers)
