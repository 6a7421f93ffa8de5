"""What goes wrong at the origin, on the disk and in the inference process, and what clients see."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from predictor.runtime import default_model_folder

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


def test_upstream_that_is_down_gives_502_at_once_and_stale_where_allowed(
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


def test_stale_object_stands_in_for_an_upstream_that_fails(
    origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    origin.serve("/stale", BODY, cache_control="max-age=0", etag='"1"')
    edge.get("/stale")
    origin.routes["/stale"] = lambda exchange: exchange.reset()
    stale = edge.get("/stale")
    assert (stale.status, stale.body) == (200, BODY)
    assert "fwd=stale" in stale.cache_status


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_upstream_that_says_nothing_gives_504(
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


def test_upstream_that_stops_in_the_middle_cuts_the_answer(
    origin: FaultyOrigin, hasty_edge: EdgeProcess
) -> None:
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
def test_cut_off_body_is_passed_on_as_such_and_never_stored(
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


def test_cut_off_chunked_body_is_no_whole_one(origin: FaultyOrigin, edge: EdgeProcess) -> None:
    def cut(exchange: Exchange) -> None:
        exchange.head(transfer_encoding="chunked", cache_control="max-age=60")
        exchange.send(b"5\r\nhello\r\n5\r\nwo")

    origin.routes["/cut-chunked"] = cut
    with pytest.raises(http.client.IncompleteRead):
        edge.get("/cut-chunked")
    assert origin.count("/cut-chunked") == 1
    origin.serve("/cut-chunked", b"whole")
    assert edge.get("/cut-chunked").body == b"whole"


def test_more_bytes_than_announced_do_not_reach_the_client(
    origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    def longer(exchange: Exchange) -> None:
        exchange.head(content_length=5, cache_control="max-age=60")
        exchange.send(b"hello, and more than that")

    origin.routes["/longer"] = longer
    answer = edge.get("/longer")
    assert answer.status == 502 or answer.body == b"hello"


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
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


def test_client_that_takes_nothing_is_let_go(origin: FaultyOrigin, start_edge: StartEdge) -> None:
    origin.serve("/untaken", BODY * 30)
    with start_edge(origin.url, "--set", "server.send_s=0.3") as process:
        process.get("/untaken")
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", process.port))
            client.sendall(b"GET /untaken HTTP/1.1\r\nhost: x\r\n\r\n")
            process.wait_status(lambda status: status["request_count"] == 2)
            status = process.wait_status(lambda status: status["connection_count"] == 1)
        assert status["client_bytes"] < 2 * 30 * len(BODY)


def test_full_disk_during_a_fill_costs_no_client_its_answer(
    origin: FaultyOrigin, start_edge: StartEdge, tmp_path: Path
) -> None:
    large = BODY * 12  # six megabytes; the disk takes one file of two
    origin.serve("/too-much", large)
    origin.serve("/fits", b"small enough")
    with start_edge(
        origin.url, "--store", str(tmp_path / "store"), file_bytes_max=2_000_000
    ) as process:
        for _ in range(2):
            answer = process.get("/too-much")
            assert (answer.status, answer.body) == (200, large)
        process.get("/fits")
        status = process.wait_status(lambda status: status["fills_in_flight"] == 0)
        assert status["store_failure_count"] >= 1
        assert "too large" in status["store_failure_last"].lower()
        assert process.get("/fits").is_hit
        assert process.stop() == 0
    assert not list((tmp_path / "store").rglob("*.part"))


def test_damaged_file_is_noticed_and_fetched_again(
    origin: FaultyOrigin, start_edge: StartEdge, tmp_path: Path
) -> None:
    origin.serve("/rots", BODY)
    store = tmp_path / "store"
    with start_edge(origin.url, "--store", str(store)) as process:
        process.get("/rots")
    (body_file,) = store.rglob("*.body")
    body_file.write_bytes(b"rotten" + BODY[6:])
    with start_edge(origin.url, "--store", str(store)) as process:
        assert process.get("/rots").body == BODY
    assert origin.count("/rots") == 2


def test_killed_edge_serves_what_was_stored_and_nothing_half(
    origin: FaultyOrigin, start_edge: StartEdge, tmp_path: Path
) -> None:
    is_over = threading.Event()

    def never_ends(exchange: Exchange) -> None:
        exchange.head(content_length=10 * len(BODY), cache_control="max-age=60")
        for _ in range(6):
            exchange.send(BODY)
        is_over.wait(LIMIT_S)

    origin.serve("/whole", BODY)
    origin.routes["/half"] = never_ends
    store = tmp_path / "store"
    with start_edge(origin.url, "--store", str(store)) as process:
        process.get("/whole")
        connection = process.connect()
        connection.request("GET", "/half")
        connection.getresponse().read(5 * len(BODY))
        process.wait_status(lambda status: status["store_queued_bytes"] == 0)
        process.process.kill()
        process.process.wait()
        connection.close()
    is_over.set()
    origin.serve("/half", b"the other half")
    with start_edge(origin.url, "--store", str(store)) as process:
        assert process.get("/whole").is_hit
        assert process.get("/half").body == b"the other half"


def test_broken_model_leaves_the_rule_and_a_reason(
    origin: FaultyOrigin, start_edge: StartEdge, tmp_path: Path
) -> None:
    origin.serve("/with-rule", BODY)
    model = tmp_path / "model"
    shutil.copytree(default_model_folder(), model)
    whole = (model / "model.onnx").read_bytes()
    (model / "model.onnx").write_bytes(whole[: len(whole) // 2])
    with start_edge(origin.url, "--set", f"prefetch.model={model}", prefetch=True) as process:
        status = process.wait_status(lambda status: "model.onnx" in status["model_detail"])
        assert status["model_id"] is None
        assert process.get("/with-rule").body == BODY


def test_without_onnxruntime_the_rule_serves_and_the_status_says_how_to_get_it(
    origin: FaultyOrigin, start_edge: StartEdge, tmp_path: Path
) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('not installed')\n")
    origin.serve("/without", BODY)
    with start_edge(origin.url, prefetch=True, environ={"PYTHONPATH": str(tmp_path)}) as process:
        status = process.wait_status(lambda status: "pip install" in status["model_detail"])
        assert status["model_id"] is None
        assert process.get("/without").body == BODY


def test_killed_inference_process_is_replaced_while_serving_goes_on(
    origin: FaultyOrigin, start_edge: StartEdge
) -> None:
    origin.serve("/with-model", BODY)
    with start_edge(origin.url, prefetch=True) as process:
        first = process.wait_status(lambda status: status["model_id"] is not None)
        pid = first["inference"]["pid"]
        os.kill(pid, signal.SIGKILL)
        lost = process.wait_status(lambda status: status["model_id"] is None)
        assert "ended" in lost["model_detail"]
        assert process.get("/with-model").body == BODY
        again = process.wait_status(lambda status: status["model_id"] is not None)
        assert again["model_id"] == first["model_id"]
        assert again["inference"]["pid"] not in (None, pid)
        assert again["inference"]["restart_count"] == 1
