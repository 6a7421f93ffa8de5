"""What goes wrong at the origin, and what clients see.

The rows of the table in docs/reliability.md, against real processes and sockets; those of the node
itself are in test_edge_node_faults.py.
"""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import eventually

if TYPE_CHECKING:
    from tests.e2e.conftest import EdgeProcess, Exchange, FaultyOrigin, StartEdge

LIMIT_S = 20.0
BODY = bytes(range(256)) * 2000
HASTY = (
    *("--set", "http.fill_header_timeout_s=0.5", "--set", "http.connect_timeout_s=0.5"),
    *("--set", "http.fill_idle_timeout_s=0.3"),
)


@pytest.fixture(scope="module")
def edge(
    origin: FaultyOrigin, start_edge: StartEdge, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EdgeProcess]:
    """One for all tests of this file that need nothing special of it."""
    store = tmp_path_factory.mktemp("shared") / "store"
    with start_edge(origin.url, "--store", str(store)) as process:
        yield process


@pytest.fixture(scope="module")
def hasty_edge(origin: FaultyOrigin, start_edge: StartEdge) -> Iterator[EdgeProcess]:
    """Short of patience."""
    with start_edge(origin.url, *HASTY) as process:
        yield process


def cut_short(edge: EdgeProcess, target: str) -> bytes:
    """The bytes of an answer that must end before its end."""
    connection = edge.connect()
    try:
        connection.request("GET", target)
        with pytest.raises(http.client.IncompleteRead) as caught:
            connection.getresponse().read()
        return caught.value.partial
    finally:
        connection.close()


