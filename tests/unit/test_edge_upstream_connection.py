"""One connection to an upstream: what of its bytes is an answer, and when it is used again."""

from __future__ import annotations

import asyncio

import pytest

from edge.drivers.upstream.connection import TURN_BYTES_MAX
from tests.upstream_world import Line, Listener, asked

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"


def test_whole_answer_leaves_the_connection_for_the_next_one() -> None:
    line, first = asked()
    line.feed(OK + b"hello")
    assert first.story == ((), 200, b"hello", (), None)
    assert line.idle_count == 1
    second = Listener()
    line.connection.ask("GET", b"again", second)
    line.feed(OK + b"world")
    assert second.body == b"world"
    assert line.connection.is_reused
    assert line.lost_count == 0


def test_head_comes_with_the_bytes_that_came_with_it() -> None:
    line, listener = asked()
    line.feed(OK + b"he")
    assert (listener.status, listener.body, listener.trailers) == (200, b"he", None)


@pytest.mark.parametrize("late", [False, True])
def test_bytes_beyond_the_announced_size_cost_the_connection(late: bool) -> None:
    line, listener = asked()
    line.feed(OK + b"hello" + (b"" if late else b" and more"))
    if late:
        line.feed(b" and more")
    assert listener.body == b"hello"
    assert listener.trailers == ()
    assert line.transport.is_aborted
    assert line.lost_count == 1


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\n",
        b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n",
    ],
)
def test_connection_that_upstream_will_close_is_not_kept(head: bytes) -> None:
    line, listener = asked()
    line.feed(head + b"hello")
    assert listener.trailers == ()
    assert (line.idle_count, line.lost_count) == (0, 1)


def test_answer_before_the_request_was_whole_ends_the_connection() -> None:
    line, listener = asked("PUT", is_whole=False)
    line.feed(OK + b"hello")
    assert listener.trailers == ()
    assert (line.idle_count, line.lost_count) == (0, 1)


def test_body_of_no_announced_size_ends_with_the_connection() -> None:
    line, listener = asked()
    line.feed(b"HTTP/1.1 200 OK\r\n\r\nall of it")
    assert listener.trailers is None
    line.end()
    assert listener.story == ((), 200, b"all of it", (), None)


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (OK + b"hell", "integrity"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel", "broken"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", "broken"),
        (b"HTTP/1.1 200 OK\r\ncontent-le", "broken"),
        (b"", "broken"),
    ],
)
def test_answer_that_is_cut_off_fails(answer: bytes, cause: str) -> None:
    line, listener = asked()
    line.feed(answer)
    line.end()
    assert listener.failure == (cause, answer == b"")
    assert line.lost_count == 1


def test_reset_in_a_body_that_only_the_end_would_end_is_no_end() -> None:
    line, listener = asked()
    line.feed(b"HTTP/1.1 200 OK\r\n\r\nhalf")
    line.end(ConnectionResetError("reset"))
    assert listener.failure == ("broken", False)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: y\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx : y\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 200 OK\nx: y\n\n",
        b"<html>no HTTP at all</html>\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20,
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000,
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 300 + b"\r\n",
    ],
    ids=lambda answer: answer[:50].decode(),
)
def test_what_is_no_proper_answer_is_refused_before_its_head_counts(answer: bytes) -> None:
    line, listener = asked()
    line.feed(answer)
    assert listener.failure == ("broken", False)
    assert listener.status is None
    assert line.transport.is_aborted


@pytest.mark.parametrize(
    "body",
    [b"zz\r\n", b"5\r\nhello!", b"-5\r\nhello\r\n", b"5;\nhello\r\n", b"f" * 20 + b"\r\n"],
)
def test_chunks_that_are_none_fail(body: bytes) -> None:
    line, listener = asked()
    line.feed(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + body)
    assert listener.failure == ("broken", False)


def test_answers_without_a_body_end_with_their_head() -> None:
    for method, answer in (
        ("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
    ):
        line, listener = asked(method)
        line.feed(answer)
        assert listener.trailers == ()
        assert line.idle_count == 1


def test_interim_answers_come_before_the_one_that_counts() -> None:
    line, listener = asked()
    line.feed(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
    assert listener.interims == [103]
    line.feed(b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"hello")
    assert listener.story == ((103, 100), 200, b"hello", (), None)


def test_trailers_are_handed_over() -> None:
    line, listener = asked()
    line.feed(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        b"5;ext=1\r\nhello\r\n0\r\nchecksum: abc\r\n\r\n"
    )
    assert listener.story == ((), 200, b"hello", (("checksum", "abc"),), None)
    assert line.idle_count == 1


def test_receiver_that_gives_up_at_the_head_hears_no_more() -> None:
    line = Line()
    listener = Listener(on_head=line.connection.drop)
    line.connection.ask("GET", b"request", listener)
    line.feed(OK + b"hello")
    assert listener.trailers is None
    assert listener.failure is None
    assert (line.idle_count, line.lost_count) == (0, 1)


def test_idle_connection_that_ends_or_talks_is_lost_once() -> None:
    for happens in (Line.end, lambda line: line.feed(b"HTTP/1.1 408 Request Timeout\r\n\r\n")):
        line, _ = asked()
        line.feed(OK + b"hello")
        happens(line)
        line.end()
        assert line.lost_count == 1
        assert line.connection.is_stale()


def test_paused_connection_reads_again_when_it_is_idle() -> None:
    line, _ = asked()
    line.connection.pause()
    assert not line.transport.reads
    line.feed(OK + b"hello")  # what the transport had read already
    assert line.idle_count == 1
    assert line.transport.reads


def test_error_of_a_receiver_costs_its_answer_alone(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        raise KeyError("a bug")

    line, listener = Line(), Listener(on_head=fails)
    line.connection.ask("GET", b"request", listener)
    line.feed(OK + b"hello")
    assert listener.failure == ("broken", False)
    assert listener.detail == "internal error"
    assert "upstream.broken" in caplog.text


def test_long_body_gives_others_their_turn_and_a_pause_outlasts_the_rest() -> None:
    async def main() -> None:
        size_bytes = 3 * TURN_BYTES_MAX
        line, listener = asked()
        line.feed(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size_bytes)
        line.feed(bytes(TURN_BYTES_MAX))
        assert not line.transport.reads
        await asyncio.sleep(0)
        assert line.transport.reads
        line.feed(bytes(TURN_BYTES_MAX + 1))
        line.connection.pause()  # somebody is behind
        await asyncio.sleep(0)
        assert not line.transport.reads
        line.connection.resume()
        assert line.transport.reads
        line.feed(bytes(TURN_BYTES_MAX - 1))
        assert len(listener.body) == size_bytes
        assert line.idle_count == 1
        assert line.transport.reads

    asyncio.run(main())
