"""The load generator against servers of a few lines each."""

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from simulation.bench.load import Load, LoadFailed, generate

Reply = Callable[[bytes], list[bytes]]


def measured(reply: Reply, *, connection_count: int = 2, duration_s: float = 0.03) -> Load:
    """What `generate` sees of a server that answers each request with these pieces; no pieces:
    it closes the connection."""

    handlers: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                pieces = reply(request)
                if not pieces:
                    break
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the generator has measured enough
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def main() -> Load:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            try:
                return await generate(
                    port, ("/a", "/b"), connection_count=connection_count, duration_s=duration_s
                )
            finally:  # until every connection is closed, not only the listening socket
                async with asyncio.timeout(5):
                    await asyncio.gather(*(task for task in handlers if task is not None))

    return asyncio.run(main())


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def test_answers_in_one_piece_or_many_are_counted_alike() -> None:
    whole, answer = measured(lambda request: [ok(b"x" * 100)]), ok(b"x" * 100)
    torn = measured(lambda request: [answer[:9], answer[9:40], answer[40:90], answer[90:]])
    for load in (whole, torn):
        assert load.request_count == len(load.latencies_s) > 0
        assert load.body_bytes >= 100 * load.request_count  # and those cut off at the end
        assert load.duration_s >= 0.03
        assert all(0 < latency_s <= load.duration_s for latency_s in load.latencies_s)


def test_connections_take_turns_through_the_targets() -> None:
    asked: list[bytes] = []

    def reply(request: bytes) -> list[bytes]:
        asked.append(request.split()[1])
        return [ok(b"")]

    measured(reply, connection_count=1)
    assert len(asked) >= 2
    assert asked[:4] == [b"/a", b"/b", b"/a", b"/b"][: len(asked)]


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"], "HTTP/1.1 503 Busy"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"], "HTTP/1.1 200 OK"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxx"], "more bytes than announced"),
        ([], "closing the connection"),
        ([b"HTTP/1.1 200 OK\r\n"], "nothing within"),
    ],
)
def test_what_is_no_measurement_fails(pieces: list[bytes], reason: str) -> None:
    with pytest.raises(LoadFailed, match=reason):
        measured(lambda request: pieces)
