"""Connections that are kept, and who waits for one.

Those that lie idle are used again, the youngest first, so that a burst's surplus can grow old and
be closed. Above the limit, of one upstream or of all, whoever comes waits in line. Connections for
prefetches are apart: their kernel buffers are small.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, NamedTuple, Protocol

from edge.drivers.upstream.connection import Connection
from edge.drivers.upstream.deadline import Deadline
from edge.drivers.upstream.dial import Dialer
from edge.drivers.upstream.errors import UpstreamError
from edge.drivers.upstream.failures import Failures
from edge.drivers.upstream.tls import Credentials
from edge.events import FailureCause, Headers
from edge.targets import UpstreamTarget
from nearcast.errors import ConfigError

IDLE_S: Final = 30.0
"""Less than the usual 60 to 75 s of origins, so that it is mostly us who close."""

Spawn = Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"]


class Customer(Protocol):
    """Who needs a connection. Exactly one of the two is called, unless it is gone by then."""

    is_gone: bool

    def ready(self, connection: Connection) -> None: ...

    def refused(self, cause: FailureCause, detail: str) -> None: ...


class _Wish(NamedTuple):
    customer: Customer
    is_small: bool
    is_fresh: bool


Mark = Callable[[Headers], Headers]
"""Writes into a request's fields through which node it goes."""


def unmarked(headers: Headers) -> Headers:
    return headers


class Peer:
    """All connections to one upstream; `take` one, and it comes back by itself."""

    def __init__(self, pool: Pool, target: UpstreamTarget) -> None:
        self.target = target
        self.credentials = Credentials(
            target.tls, target.token, is_tls=target.scheme == "https", host=target.host
        )
        self.idle: dict[bool, list[Connection]] = {False: [], True: []}  # oldest first
        self.open_count = 0
        self.waiting: deque[_Wish] = deque()
        self._pool = pool

    def fields(self, host: str, headers: Headers) -> Headers:
        """All fields of a request to this upstream, for a request that has these."""
        return (("host", host), *self.credentials.sign(self._pool.mark(headers)))

    def take(self, customer: Customer, *, is_small: bool = False, is_fresh: bool = False) -> None:
        """Give the customer a connection, now if there is an idle one. `is_fresh`: a new one, for
        what must not be sent twice."""
        idle = self.idle[is_small]
        while idle and not is_fresh:
            connection = idle.pop()
            if not connection.is_stale():
                customer.ready(connection)
                return
            connection.drop()
        if self._pool.make_space(self):
            self._dial(customer, is_small)
        else:
            self.waiting.append(_Wish(customer, is_small, is_fresh))

    def failed(self, cause: FailureCause, detail: str) -> None:
        """Something went wrong with this upstream: the operator is told."""
        self._pool.failures.failed(_name(self.target), cause, detail)

    def close_idle(self, before_s: float | None = None) -> None:
        """Those that have been idle since before then; all when no time is given."""
        for idle in self.idle.values():
            while idle and (before_s is None or idle[0].idle_since_s <= before_s):
                idle.pop(0).drop()

    def load_credentials(self) -> None:
        """Raises ConfigError. Connections under the old ones end with what they carry."""
        self.credentials.load()
        self.close_idle()

    def serve_waiting(self) -> None:
        """There may be space for the next in line."""
        while self.waiting:
            wish = self.waiting[0]
            if wish.customer.is_gone:
                self.waiting.popleft()
            elif self._pool.make_space(self):
                self.waiting.popleft()
                self._dial(wish.customer, wish.is_small)
            else:
                return

    def _dial(self, customer: Customer, is_small: bool) -> None:
        self.open_count += 1
        self._pool.open_count += 1
        self._pool.spawn(self._open(customer, is_small), "connect")

    async def _open(self, customer: Customer, is_small: bool) -> None:
        generation = self.credentials.generation

        def is_idle(connection: Connection) -> None:
            self._became_idle(connection, is_small, generation)

        def make(end: socket.socket, is_tls: bool) -> Connection:
            return Connection(on_idle=is_idle, on_lost=self._lost, end=end, is_tls=is_tls)

        try:
            connection = await self._pool.dialer.open(
                self.target, self.credentials, make, is_small=is_small
            )
        except UpstreamError as error:
            self._uncount()
            self.failed(error.cause, error.detail)
            if not customer.is_gone:
                customer.refused(error.cause, error.detail)
            return
        except asyncio.CancelledError:
            self._uncount()
            raise
        if not connection.is_open:  # closed before it could be used
            if not customer.is_gone:
                customer.refused("refused", "the connection was closed at once")
        elif customer.is_gone:
            is_idle(connection)
        else:
            customer.ready(connection)

    def _became_idle(self, connection: Connection, is_small: bool, generation: int) -> None:
        if self._pool.is_closed or generation != self.credentials.generation:
            connection.drop()
            return
        is_small = is_small and not connection.is_wide
        for number, wish in enumerate(self.waiting):
            if wish.is_small == is_small and not wish.is_fresh and not wish.customer.is_gone:
                del self.waiting[number]
                wish.customer.ready(connection)
                return
        self._pool.keep(connection, self.idle[is_small])
        self._pool.space_came()  # whoever wants another kind may have it closed

    def _lost(self, connection: Connection) -> None:
        for idle in self.idle.values():
            if connection in idle:
                idle.remove(connection)
        self._uncount()

    def _uncount(self) -> None:
        self.open_count -= 1
        self._pool.open_count -= 1
        self._pool.space_came()


