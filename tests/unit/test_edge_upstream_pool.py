"""Which connection an exchange gets, how many there are, and who waits."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any, cast

from edge.config import EdgeConfig
from edge.drivers.upstream.connection import Connection
from edge.drivers.upstream.dial import Dialer
from edge.drivers.upstream.errors import UpstreamError
from edge.drivers.upstream.pool import Peer, Pool
from edge.drivers.upstream.tls import Credentials
from edge.events import FailureCause
from edge.targets import UpstreamTarget
from tests.upstream_world import Listener, MemoryTransport

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


class MemoryDialer:
    """Opens connections to nowhere; fails while told to."""

    def __init__(self) -> None:
        self.opened: list[Connection] = []
        self.small_count = 0
        self.failure: UpstreamError | None = None
        self.may_open = asyncio.Event()
        self.may_open.set()
        self.end, self._other_end = socket.socketpair()

    def close(self) -> None:
        self.end.close()
        self._other_end.close()

    async def open(
        self,
        target: UpstreamTarget,
        credentials: Credentials,
        make: Callable[[socket.socket, bool], Connection],
        *,
        is_small: bool,
    ) -> Connection:
        await self.may_open.wait()
        if self.failure is not None:
            raise self.failure
        connection = make(self.end, False)
        connection.connection_made(MemoryTransport())
        self.opened.append(connection)
        self.small_count += is_small
        return connection


class Customer:
    """Asks for a connection and keeps it until told to finish."""

    def __init__(self) -> None:
        self.is_gone = False
        self.connection: Connection | None = None
        self.failure: FailureCause | None = None

    def ready(self, connection: Connection) -> None:
        assert self.connection is None
        self.connection = connection
        connection.ask("GET", b"x", Listener())

    def refused(self, cause: FailureCause, detail: str) -> None:
        self.failure = cause

    def finish(self) -> None:
        assert self.connection is not None
        self.connection.data_received(OK)


def target(port: int) -> UpstreamTarget:
    url = f"http://127.0.0.1:{port}"
    return UpstreamTarget.of(url, EdgeConfig(upstream=url).service_configs()[0])


async def turns() -> None:
    """Let all that is ready run."""
    for _ in range(8):
        await asyncio.sleep(0)


def run(
    work: Callable[[Pool, MemoryDialer], Coroutine[Any, Any, None]],
    *,
    connections_max: int = 10,
    peer_connections_max: int = 10,
    idle_s: float = 30.0,
) -> None:
    async def main() -> None:
        dialer = MemoryDialer()
        pool = Pool(
            cast("Dialer", dialer),
            lambda work, name: asyncio.create_task(work, name=name),
            connections_max=connections_max,
            peer_connections_max=peer_connections_max,
            idle_s=idle_s,
        )
        await work(pool, dialer)
        pool.close()
        await turns()
        dialer.close()
        assert pool.open_count == sum(one.is_open for one in dialer.opened)

    asyncio.run(main())


async def customers(peer: Peer, count: int, **kind: bool) -> list[Customer]:
    found = [Customer() for _ in range(count)]
    for customer in found:
        peer.take(customer, **kind)
    await turns()
    return found


def test_youngest_idle_connection_is_used_again() -> None:
    async def work(pool: Pool, dialer: MemoryDialer) -> None:
        peer = pool.peer(target(1))
        first, second = await customers(peer, 2)
        first.finish()
        second.finish()
        (third,) = await customers(peer, 1)
        assert third.connection is second.connection
        assert len(dialer.opened) == 2

    run(work)


def test_idle_connection_is_given_at_once() -> None:
    async def work(pool: Pool, dialer: MemoryDialer) -> None:
        peer = pool.peer(target(1))
        (first,) = await customers(peer, 1)
        first.finish()
        second = Customer()
        peer.take(second)
        assert second.connection is first.connection

    run(work)


def test_fresh_one_is_new_even_where_one_lies_idle_or_comes_free() -> None:
    async def work(pool: Pool, dialer: MemoryDialer) -> None:
        peer = pool.peer(target(1))
        first, second = await customers(peer, 2)
        first.finish()
        (fresh,) = await customers(peer, 1, is_fresh=True)
        assert fresh.connection is not first.connection
        assert len(dialer.opened) == 3
        (waiting,) = await customers(peer, 1, is_fresh=True)
        second.finish()
        await turns()
        assert waiting.connection is dialer.opened[3]

    run(work, peer_connections_max=3)


def test_prefetches_have_connections_of_their_own() -> None:
    async def work(pool: Pool, dialer: MemoryDialer) -> None:
        peer = pool.peer(target(1))
        (demand,) = await customers(peer, 1)
        demand.finish()
        (prefetch,) = await customers(peer, 1, is_small=True)
        assert prefetch.connection is not demand.connection
        assert dialer.small_count == 1

    run(work)


def test_connection_of_a_prefetch_that_demand_joined_serves_demand_from_then_on() -> None:
    async def work(pool: Pool, dialer: MemoryDialer) -> None:
        peer = pool.peer(target(1))
        (prefetch,) = await customers(peer, 1, is_small=True)
        assert prefetch.connection is not None
        prefetch.connection.widen()
        prefetch.finish()
        (demand,) = await customers(peer, 1)
        assert demand.connection is prefetch.connection

    run(work)


def test_above_the_limit_customers_wait_in_line() -> None:
    async def work(pool: Pool, dialer: MemoryDialer) -> None:
        peer = pool.peer(target(1))
        one, two, three, four = await customers(peer, 4)
        assert (three.connection, four.connection) == (None, None)
        three.is_gone = True
        one.finish()
        assert four.connection is one.connection
        (five,) = await customers(peer, 1)
        assert two.connection is not None
        two.connection.drop()  # one that is lost makes space too
        await turns()
        assert five.connection is dialer.opened[2]
        assert three.connection is None

    run(work, peer_connections_max=2)


def test_idle_connections_of_one_upstream_give_way_to_another() -> None:
    async def work(pool: Pool, dialer: MemoryDialer) -> None:
        for customer in await customers(pool.peer(target(1)), 2):
            customer.finish()
        (other,) = await customers(pool.peer(target(2)), 1)
        assert other.connection is not None
        assert [one.is_open for one in dialer.opened] == [False, True, True]
        assert pool.open_count == 2

    run(work, connections_max=2)


def test_connection_that_cannot_be_opened_refuses_its_customer_alone() -> None:
    async def work(pool: Pool, dialer: MemoryDialer) -> None:
        peer = pool.peer(target(1))
        dialer.failure = UpstreamError("refused", "nobody there")
        (first,) = await customers(peer, 1)
        assert first.failure == "refused"
        assert pool.open_count == 0
        dialer.failure = None
        (second,) = await customers(peer, 1)
        assert second.connection is not None

    run(work)


def test_connection_for_a_customer_that_left_is_kept_for_the_next() -> None:
    async def work(pool: Pool, dialer: MemoryDialer) -> None:
        peer = pool.peer(target(1))
        dialer.may_open.clear()
        (left,) = await customers(peer, 1)
        left.is_gone = True
        dialer.may_open.set()
        await turns()
        assert left.connection is None
        (next_one,) = await customers(peer, 1)
        assert next_one.connection is dialer.opened[0]

    run(work)


def test_connections_under_old_credentials_end_with_what_they_carry() -> None:
    async def work(pool: Pool, dialer: MemoryDialer) -> None:
        peer = pool.peer(target(1))
        busy, idle = await customers(peer, 2)
        idle.finish()
        pool.load_credentials()
        assert [one.is_open for one in dialer.opened] == [True, False]
        busy.finish()
        assert not dialer.opened[0].is_open

    run(work)


def test_upstream_that_was_removed_loses_its_connections() -> None:
    async def work(pool: Pool, dialer: MemoryDialer) -> None:
        stays, goes = await customers(pool.peer(target(1)), 2)
        (other,) = await customers(pool.peer(target(2)), 1)
        stays.finish()
        other.finish()
        pool.keep_only([target(1)])
        assert [one.is_open for one in dialer.opened] == [True, True, False]
        assert goes.connection is not None

    run(work)


def test_idle_connections_grow_old_and_are_closed() -> None:
    async def work(pool: Pool, dialer: MemoryDialer) -> None:
        busy, idle = await customers(pool.peer(target(1)), 2)
        idle.finish()
        async with asyncio.timeout(10):
            while dialer.opened[1].is_open:
                await turns()
        assert busy.connection is not None
        assert busy.connection.is_open

    run(work, idle_s=0.0)
