"""The data port at the level of bytes: where requests end, in which order they are answered, and
that the short way for hits gives what the ordinary way gives."""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Iterator
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.e2e.conftest import EdgeProcess, Exchange, FaultyOrigin, StartEdge

LIMIT_S = 20.0
SIZES = {"/tiny": 7, "/small": 4096, "/middle": 70_000, "/large": 2_500_000}
MODIFIED = formatdate(1_700_000_000, usegmt=True)
GET = b"GET /small HTTP/1.1\r\nhost: x\r\n\r\n"


def content(path: str) -> bytes:
    return (path.encode() + b"|") * (SIZES[path] // (len(path) + 1) + 1)


@pytest.fixture(scope="module")
def edge(
    origin: FaultyOrigin, start_edge: StartEdge, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EdgeProcess]:
    for path, size_bytes in SIZES.items():
        origin.serve(
            path,
            content(path)[:size_bytes],
            etag=f'"{path[1:]}"',
            last_modified=MODIFIED,
            content_type="video/mp4",
        )
    store = tmp_path_factory.mktemp("server") / "store"
    with start_edge(origin.url, "--store", str(store)) as process:
        for path in SIZES:
            for _ in range(3):
                process.get(path)
        yield process


class Reader(io.BufferedReader):
    """Stays open from one answer to the next, with what it has read ahead."""

    def close(self) -> None:
        pass

    def makefile(self, mode: str) -> Reader:
        """What http.client asks of a socket."""
        return self


class Client:
    """A connection that stays."""

    def __init__(self, edge: EdgeProcess) -> None:
        self.end = socket.create_connection(("127.0.0.1", edge.port), timeout=LIMIT_S)
        self.reader = Reader(socket.SocketIO(self.end, "r"))

    def ask(self, raw: bytes, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        self.end.sendall(raw)
        return self.answer(method)

    def answer(self, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        response = http.client.HTTPResponse(self.reader, method=method)  # type: ignore[arg-type]
        response.begin()
        body = response.read()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, headers, body

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.end.close()


def lasting(answer: tuple[int, dict[str, str], bytes]) -> tuple[int, dict[str, str], bytes]:
    """Without what may differ from one second to the next."""
    status, headers, body = answer
    lines = {name: value for name, value in headers.items() if name not in ("age", "date")}
    lines["cache-status"] = lines["cache-status"].partition("; ttl=")[0]
    return status, lines, body


def test_head_may_come_in_any_two_pieces(edge: EdgeProcess) -> None:
    with Client(edge) as client:
        whole = lasting(client.ask(GET))
        for place in range(1, len(GET)):
            client.end.sendall(GET[:place])
            client.end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            assert lasting(client.ask(GET[place:])) == whole


def test_heads_in_one_segment_are_answered_in_order(edge: EdgeProcess) -> None:
    paths = ["/small", "/large", "/tiny", "/middle", "/large", "/small"]
    with Client(edge) as client:
        client.end.sendall(
            b"".join(b"GET %s HTTP/1.1\r\nhost: x\r\n\r\n" % p.encode() for p in paths)
        )
        stream = client.end.makefile("rb")
        for path in paths:
            assert stream.readline() == b"HTTP/1.1 200 OK\r\n"
            length = 0
            while (line := stream.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            assert stream.read(length) == content(path)[: SIZES[path]]


def test_request_that_arrives_during_a_large_answer_waits_for_its_end(edge: EdgeProcess) -> None:
    with Client(edge) as client:
        client.end.sendall(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        assert client.end.recv(100, socket.MSG_PEEK)
        client.end.sendall(GET)
        assert client.answer()[2] == content("/large")[: SIZES["/large"]]
        assert client.answer()[2] == content("/small")[: SIZES["/small"]]


def test_body_that_looks_like_a_request_is_a_body(origin: FaultyOrigin, edge: EdgeProcess) -> None:
    origin.routes["/echo"] = lambda exchange: exchange.reply(exchange.body)
    head = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(GET)
    with Client(edge) as client:
        assert client.ask(head + GET, "POST")[2] == GET
        client.end.sendall(head)  # in segments of their own
        assert client.ask(GET, "POST")[2] == GET
        assert client.ask(head + GET + GET, "POST")[2] == GET
        assert client.answer()[2] == content("/small")[: SIZES["/small"]]
        chunked = b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(GET), GET)
        assert client.ask(chunked + body + GET, "POST")[2] == GET
        assert client.answer()[2] == content("/small")[: SIZES["/small"]]


def test_large_upload_streams_through_and_the_connection_goes_on(
    origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    origin.routes["/up"] = lambda exchange: exchange.reply(b"%d" % len(exchange.body))
    size_bytes = 6_000_000
    with Client(edge) as client:
        head = b"PUT /up HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size_bytes
        assert client.ask(head + bytes(size_bytes), "PUT")[2] == b"%d" % size_bytes
        assert client.ask(GET)[0] == 200


def test_body_over_the_limit_is_refused(origin: FaultyOrigin, start_edge: StartEdge) -> None:
    with start_edge(origin.url, "--set", "server.request_body_bytes_max=1000") as process:
        with Client(process) as client:
            head = b"PUT /no HTTP/1.1\r\nhost: x\r\ncontent-length: 1001\r\n\r\n"
            assert client.ask(head, "PUT")[0] == 413
        with Client(process) as client:
            head = b"PUT /no HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
            assert client.ask(head + b"3e9\r\n" + bytes(1001), "PUT")[0] == 413


def test_old_client_gets_a_body_that_ends_with_the_connection(
    origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    def chunked(exchange: Exchange) -> None:
        exchange.head(transfer_encoding="chunked", cache_control="no-store")
        exchange.send(b"5\r\nhello\r\n0\r\n\r\n")

    origin.routes["/old"] = chunked
    with Client(edge) as client:
        client.end.sendall(b"GET /old HTTP/1.0\r\n\r\n")
        answer = client.end.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"transfer-encoding" not in answer.lower()
    assert answer.endswith(b"\r\n\r\nhello")


def test_interim_answers_and_trailers_are_passed_on(
    origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    def hinting(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
        exchange.head(transfer_encoding="chunked", cache_control="no-store")
        exchange.send(b"5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n")

    origin.routes["/hints"] = hinting
    with Client(edge) as client:
        client.end.sendall(b"POST /hints HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = client.end.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 103 ")
    assert b"link: </a>\r\n" in answer
    assert b"HTTP/1.1 200 " in answer
    assert answer.endswith(b"5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n")


positions = st.integers(0, 80_000)
ranges = st.one_of(
    st.builds(lambda a, b: f"bytes={a}-{b}", positions, positions),
    st.builds(lambda a: f"bytes={a}-", positions),
    st.builds(lambda a: f"bytes=-{a}", positions),
    st.sampled_from(
        ["bytes=0-0,2-3", "octets=0-1", "bytes=", "bytes=-", "bytes=5-4", " bytes=0-1 "]
    ),
)
tags = st.sampled_from(
    ['"tiny"', 'W/"small"', '"middle"', '"large"', "*", "tiny", '"a", "small"', '"small"x']
)
lines = st.one_of(
    st.tuples(st.sampled_from(["Range", "range", "RANGE"]), ranges),
    st.tuples(st.sampled_from(["If-None-Match", "if-none-match"]), tags),
    st.tuples(
        st.just("If-Modified-Since"),
        st.sampled_from([MODIFIED, formatdate(1_800_000_000, usegmt=True), "yesterday"]),
    ),
    st.tuples(st.sampled_from(["CMCD-Request", "cmcd-object"]), st.sampled_from(["bl=1", "br=2"])),
    st.tuples(st.sampled_from(["If-Range", "If-Match"]), tags),
    st.tuples(st.just("Cache-Control"), st.sampled_from(["no-cache", "max-age=0", "no-transform"])),
    st.tuples(st.just("User-Agent"), st.sampled_from(["a", "b"])),
)
queries = st.sampled_from(
    [
        "",
        "",
        "?CMCD=bl%3D1%2Csid%3D%22a%22",
        "?CMCD=",
        "?CMCD=%0d",
        "?CMCD=a\\b",
        "?x&CMCD=1",
        "?CMCD=1&CMCD=2",
    ]
)


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    method=st.sampled_from(["GET", "GET", "GET", "HEAD"]),
    path=st.sampled_from(sorted(SIZES)),
    query=queries,
    fields=st.lists(lines, max_size=3),
)
def test_short_way_answers_as_the_ordinary_way_does(
    edge: EdgeProcess, method: str, path: str, query: str, fields: list[tuple[str, str]]
) -> None:
    text = "".join(f"{name}: {value}\r\n" for name, value in fields)
    start = f"{method} {path}{query} HTTP/1.1\r\nhost: x\r\n{text}"
    with Client(edge) as client:
        # An option in Connection is nothing the short way knows, and means nothing else.
        ordinary = client.ask(f"{start}connection: keep-alive, x\r\n\r\n".encode(), method)
        learned = client.ask(f"{start}\r\n".encode(), method)
        short = client.ask(f"{start}\r\n".encode(), method)
    for answer in (learned, short):
        assert (answer[0], answer[2]) == (ordinary[0], ordinary[2])
        if all("; hit" in one[1]["cache-status"] for one in (answer, ordinary)):
            assert lasting(answer) == lasting(ordinary)
