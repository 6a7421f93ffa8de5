"""The data port's parts by themselves: deadlines, limits, direct sending, the hit path."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge.config.server import ServerConfig
from edge.drivers.server.direct import (
    DirectSender,
    DirectSocket,
    FileSource,
    MemorySource,
    Writables,
)
from edge.drivers.server.heads import Heads
from edge.drivers.server.hits import HitPath
from edge.drivers.server.limits import ConnectionLimits
from edge.drivers.server.wheel import NEVER, NO_DEADLINE_S, TICK_S, TimerWheel
from edge.effects import PassThrough
from edge.events import PassAnswered
from nearcast.clock import VirtualClock
from nearcast.http1 import Limits
from tests.edge_bench import Bench

LIMIT_S = 10.0


def within_limit(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, LIMIT_S))


class Timed:
    def __init__(self, due_s: float, told: list[float]) -> None:
        self.due_s = due_s
        self.tick = NEVER
        self._told = told

    def expire(self, now_s: float) -> None:
        self._told.append(now_s)


def test_wheel_expires_what_is_due_and_follows_what_moves_on() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        wheel = TimerWheel(loop.time)
        told: list[float] = []
        start_s = loop.time()
        soon, moved, never, sooner = (Timed(start_s + d * TICK_S, told) for d in (1, 1, 1, 9))
        for one in (soon, moved, never, sooner):
            wheel.watch(one)
        moved.due_s = start_s + 4 * TICK_S
        never.due_s = NO_DEADLINE_S
        sooner.due_s = start_s + 2 * TICK_S
        wheel.watch(sooner)
        while len(told) < 3:  # noqa: ASYNC110 - it is time itself that is waited for
            await asyncio.sleep(TICK_S / 4)
        assert all(told[n] >= start_s + d * TICK_S for n, d in enumerate((1, 2, 4)))
        assert soon.tick == moved.tick == sooner.tick == NEVER
        wheel.close()

    within_limit(main())


def test_limits_count_by_address_and_by_ipv6_subscriber() -> None:
    limits = ConnectionLimits(ServerConfig(connections_max=6, connections_per_address_max=2))
    assert limits.enter("2001:db8::1")
    assert limits.enter("2001:db8::2")
    assert not limits.enter("2001:db8::3")
    assert limits.enter("192.0.2.1")
    assert limits.enter("::ffff:192.0.2.1")
    assert not limits.enter("192.0.2.1")
    for _ in range(2):
        limits.enter("127.0.0.1")
    assert limits.count == 6
    assert limits.refused_count == 2
    assert not limits.enter("127.0.0.1")  # there are no more at all
    limits.leave("2001:db8::1")
    assert limits.enter("2001:db8::9")


class Transport:
    """As much of a transport as direct sending asks of."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def get_extra_info(self, name: str) -> socket.socket:
        return self._end


