"""Parts of objects on real sockets: far ranges, beginnings that are gone on from, writes, hints."""

from __future__ import annotations

import http.client
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import eventually

if TYPE_CHECKING:
    from tests.e2e.conftest import EdgeProcess, Exchange, FaultyOrigin, StartEdge

SIZE = 3_000_000
BODY = random.Random(5).randbytes(SIZE)
STOP_AT = 1_200_000
TAG = '"one"'
LIMIT_S = 20.0


@pytest.fixture(scope="module", params=["memory", "disk"])
def edge(
    request: pytest.FixtureRequest,
    origin: FaultyOrigin,
    start_edge: StartEdge,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[EdgeProcess]:
    arguments = ["--set", "http.keep_cut_bytes_min=500kB", "--set", "http.range_wait_bytes_max=1kB"]
    if request.param == "disk":
        arguments += ["--store", str(tmp_path_factory.mktemp("store")), "--set", "memory_bytes=0"]
    with start_edge(origin.url, *arguments) as edge:
        yield edge


def held_bytes(edge: EdgeProcess) -> int:
    return int(edge.status()["object_bytes"])


def ranged_origin(tag: str = TAG, body: bytes = BODY) -> Callable[[Exchange], None]:
    """Answers ranges, under If-Range."""

    def route(exchange: Exchange) -> None:
        text = exchange.headers.get("range")
        if text is None or exchange.headers.get("if-range", tag) != tag:
            exchange.reply(body, cache_control="max-age=60", etag=tag)
            return
        first_text, _, last_text = text.removeprefix("bytes=").partition("-")
        first = int(first_text)
        last = int(last_text) if last_text else len(body) - 1
        exchange.reply(
            body[first : last + 1],
            status=206,
            cache_control="max-age=60",
            etag=tag,
            content_range=f"bytes {first}-{last}/{len(body)}",
        )

    return route


def leave_in_the_middle(edge: EdgeProcess, origin: FaultyOrigin, path: str) -> None:
    """A client goes when some of it has come; the edge has kept that when this returns."""
    may_end = threading.Event()
    before = held_bytes(edge)

    def stalling(exchange: Exchange) -> None:
        exchange.head(content_length=SIZE, cache_control="max-age=60", etag=TAG)
        exchange.send(BODY[:STOP_AT])
        may_end.wait(LIMIT_S)

    origin.routes[path] = stalling
    connection = edge.connect()
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.read(STOP_AT) == BODY[:STOP_AT]
    # Gone at once, and not only done with sending.
    linger = struct.pack("ii", 1, 0)
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    answer.close()
    connection.close()
    edge.wait_status(lambda status: status["object_bytes"] >= before + 500_000)
    may_end.set()


def test_a_far_range_is_fetched_alone_and_then_a_hit(
    edge: EdgeProcess, origin: FaultyOrigin
) -> None:
    path = "/far"
    asked, before = origin.count(path), held_bytes(edge)
    origin.routes[path] = ranged_origin()
    answer = edge.get(path, range="bytes=2000000-2099999")
    assert (answer.status, answer.body) == (206, BODY[2_000_000:2_100_000])
    edge.wait_status(lambda status: status["object_bytes"] == before + 100_000)
    answer = edge.get(path, range="bytes=2050000-2050099")
    assert answer.is_hit
    assert (answer.status, answer.body) == (206, BODY[2_050_000:2_050_100])
    assert answer.headers["content-range"] == f"bytes 2050000-2050099/{SIZE}"
    assert origin.count(path) == asked + 1


def test_who_wants_the_whole_gets_the_kept_beginning_and_the_rest(
    edge: EdgeProcess, origin: FaultyOrigin
) -> None:
    path = "/rest"
    before = held_bytes(edge)
    leave_in_the_middle(edge, origin, path)
    early = edge.get(path, range="bytes=1000-1999")
    assert early.is_hit
    assert early.body == BODY[1000:2000]
    origin.routes[path] = ranged_origin()
    answer = edge.get(path)
    assert answer.status == 200
    assert answer.body == BODY
    wanted = origin.seen[-1].headers
    assert wanted["if-range"] == TAG
    assert 500_000 <= int(wanted["range"].removeprefix("bytes=").removesuffix("-")) <= STOP_AT
    edge.wait_status(lambda status: status["object_bytes"] == before + SIZE)
    again = edge.get(path)
    assert again.is_hit
    assert again.body == BODY


def test_a_beginning_of_another_version_is_thrown_away(
    edge: EdgeProcess, origin: FaultyOrigin
) -> None:
    path = "/changed"
    before = held_bytes(edge)
    leave_in_the_middle(edge, origin, path)
    changed = BODY[::-1]
    origin.routes[path] = ranged_origin('"two"', changed)
    answer = edge.get(path)
    assert (answer.status, answer.body) == (200, changed)
    edge.wait_status(lambda status: status["object_bytes"] == before + SIZE)
    assert edge.get(path).body == changed


def test_a_rest_under_another_tag_is_not_put_behind_the_beginning(
    edge: EdgeProcess, origin: FaultyOrigin
) -> None:
    path = "/liar"
    leave_in_the_middle(edge, origin, path)
    changed = BODY[::-1]

    def careless(exchange: Exchange) -> None:
        """It knows nothing of If-Range."""
        exchange.headers.pop("if-range", None)
        ranged_origin('"two"', changed)(exchange)

    origin.routes[path] = careless
    answer = edge.get(path)
    assert (answer.status, answer.body) == (200, changed)


def test_a_write_ends_what_is_stored_when_upstream_has_taken_it(
    edge: EdgeProcess, origin: FaultyOrigin
) -> None:
    path = "/write"

    def route(exchange: Exchange) -> None:
        if exchange.method == "GET":
            exchange.reply(BODY[:100], cache_control="max-age=60")
        else:
            exchange.reply(b"", status=500 if exchange.body == b"bad" else 204)

    origin.routes[path] = route
    edge.get(path)
    eventually(lambda: edge.get(path).is_hit)
    assert edge.request("PUT", path, b"bad").status == 500
    assert edge.get(path).is_hit
    assert edge.request("PUT", path, b"good").status == 204
    assert not edge.get(path).is_hit


def test_word_before_the_answer_reaches_the_client_of_a_fill(
    edge: EdgeProcess, origin: FaultyOrigin
) -> None:
    path = "/hint"

    def route(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n")
        exchange.reply(b"body", cache_control="max-age=60")

    origin.routes[path] = route
    with socket.create_connection(("127.0.0.1", edge.port), LIMIT_S) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nhost: edge\r\n\r\n".encode())
        with client.makefile("rb") as stream:
            assert b"103" in stream.readline()
            assert http.client.parse_headers(stream)["link"] == "</style.css>"
            assert b"200" in stream.readline()
    eventually(lambda: edge.get(path).is_hit)


def test_a_passed_answer_shows_what_the_service_shows(
    edge: EdgeProcess, origin: FaultyOrigin
) -> None:
    path = "/passed"
    origin.routes[path] = lambda exchange: exchange.reply(b"ok", surrogate_key="a", x_other="b")
    answer = edge.request("POST", path, b"")
    assert "surrogate-key" not in answer.headers
    assert answer.headers["x-other"] == "b"