class Pool:
    """All upstreams' connections."""

    def __init__(
        self,
        dialer: Dialer,
        spawn: Spawn,
        *,
        connections_max: int,
        peer_connections_max: int,
        idle_s: float = IDLE_S,
        mark: Mark = unmarked,
    ) -> None:
        self.dialer = dialer
        self.failures = Failures(asyncio.get_running_loop().time)
        self.mark = mark
        self.spawn = spawn
        self.open_count = 0
        self.is_closed = False
        self._connections_max = connections_max
        self._peer_connections_max = peer_connections_max
        self._idle_s = idle_s
        self._loop = asyncio.get_running_loop()
        self._peers: dict[UpstreamTarget, Peer] = {}
        self._ageing = Deadline(self._close_aged)

    def peer(self, target: UpstreamTarget) -> Peer:
        """Of one upstream. Raises ConfigError when its certificates or token cannot be read."""
        peer = self._peers.get(target)
        if peer is None:
            peer = Peer(self, target)
            peer.credentials.load()
            self._peers[target] = peer
        return peer

    def keep_only(self, targets: Iterable[UpstreamTarget]) -> None:
        """These are the upstreams now. Others end with what they carry."""
        wanted = set(targets)
        self.failures.keep_only({_name(target) for target in wanted})
        for target in [target for target in self._peers if target not in wanted]:
            peer = self._peers.pop(target)
            peer.credentials.generation += 1
            peer.close_idle()

    def load_credentials(self) -> None:
        """Read certificates and tokens again. Raises ConfigError; the others are read all the
        same."""
        failures = []
        for peer in self._peers.values():
            try:
                peer.load_credentials()
            except ConfigError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def close(self) -> None:
        self.is_closed = True
        self._ageing.close()
        for peer in self._peers.values():
            peer.waiting.clear()
            peer.close_idle()

    # -- for peers

    def make_space(self, peer: Peer) -> bool:
        """Whether this peer may open one more; an idle connection of another gives way."""
        if peer.open_count >= self._peer_connections_max:
            return self._drop_oldest((peer,))
        if self.open_count >= self._connections_max:
            return self._drop_oldest(self._peers.values())
        return True

    def keep(self, connection: Connection, idle: list[Connection]) -> None:
        connection.idle_since_s = self._loop.time()
        idle.append(connection)
        if not self._ageing.is_set:
            self._ageing.set(self._idle_s)

    def space_came(self) -> None:
        """A connection ended: whoever waits may open another, but not in the middle of this."""
        if not self.is_closed and any(peer.waiting for peer in self._peers.values()):
            self._loop.call_soon(self._serve_waiting)

    def _serve_waiting(self) -> None:
        for peer in self._peers.values():
            peer.serve_waiting()

    def _drop_oldest(self, peers: Iterable[Peer]) -> bool:
        idle = [queue[0] for peer in peers for queue in peer.idle.values() if queue]
        if not idle:
            return False
        min(idle, key=lambda connection: connection.idle_since_s).drop()
        return True

    def _close_aged(self) -> None:
        now_s = self._loop.time()
        for peer in self._peers.values():
            peer.close_idle(now_s - self._idle_s)
        left = [q[0].idle_since_s for p in self._peers.values() for q in p.idle.values() if q]
        if left:
            self._ageing.set(min(left) + self._idle_s - now_s)


def _name(target: UpstreamTarget) -> str:
    return f"{target.scheme}://{target.authority}"