async def send(
    make: Callable[[], Any], size_bytes: int, *, head: bytes = b"head", buffer_bytes: int = 4096
) -> tuple[bool, bytes]:
    """Whether all was sent, and what arrived, through a socket that takes little at a time."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        ours.setblocking(False)
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        writables = Writables()
        direct = DirectSocket(Transport(ours), writables)  # type: ignore[arg-type]
        done: asyncio.Future[bool] = loop.create_future()
        sender = DirectSender(
            direct,
            head,
            make(),
            size_bytes,
            sent_bytes=0,
            done=done.set_result,
            on_wait=lambda _: None,
        )
        sender.begin()
        received = bytearray()
        while not done.done():
            try:
                received += theirs.recv(1000)
            except BlockingIOError:
                await asyncio.sleep(0)
        direct.close()
        ours.shutdown(socket.SHUT_WR)
        while piece := await loop.sock_recv(theirs, 65_536):
            received += piece
        writables.close()
        return done.result(), bytes(received)


class Held:
    """A part of a file, as edge.drivers.held.HeldFile."""

    def __init__(self, fd: int, start: int) -> None:
        self.fd = fd
        self.start = start
        self.holder_count = 0

    def acquire(self) -> None:
        self.holder_count += 1

    def release(self) -> None:
        self.holder_count -= 1

    def is_cached(self, first: int, size_bytes: int) -> bool:
        return False

    def when_cached(self, first: int, size_bytes: int, callback: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(callback)


def test_head_and_body_arrive_whole_through_a_socket_that_takes_little() -> None:
    head, body = os.urandom(30_000), os.urandom(300_000)

    async def main() -> None:
        source = MemorySource(body)
        assert await send(lambda: source, len(body), head=head) == (True, head + body)

    within_limit(main())


@pytest.mark.parametrize("is_warm", [True, False])
def test_part_of_a_file_is_sent_and_let_go(tmp_path: Path, is_warm: bool) -> None:
    content = os.urandom(400_000)
    (tmp_path / "file").write_bytes(content)

    async def main() -> None:
        fd = os.open(tmp_path / "file", os.O_RDONLY)
        held: Any = Held(fd, 1000)
        source = FileSource(held, 500, is_warm=is_warm)
        assert await send(lambda: source, 300_000) == (True, b"head" + content[1500:301_500])
        assert held.holder_count == 0
        os.close(fd)

    within_limit(main())


def test_file_that_became_shorter_ends_the_sending(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"short")

    async def main() -> None:
        fd = os.open(tmp_path / "file", os.O_RDONLY)
        held: Any = Held(fd, 0)
        source = FileSource(held, 0, is_warm=True)
        assert await send(lambda: source, 1000) == (False, b"headshort")
        assert held.holder_count == 0
        os.close(fd)

    within_limit(main())


class HitBench:
    """A hit path over a real core with one object of 1000 bytes in memory."""

    def __init__(self) -> None:
        self.bench = Bench()
        clock = VirtualClock()
        self.hits: list[Any] = []
        object_id = self.bench.store("/a").stored.object_id
        server: Any = SimpleNamespace(
            core=self.bench.core,
            bodies=SimpleNamespace(in_memory={object_id: bytes(1000)}.get),
            ring=SimpleNamespace(append=self.hits.append),
            settings=ServerConfig(),
            heads=Heads(clock, "nearcast"),
            limits=Limits(),
            target_length_max=8192,
            special_paths=frozenset(),
            send_object=self._send,
        )
        self.path = HitPath(server, clock)
        self.written: list[bytes] = []
        self.connection: Any = SimpleNamespace(
            transport=SimpleNamespace(write=self.written.append), client="c", due_s=0.0
        )
        self.learn(b"GET /a HTTP/1.1\r\nhost: x\r\nuser-agent: y\r\n\r\n")

    def learn(self, raw: bytes) -> None:
        headers = tuple(
            (name.lower(), value)
            for name, _, value in (
                line.partition(": ") for line in raw.decode().split("\r\n")[1:] if line
            )
        )
        self.path.learn(raw, self.bench.request("/a", headers), self.bench.now_s)

    def serve(self, raw: bytes) -> bool:
        return self.path.serve(self.connection, raw)

    def _send(self, connection: Any, head: bytes, object_id: str, *rest: Any) -> int:
        self.written.append(head)
        return int(rest[1])


HEAD = b"host: x\r\nuser-agent: y\r\n\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /a HTTP/1.1\r\n" + HEAD,
        b"HEAD /a HTTP/1.1\r\n" + HEAD,
        b"GET /a?CMCD=bl%3D1 HTTP/1.1\r\n" + HEAD,
        b"GET /a HTTP/1.1\r\nRange: bytes=1-5\r\n" + HEAD,
        b"GET /a HTTP/1.1\r\nhost: x\r\nrange: bytes=-5\r\nuser-agent: y\r\n\r\n",
        b'GET /a HTTP/1.1\r\nIf-None-Match: W/"v1"\r\n' + HEAD,
        b"GET /a HTTP/1.1\r\ncmcd-request: bl=1\r\nCMCD-Object: br=2\r\n" + HEAD,
    ],
)
def test_hit_and_its_variants_go_the_short_way(raw: bytes) -> None:
    world = HitBench()
    assert world.serve(raw)
    assert len(world.hits) == 1
    assert world.written[0].startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /a HTTP/1.1\r\n" + HEAD + b"GET /a HTTP/1.1\r\n" + HEAD,  # two heads
        (b"GET /a HTTP/1.1\r\n" + HEAD)[:-1],
        b"GET /a HTTP/1.1\r\n" + HEAD + b"Range: bytes=0-1\r\n",  # the start of another head
        b"GET /a HTTP/1.1\r\n" + HEAD + b"Range: bytes=0-1\r\n\r\n",
        b"GET /a HTTP/1.1\r\nRange: bytes=0-1\r\n folded\r\n" + HEAD,
        b"GET /a HTTP/1.1\r\nRange: bytes=0-1\n" + HEAD,
        b"GET /a HTTP/1.1\r\nRange : bytes=0-1\r\n" + HEAD,
        b"GET /a HTTP/1.1\r\nRange: bytes=0-1\r\nRange: bytes=2-3\r\n" + HEAD,
        b"GET /a HTTP/1.1\r\nRange: bytes=0-1,3-4\r\n" + HEAD,
        b"GET /a HTTP/1.1\r\nRange: bytes=1000-\r\n" + HEAD,
        b'GET /a HTTP/1.1\r\nIf-None-Match: "v2"\r\n' + HEAD,
        b'GET /a HTTP/1.1\r\nIf-None-Match: "v1"\r\nRange: bytes=0-1\r\n' + HEAD,
        b"GET /a HTTP/1.1\r\ncontent-length: 5\r\n" + HEAD,
        b"GET /a HTTP/1.1\r\ncookie: a=b\r\n" + HEAD,
        b"GET /a HTTP/1.0\r\n" + HEAD,
        b"POST /a HTTP/1.1\r\n" + HEAD,
        b"get /a HTTP/1.1\r\n" + HEAD,
        b"GET /b HTTP/1.1\r\n" + HEAD,
        b"GET /a?CMCD=%0d HTTP/1.1\r\n" + HEAD,
        b"GET /a?CMCD=1&CMCD=2 HTTP/1.1\r\n" + HEAD,
        b"GET /a?xCMCD=1 HTTP/1.1\r\n" + HEAD,
        b"GET /a&CMCD=1 HTTP/1.1\r\n" + HEAD,
    ],
)
def test_whatever_is_not_plainly_a_hit_leaves_no_trace(raw: bytes) -> None:
    world = HitBench()
    assert not world.serve(raw)
    assert not world.hits
    assert not world.written


@pytest.mark.parametrize(
    "field", ["cache-control: no-cache", "authorization: x", "te: trailers, x"]
)
def test_only_blocks_without_a_field_to_heed_are_remembered(field: str) -> None:
    world = HitBench()
    raw = f"GET /a HTTP/1.1\r\nhost: x\r\n{field}\r\n\r\n".encode()
    world.learn(raw)
    assert world.serve(raw) == field.startswith("te:")


def test_object_that_is_dropped_is_not_served_from_memory_of_it() -> None:
    world = HitBench()
    raw = b"GET /a HTTP/1.1\r\n" + HEAD
    assert world.serve(raw)
    (passed,) = world.bench.ask("/a", method="DELETE")
    assert isinstance(passed, PassThrough)
    world.bench.feed(PassAnswered(passed=passed, status=204))
    assert not world.serve(raw)


def test_head_that_is_asked_for_again_is_made_anew_when_anything_differs() -> None:
    clock = VirtualClock()
    heads = Heads(clock, "nearcast")
    fields = (("etag", '"a"'),)

    def head(minor_version: int = 1, is_keep_alive: bool = True, status: int = 200) -> bytes:
        return heads.final(status, fields, minor_version=minor_version, is_keep_alive=is_keep_alive)

    first = head()
    assert head() is first
    assert b"connection: close" in head(is_keep_alive=False)
    assert b"connection: keep-alive" in head(minor_version=0)
    assert head(status=206).startswith(b"HTTP/1.1 206")
    assert head() == first
    clock.move_to(clock.now_s() + 2.0)
    assert head() != first  # its Date
