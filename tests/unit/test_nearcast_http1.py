"""HTTP/1.1 heads and bodies: what is read, and what is refused with which status."""

from __future__ import annotations

import pytest

from nearcast.errors import LocalProtocolError
from nearcast.http1 import (
    Limits,
    MalformedMessage,
    check_partial,
    decoder,
    find_head_end,
    format_chunk,
    format_last_chunk,
    format_request_head,
    format_response_head,
    parse_request_head,
    parse_response_head,
)

LIMITS = Limits()
HOST = b"Host: edge\r\n"


def request(lines: bytes = HOST, line: bytes = b"GET /a?b=c HTTP/1.1") -> bytes:
    return line + b"\r\n" + lines + b"\r\n"


def response(lines: bytes = b"", line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return line + b"\r\n" + lines + b"\r\n"


def test_request_head_is_read_in_order_with_names_in_lower_case() -> None:
    head = parse_request_head(request(b"HOST: e\r\nX-One:  1 \r\nx-two:\r\nX-ONE: 2\r\n"), LIMITS)

    assert (head.method, head.target, head.minor_version) == ("GET", "/a?b=c", 1)
    assert head.headers == (("host", "e"), ("x-one", "1"), ("x-two", ""), ("x-one", "2"))
    assert head.framing == 0
    assert head.is_keep_alive
    assert not head.expects_continue


def test_values_keep_their_bytes_whatever_their_encoding() -> None:
    value = "é✓".encode() + b"\xff"
    head = parse_response_head(response(b"x-a: " + value + b"\r\n"), "GET", LIMITS)

    assert b"x-a: " + value + b"\r\n" in format_response_head(200, head.headers)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (request(b""), 400),
        (request(HOST + HOST), 400),
        (request(b"Host: a b\r\n"), 400),
        (request(b"Host: a/b\r\n"), 400),
        (request(b"Host: user@a\r\n"), 400),
        (request(b"Host:\r\n"), 400),
        (request(b"Host : edge\r\n"), 400),
        (request(HOST + b" folded: 1\r\n"), 400),
        (request(HOST + b"a: 1\r\n\tfolded\r\n"), 400),
        (request(HOST + b"a: 1\nb: 2\r\n"), 400),
        (request(HOST + b"a: 1\rb: 2\r\n"), 400),
        (request(HOST + b"a: \x00\r\n"), 400),
        (request(HOST + b"a\r\n"), 400),
        (request(HOST + b": a\r\n"), 400),
        (request(HOST + b"a b: c\r\n"), 400),
        (request(HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400),
        (request(HOST + b"Content-Length: 5\r\nContent-Length: 5\r\n"), 400),
        (request(HOST + b"Content-Length: 5, 5\r\n"), 400),
        (request(HOST + b"Content-Length: +5\r\n"), 400),
        (request(HOST + b"Content-Length: -1\r\n"), 400),
        (request(HOST + b"Content-Length: 0x5\r\n"), 400),
        (request(HOST + b"Content-Length: \r\n"), 400),
        (request(HOST + b"Content-Length: 9999999999999999999\r\n"), 400),
        (request(HOST + b"Transfer-Encoding: chunked, chunked\r\n"), 400),
        (request(HOST + b"Transfer-Encoding: chunked, gzip\r\n"), 400),
        (request(HOST + b"Transfer-Encoding: \r\n"), 400),
        (request(HOST + b"Transfer-Encoding: gzip, chunked\r\n"), 501),
        (request(HOST + b"Transfer-Encoding: identity\r\n"), 501),
        (request(HOST + b"Transfer-Encoding: xchunked\r\n"), 501),
        (request(HOST + b"Transfer-Encoding: chunked\r\n", b"POST / HTTP/1.0"), 400),
        (request(HOST + b"Expect: a-miracle\r\n"), 417),
        (request(line=b"GET / HTTP/2.0"), 505),
        (request(line=b"GET / HTTP/0.9"), 505),
        (request(line=b"GET /"), 400),
        (request(line=b"GET  / HTTP/1.1"), 400),
        (request(line=b"GET / HTTP/1.1 "), 400),
        (request(line=b"GET /a b HTTP/1.1"), 400),
        (request(line=b"GET /\xff HTTP/1.1"), 400),
        (request(line=b"G(T / HTTP/1.1"), 400),
        (request(line=b"GET / http/1.1"), 400),
        (request(line=b"GET /" + b"a" * LIMITS.line_bytes_max + b" HTTP/1.1"), 414),
        (request(HOST + b"a: " + b"b" * LIMITS.field_bytes_max + b"\r\n"), 431),
        (request(HOST + b"a: b\r\n" * LIMITS.field_count_max), 431),
        (request(HOST + (b"a: " + b"b" * 9000 + b"\r\n") * 8), 431),
    ],
)
def test_request_that_could_be_read_in_two_ways_is_refused(head: bytes, status: int) -> None:
    with pytest.raises(MalformedMessage) as caught:
        parse_request_head(head, LIMITS)

    assert caught.value.status == status


@pytest.mark.parametrize(
    ("lines", "line", "framing", "is_keep_alive"),
    [
        (HOST + b"Content-Length: 12\r\n", b"POST / HTTP/1.1", 12, True),
        (HOST + b"Transfer-Encoding: Chunked\r\n", b"POST / HTTP/1.1", "chunked", True),
        (HOST + b"Connection: foo, Close\r\n", b"GET / HTTP/1.1", 0, False),
        (b"", b"GET / HTTP/1.0", 0, False),
        (b"Connection: keep-alive\r\n", b"GET / HTTP/1.0", 0, True),
        (HOST, b"GET / HTTP/1.7", 0, True),
    ],
)
def test_request_framing_and_persistence(
    lines: bytes, line: bytes, framing: object, is_keep_alive: bool
) -> None:
    head = parse_request_head(request(lines, line), LIMITS)

    assert (head.framing, head.is_keep_alive) == (framing, is_keep_alive)