def test_origin_down_and_nothing_stored_gives_502_at_once(
    start_edge: StartEdge,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with start_edge(nobody) as process:
        missed = process.get("/x")
        passed = process.request("POST", "/x", b"body")
        assert process.status()["fills_failed"] == 1
    assert missed.status == passed.status == 502
    assert missed.headers["retry-after"]
    assert b"upstream" in missed.body


def test_origin_down_and_object_stale_serves_it_stale(
    origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    origin.serve("/stale", BODY, cache_control="max-age=0", etag='"1"')
    edge.get("/stale")
    origin.routes["/stale"] = lambda exchange: exchange.reset()
    stale = edge.get("/stale")
    assert (stale.status, stale.body) == (200, BODY)
    assert "fwd=stale" in stale.cache_status


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_origin_that_hangs_gives_504(
    origin: FaultyOrigin, hasty_edge: EdgeProcess, method: str
) -> None:
    is_over = threading.Event()
    origin.routes[f"/silent-{method}"] = lambda exchange: void(is_over.wait(LIMIT_S))
    try:
        assert hasty_edge.request(method, f"/silent-{method}").status == 504
    finally:
        is_over.set()


def void(value: object) -> None:
    """For routes whose value does not matter."""


def test_origin_that_hangs_in_a_body_cuts_it(origin: FaultyOrigin, hasty_edge: EdgeProcess) -> None:
    is_over = threading.Event()

    def stops(exchange: Exchange) -> None:
        exchange.head(content_length=len(BODY), cache_control="max-age=60")
        exchange.send(BODY[:1000])
        is_over.wait(LIMIT_S)

    origin.routes["/stops"] = stops
    try:
        assert cut_short(hasty_edge, "/stops") == BODY[:1000]
    finally:
        is_over.set()


@pytest.mark.parametrize("is_reset", [False, True])
def test_truncated_body_is_passed_on_cut_and_never_stored(
    origin: FaultyOrigin, edge: EdgeProcess, is_reset: bool
) -> None:
    path = f"/cut-{is_reset}"

    def cut(exchange: Exchange) -> None:
        exchange.head(content_length=len(BODY), cache_control="max-age=60")
        exchange.send(BODY[: len(BODY) // 2])
        if is_reset:
            exchange.reset()

    origin.routes[path] = cut
    assert BODY.startswith(cut_short(edge, path))
    origin.serve(path, BODY)
    whole = edge.get(path)
    assert not whole.is_hit
    assert whole.body == BODY
    assert edge.get(path).is_hit


def test_truncated_chunked_body_is_no_whole_one(origin: FaultyOrigin, edge: EdgeProcess) -> None:
    def cut(exchange: Exchange) -> None:
        exchange.head(transfer_encoding="chunked", cache_control="max-age=60")
        exchange.send(b"5\r\nhello\r\n5\r\nwo")

    origin.routes["/cut-chunked"] = cut
    with pytest.raises(http.client.IncompleteRead):
        edge.get("/cut-chunked")
    assert origin.count("/cut-chunked") == 1
    origin.serve("/cut-chunked", b"whole")
    assert edge.get("/cut-chunked").body == b"whole"


def test_more_bytes_than_content_length_do_not_reach_the_client(
    origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    def longer(exchange: Exchange) -> None:
        exchange.head(content_length=5, cache_control="max-age=60")
        exchange.send(b"hello, and more than that")

    origin.routes["/longer"] = longer
    answer = edge.get("/longer")
    assert (answer.status, answer.body) == (200, b"hello")


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: x, gzip\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\nhello",
        b"no HTTP at all\r\n\r\n",
        b"",
    ],
)
def test_nonsense_from_upstream_gives_502(
    origin: FaultyOrigin, edge: EdgeProcess, head: bytes
) -> None:
    origin.routes["/nonsense"] = lambda exchange: exchange.send(head)
    assert edge.get("/nonsense").status == 502


def test_clients_that_leave_do_not_disturb_those_who_stay(
    origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    may_finish = threading.Event()

    def slowly(exchange: Exchange) -> None:
        exchange.head(content_length=len(BODY), cache_control="max-age=60")
        for start in range(0, len(BODY) - 1000, 1000):
            exchange.send(BODY[start : start + 1000])
        assert may_finish.wait(LIMIT_S)
        exchange.send(BODY[-1000:])

    origin.routes["/left"] = slowly
    leaving, staying = edge.connect(), edge.connect()
    leaving.request("GET", "/left")
    leaving.getresponse().read(10)
    staying.request("GET", "/left")
    answer = staying.getresponse()
    leaving.close()
    may_finish.set()
    assert answer.read() == BODY
    staying.close()
    assert origin.count("/left") == 1


def test_fetch_that_nobody_waits_for_any_more_is_given_up(
    origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    is_given_up = threading.Event()

    def endless(exchange: Exchange) -> None:
        exchange.head(content_length=1_000_000_000, cache_control="max-age=60")
        try:
            while True:
                exchange.send(BODY)
        except OSError:
            is_given_up.set()

    origin.routes["/given-up"] = endless
    connection = edge.connect()
    connection.request("GET", "/given-up")
    connection.getresponse().read(1000)
    connection.close()
    assert is_given_up.wait(LIMIT_S)
    edge.wait_status(lambda status: status["fills_in_flight"] == 0)


def test_content_length_beside_chunked_is_502(origin: FaultyOrigin, edge: EdgeProcess) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n"
    origin.routes["/both"] = lambda exchange: exchange.send(head + b"5\r\nhello\r\n0\r\n\r\n")
    assert edge.get("/both").status == 502


def test_bytes_behind_an_answer_are_never_taken_for_the_next(
    origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    is_over = threading.Event()
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\ncache-control: max-age=60\r\n\r\n%s"

    def two_answers(exchange: Exchange) -> None:
        exchange.send(answer % (5, b"hello") + answer % (4, b"evil"))
        is_over.wait(LIMIT_S)

    origin.routes["/two"] = two_answers
    origin.serve("/next", BODY)
    try:
        assert edge.get("/two").body == b"hello"
        assert edge.get("/next").body == BODY
    finally:
        is_over.set()


def test_slow_origin_and_100_equal_misses_is_one_fetch(
    origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    may_answer = threading.Event()

    def slowly(exchange: Exchange) -> None:
        may_answer.wait(LIMIT_S)
        exchange.reply(BODY, cache_control="max-age=60")

    origin.routes["/hundred"] = slowly
    collapsed_count = edge.status()["collapsed_count"]
    with ThreadPoolExecutor(100) as clients:
        answers = [clients.submit(edge.get, "/hundred") for _ in range(100)]
        edge.wait_status(lambda status: status["collapsed_count"] == collapsed_count + 99)
        may_answer.set()
        assert all(answer.result().body == BODY for answer in answers)
    assert origin.count("/hundred") == 1


def test_origin_5xx_storm_costs_it_few_requests(
    origin: FaultyOrigin, start_edge: StartEdge
) -> None:
    origin.routes["/storm"] = lambda exchange: exchange.reply(b"overloaded", status=503)
    with start_edge(origin.url, "--set", "http.error_ttl_s=5") as process:
        for _ in range(30):
            answer = process.get("/storm")
            assert answer.status == 503
        assert answer.headers["retry-after"]
        assert process.status()["upstream_spared_count"] == 29
    assert origin.count("/storm") == 1


def test_origin_that_fails_ten_times_is_left_alone_and_found_again(
    origin: FaultyOrigin, start_edge: StartEdge
) -> None:
    for number in range(10):
        origin.routes[f"/reset-{number}"] = lambda exchange: exchange.reset()
    origin.serve("/well", BODY)
    with start_edge(origin.url, "--set", "http.retry_budget_share=0") as process:
        for number in range(10):
            assert process.get(f"/reset-{number}").status == 502
        answer = process.get("/well")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert origin.count("/well") == 0
        eventually(lambda: process.get("/well").status == 200, "the probe")
        status = process.status()
        assert (status["breaker_opening_count"], status["upstreams_troubled"]) == (1, 0)


def test_fetch_that_was_reset_is_tried_once_more_within_the_budget(
    origin: FaultyOrigin, start_edge: StartEdge
) -> None:
    def once(exchange: Exchange) -> None:
        origin.serve("/shaky", BODY)
        exchange.reset()

    origin.routes["/shaky"] = once
    with start_edge(origin.url, "--set", "http.retry_budget_share=1") as process:
        assert process.get("/shaky").body == BODY
        assert process.status()["upstream_retry_count"] == 1
    assert origin.count("/shaky") == 2
