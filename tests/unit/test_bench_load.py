"""The load generator against servers of a few lines each."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import msgspec
import pytest

from simulation.bench.generator import LoadFailed, Run, request_maker, thinned
from simulation.bench.load import SAMPLES_MAX, Ask, Job, Load, percentile
from simulation.bench.wrk import script

Reply = Callable[[bytes], list[bytes]]


@contextlib.contextmanager
def server(reply: Reply) -> Iterator[int]:
    """A port that answers each request with these pieces; no pieces: it closes the connection."""
    loop = asyncio.new_event_loop()
    started = threading.Event()
    ports: list[int] = []
    stop = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while pieces := reply(await reader.readuntil(b"\r\n\r\n")):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
            ports.append(listening.sockets[0].getsockname()[1])
            started.set()
            await stop.wait()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        async with asyncio.timeout(5):  # every connection is closed, not only the listening one
            await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    assert started.wait(5)
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def measured(reply: Reply, *asks: Ask, **settings: object) -> Load:
    with server(reply) as port:
        job = Job(
            port=port,
            asks=asks or (Ask("/a", 100), Ask("/b", 100)),
            connection_count=2,
            duration_s=0.03,
        )
        run = Run(msgspec.structs.replace(job, **settings))
        try:
            return run.go()
        finally:
            run.close()


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def test_answers_in_one_piece_or_many_are_counted_alike() -> None:
    whole, answer = measured(lambda request: [ok(b"x" * 100)]), ok(b"x" * 100)
    torn = measured(lambda request: [answer[:9], answer[9:40], answer[40:90], answer[90:]])
    for load in (whole, torn):
        assert load.request_count > 0
        assert load.body_bytes == 100 * load.request_count
        assert load.duration_s >= 0.03
        assert len(load.ttfb_s) == len(load.latency_s) == min(load.request_count, SAMPLES_MAX)
        assert all(0 < latency_s <= load.duration_s for latency_s in load.latency_s)


def test_every_answer_to_a_request_is_waited_for_and_counted() -> None:
    asked: list[bytes] = []

    def reply(request: bytes) -> list[bytes]:
        asked.append(request.split()[1])
        return [ok(b"x" * 100)]

    load = measured(reply, connection_count=1)
    assert len(asked) == load.request_count
    assert asked[:4] == [b"/a", b"/b", b"/a", b"/b"][: len(asked)]


def test_connections_start_apart_and_numbers_never_repeat() -> None:
    asked: list[bytes] = []

    def reply(request: bytes) -> list[bytes]:
        asked.append(request.split()[1])
        return [ok(b"")]

    measured(reply, Ask("/a?%d", 0), Ask("/b?%d", 0), first_number=7)
    assert {target[:2] for target in asked[:2]} == {b"/a", b"/b"}
    assert len(set(asked)) == len(asked)
    assert all(int(target[3:]) > 7 for target in asked)


def test_a_steady_rate_is_kept_not_exceeded() -> None:
    load = measured(lambda request: [ok(b"x" * 100)], rate_per_s=200.0, duration_s=0.1)
    assert 1 <= load.request_count <= 21


def test_a_stall_counts_for_all_that_fell_due_in_it() -> None:
    stalls = iter([0.06])

    def reply(request: bytes) -> list[bytes]:
        time.sleep(next(stalls, 0.0))
        return [ok(b"x" * 100)]

    load = measured(reply, rate_per_s=200.0, duration_s=0.1, connection_count=1)
    assert sum(latency_s > 0.02 for latency_s in load.latency_s) >= 7  # 60, 55, 50, ... ms


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"], "HTTP/1.1 503 Busy"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"], "0 bytes instead of 100"),
        ([ok(b"x" * 99)], "99 bytes instead of 100"),
        ([ok(b"x" * 100) + b"x"], "more bytes than announced"),
        ([], "closing the connection"),
    ],
)
def test_what_is_no_measurement_fails(pieces: list[bytes], reason: str) -> None:
    with pytest.raises(LoadFailed, match=reason):
        measured(lambda request: pieces)


def test_an_answer_without_a_body_may_name_its_length() -> None:
    answer = b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nContent-Length: 100\r\n\r\n'
    load = measured(lambda request: [answer], Ask("/a", 0), status=304)
    assert load.body_bytes == 0


def test_a_number_is_put_into_target_or_headers() -> None:
    ask = Ask("/a", 0, "CMCD-Request: bl=%d\r\n")
    assert request_maker(ask, 80)(5) == (
        b"GET /a HTTP/1.1\r\nHost: 127.0.0.1:80\r\nCMCD-Request: bl=5\r\n\r\n"
    )


def test_thinning_keeps_the_ends_and_the_shape() -> None:
    values = [float(number) for number in range(100_000, 0, -1)]
    kept = thinned(values)
    assert len(kept) == SAMPLES_MAX
    assert (kept[0], kept[-1]) == (1.0, 100_000.0)
    assert percentile(kept, 0.99) == pytest.approx(99_000, rel=0.001)


def test_wrk_is_given_the_same_requests() -> None:
    job = Job(
        port=80,
        asks=(Ask('/a?b="%22', 0), Ask("/n", 0, "CMCD-Request: bl=%d\r\n")),
        connection_count=1,
        duration_s=1.0,
    )
    lines = script(job, 7).splitlines()
    assert lines[1] == r'  {"GET /a?b=\"%22 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n"},'
    assert lines[2].endswith(r'\r\nCMCD-Request: bl=", "\r\n\r\n"}')
    assert "turn, number = 0, 7" in lines[4]
