"""The shaped proxy between real sockets on loopback."""

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from nearcast.clock import SystemClock
from nearcast.errors import InputError
from simulation.drivers.proxy import ShapedProxy
from simulation.link_shape import ProxySpec

LIMIT_S = 15.0
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def within_limit(work: Coroutine[Any, Any, None]) -> None:
    async def main() -> None:
        async with asyncio.timeout(LIMIT_S):
            await work

    asyncio.run(main())


async def until(is_true: Callable[[], bool]) -> None:
    """Give the loop turns until it is so; the test's own limit ends a wait that is in vain."""
    while not is_true():  # noqa: ASYNC110 - the state looked at is the proxy's own, without an event
        await asyncio.sleep(0.001)


@asynccontextmanager
async def shaped(handler: Handler, **shape: Any) -> AsyncIterator[ShapedProxy]:
    """A server with this handler, behind a proxy of this shape."""
    idle = asyncio.Event()
    busy_count = 0

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal busy_count
        busy_count += 1
        idle.clear()
        try:
            await handler(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            busy_count -= 1
            if busy_count == 0:
                idle.set()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    proxy = ShapedProxy(ProxySpec(to=f"127.0.0.1:{port}", **shape), SystemClock())
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.drain(1.0)
        server.close()
        await idle.wait()


async def connect(proxy: ShapedProxy) -> Streams:
    host, _, port = proxy.address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def echo_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer only once the client has said everything: needs its half-close."""
    writer.write(await reader.read())
    await writer.drain()
    writer.close()


def test_bytes_pass_unchanged_both_ways_and_a_half_close_is_passed_on() -> None:
    async def main() -> None:
        body = bytes(range(256)) * 2000
        async with shaped(echo_all, rate_kbps=80_000, up_kbps=80_000) as proxy:
            reader, writer = await connect(proxy)
            writer.write(body)
            writer.write_eof()
            assert await reader.read() == body
            writer.close()
            figures = proxy.figures()
            assert figures.up.delivered_bytes == figures.down.delivered_bytes == len(body)

    within_limit(main())


def test_rate_and_round_trips_are_those_of_the_link() -> None:
    async def main() -> None:
        size_bytes, delay_s = 250_000, 0.05

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(bytes(size_bytes))
            await writer.drain()
            writer.close()

        async with shaped(serve, rate_kbps=8_000, delay_ms=50) as proxy:
            ideal_s = 4 * delay_s + size_bytes * 8 / 8e6
            took_s = []
            for _ in range(5):
                start_s = time.monotonic()
                reader, writer = await connect(proxy)
                writer.write(b"GET\n")
                await reader.readexactly(1)
                # A handshake, then request and answer: two round trips before the first byte.
                assert time.monotonic() - start_s >= 4 * delay_s
                body = await reader.read()
                took_s.append(time.monotonic() - start_s)
                writer.close()
                assert len(body) == size_bytes - 1
                assert took_s[-1] >= ideal_s
                if took_s[-1] < ideal_s + 0.5:
                    break  # later only when the machine was busy
            assert min(took_s) < ideal_s + 0.5

    within_limit(main())


def test_slow_start_costs_a_round_trip_for_each_window_until_it_covers_the_link() -> None:
    async def main() -> None:
        size_bytes, delay_s = 7 * 14_600, 0.05

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.readline():
                writer.write(bytes(size_bytes))
                await writer.drain()
            writer.close()

        async with shaped(serve, rate_kbps=200_000, delay_ms=50, slow_start=True) as proxy:
            reader, writer = await connect(proxy)
            took_s = []
            for _ in range(2):
                start_s = time.monotonic()
                writer.write(b"GET\n")
                await reader.readexactly(size_bytes)
                took_s.append(time.monotonic() - start_s)
            writer.close()
        # The first answer waits for the handshake as well, and goes out in windows of 1, 2 and 4.
        assert 8 * delay_s <= took_s[0] < 8 * delay_s + 0.5
        assert 2 * delay_s <= took_s[1] < took_s[0] - 4 * delay_s

    within_limit(main())


def test_connections_share_the_link() -> None:
    async def main() -> None:
        size_bytes = 100_000

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(bytes(size_bytes))
            await writer.drain()
            writer.close()

        async with shaped(serve, rate_kbps=8_000) as proxy:
            start_s = time.monotonic()

            async def fetch() -> float:
                reader, writer = await connect(proxy)
                writer.write(b"GET\n")
                assert len(await reader.read()) == size_bytes
                writer.close()
                return time.monotonic() - start_s

            ends_s = await asyncio.gather(*(fetch() for _ in range(3)))
            assert max(ends_s) >= 3 * size_bytes * 8 / 8e6
            # Taking turns, all end close together; one after the other they would be 0.1 s apart.
            assert max(ends_s) - min(ends_s) < 0.09

    within_limit(main())


def reset(writer: asyncio.StreamWriter) -> None:
    end = writer.get_extra_info("socket")
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def test_reset_of_upstream_reaches_the_client_behind_the_bytes_sent_before() -> None:
    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(bytes(10_000))
            await writer.drain()
            await reader.readline()
            reset(writer)

        async with shaped(serve, rate_kbps=8_000, delay_ms=10) as proxy:
            reader, writer = await connect(proxy)
            assert len(await reader.readexactly(10_000)) == 10_000
            writer.write(b"now\n")
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()
            assert proxy.figures().reset_count >= 1

    within_limit(main())


def test_client_that_aborts_is_noticed_upstream_and_frees_the_link() -> None:
    async def main() -> None:
        gone = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    writer.write(bytes(65_536))
                    await writer.drain()
            except ConnectionError:
                gone.set()

        async with shaped(serve, rate_kbps=8_000, delay_ms=10) as proxy:
            reader, writer = await connect(proxy)
            await reader.readexactly(50_000)
            reset(writer)
            await gone.wait()
            await until(lambda: proxy.figures().down.open_flow_count == 0)
            figures = proxy.figures()
            assert figures.down.queued_bytes == figures.down.in_flight_bytes == 0
            assert figures.down.discarded_bytes > 0

    within_limit(main())


def test_client_that_does_not_read_holds_its_sender_and_not_our_memory() -> None:
    async def main() -> None:
        sent_bytes = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent_bytes
            writer.transport.set_write_buffer_limits(high=0)
            try:
                while True:
                    writer.write(bytes(65_536))
                    await writer.drain()
                    sent_bytes += 65_536
            except ConnectionError:
                pass

        async with shaped(serve, rate_kbps=800_000) as proxy:
            host, _, port = proxy.address.rpartition(":")
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, (host, int(port)))
            figures = proxy.figures()
            still_count = 0
            while still_count < 100:  # a tenth of a second at 100 MB/s without one more byte
                await asyncio.sleep(0.001)
                before, figures = figures, proxy.figures()
                is_still = figures.down == before.down and figures.down.offered_bytes > 0
                still_count = still_count + 1 if is_still else 0
            held_bytes = figures.down.queued_bytes + figures.down.in_flight_bytes
            assert held_bytes <= 256 * 1024 + 64 * 1024
            client.close()

    within_limit(main())


def test_refused_upstream_closes_the_client_and_is_counted() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        proxy = ShapedProxy(ProxySpec(to=f"127.0.0.1:{port}", rate_kbps=1000), SystemClock())
        await proxy.start()
        reader, writer = await connect(proxy)
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        writer.close()
        await until(lambda: proxy.figures().refused_count == 1)
        await proxy.drain(1.0)

    within_limit(main())


def test_drain_lets_what_is_on_its_way_arrive_and_takes_nobody_new() -> None:
    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(bytes(100_000))
            await reader.read()

        async with shaped(serve, rate_kbps=8_000, delay_ms=20) as proxy:
            reader, writer = await connect(proxy)
            writer.write(b"GET\n")
            await reader.readexactly(1)
            draining = asyncio.create_task(proxy.drain(5.0))
            assert len(await reader.read()) == 99_999
            await draining
            with pytest.raises(OSError, match=r"refused|Connect"):
                await connect(proxy)
            writer.close()

    within_limit(main())


def test_taken_port_is_an_input_error_that_names_it() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            listen = f"127.0.0.1:{taken.getsockname()[1]}"
            proxy = ShapedProxy(
                ProxySpec(to="127.0.0.1:9", listen=listen, rate_kbps=1000), SystemClock()
            )
            with pytest.raises(InputError, match=listen):
                await proxy.start()
            await proxy.drain(0.1)

    within_limit(main())