@pytest.mark.parametrize(
    ("head", "method", "framing"),
    [
        (response(b"Content-Length: 5\r\n"), "GET", 5),
        (response(b"Content-Length: 5, 5\r\nContent-Length: 5\r\n"), "GET", 5),
        (response(b"Content-Length: 5\r\n"), "HEAD", 0),
        (response(b"Content-Length: 5\r\n", b"HTTP/1.1 304 Not Modified"), "GET", 0),
        (response(line=b"HTTP/1.1 204 "), "GET", 0),
        (response(line=b"HTTP/1.1 103"), "GET", 0),
        (response(b"Transfer-Encoding: chunked\r\n"), "GET", "chunked"),
        (response(), "GET", "close"),
        (response(line=b"HTTP/1.0 200 OK"), "GET", "close"),
    ],
)
def test_response_framing(head: bytes, method: str, framing: object) -> None:
    assert parse_response_head(head, method, LIMITS).framing == framing


@pytest.mark.parametrize(
    "head",
    [
        response(b"Content-Length: 5\r\nContent-Length: 6\r\n"),
        response(b"Content-Length: -5\r\n"),
        response(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        response(b"Transfer-Encoding: gzip, chunked\r\n"),
        response(b"Transfer-Encoding: chunked\r\n", b"HTTP/1.0 200 OK"),
        response(b"a: b\r\n c\r\n"),
        response(line=b"HTTP/1.1 20 OK"),
        response(line=b"HTTP/1.1 600 OK"),
        response(line=b"HTTP/2 200 OK"),
        response(line=b"ICY 200 OK"),
    ],
)
def test_response_that_could_be_read_in_two_ways_is_refused(head: bytes) -> None:
    with pytest.raises(MalformedMessage):
        parse_response_head(head, "GET", LIMITS)


def test_head_end_is_found_across_segments() -> None:
    head = request() + b"next"
    found = [find_head_end(head[:size], max(0, size - 1)) for size in range(len(head) + 1)]

    assert found[: len(request())] == [-1] * len(request())
    assert found[len(request())] == len(request())


@pytest.mark.parametrize(
    ("partial", "status"),
    [
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\x00", 400),
        (b"GET /" + b"a" * LIMITS.line_bytes_max, 414),
        (b"GET / HTTP/1.1\r\n" + b"a" * (LIMITS.head_bytes_max + 2), 431),
    ],
)
def test_hopeless_beginning_is_refused_before_its_end(partial: bytes, status: int) -> None:
    with pytest.raises(MalformedMessage) as caught:
        check_partial(partial, LIMITS)

    assert caught.value.status == status


def test_beginning_of_a_good_head_is_waited_for() -> None:
    for size in range(len(request())):
        check_partial(request()[:size], LIMITS)


def test_chunked_body_is_read_from_any_segments_with_trailers_and_rest() -> None:
    body = b"4;x=y\r\nNear\r\nA\r\ncast edges\r\n0\r\nX-Sum: 1\r\n\r\nGET /"
    for cut in range(len(body)):
        chunked = decoder("chunked", LIMITS)
        payload = chunked.feed(body[:cut]) + chunked.feed(body[cut:])

        assert payload == b"Nearcast edges"
        assert chunked.is_complete
        assert chunked.trailers == (("x-sum", "1"),)
        assert chunked.rest == b"GET /"


@pytest.mark.parametrize(
    "body",
    [
        b"-1\r\n",
        b"0x4\r\n",
        b" 4\r\n",
        b"4\nNear\r\n",
        b"4\r\nNearX\r\n",
        b"4\r\nNear\n",
        b"\r\n",
        b"4;\x00\r\nNear\r\n",
        b"1" * 16 + b"\r\n",
        b"4;" + b"e" * 2000,
        b"0\r\nbad trailer\r\n\r\n",
    ],
)
def test_chunks_that_could_be_read_in_two_ways_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decoder("chunked", LIMITS).feed(body)


@pytest.mark.parametrize(("framing", "data"), [(5, b"1234"), ("chunked", b"4\r\nNear\r\n0\r\n")])
def test_body_that_is_cut_off_is_noticed(framing: int, data: bytes) -> None:
    body = decoder(framing, LIMITS)
    body.feed(data)

    with pytest.raises(MalformedMessage):
        body.eof()


def test_sized_body_keeps_what_comes_after_it() -> None:
    body = decoder(3, LIMITS)

    assert (body.feed(b"ab"), body.feed(b"cde"), body.rest) == (b"ab", b"c", b"de")
    assert body.is_complete


def test_written_chunks_read_back() -> None:
    chunked = decoder("chunked", LIMITS)
    payload = chunked.feed(format_chunk(b"abc") + format_last_chunk((("x-a", "b"),)))

    assert (payload, chunked.trailers) == (b"abc", (("x-a", "b"),))


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\rb"])
def test_header_with_a_line_end_is_never_written(value: str) -> None:
    with pytest.raises(LocalProtocolError):
        format_response_head(200, (("x-a", value),))
    with pytest.raises(LocalProtocolError):
        format_request_head("GET", "/", (("x-a", value),))
