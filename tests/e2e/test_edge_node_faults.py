"""What goes wrong on the disk, in the process, with clocks, models and clients, and what is served.

The rows of the table in docs/reliability.md, against real processes and sockets; those of upstream
are in test_edge_faults.py.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from predictor.runtime import default_model_folder

if TYPE_CHECKING:
    from tests.e2e.conftest import EdgeProcess, Exchange, FaultyOrigin, StartEdge

LIMIT_S = 20.0
BODY = bytes(range(256)) * 2000


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


def test_disk_full_serves_on_without_storing_and_says_so(
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


def test_bit_rot_is_noticed_dropped_and_fetched_again(
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


@pytest.mark.parametrize("asked", [None, "bytes=100-2500000"])
def test_rot_in_a_later_block_costs_no_client_its_answer(
    origin: FaultyOrigin, start_edge: StartEdge, tmp_path: Path, asked: str | None
) -> None:
    path, whole = f"/rots-late-{asked}", BODY * 6  # three blocks and a bit
    fields = {} if asked is None else {"range": asked}
    origin.serve(path, whole)  # without a tag: it could not be gone on from
    store = tmp_path / "store"
    with start_edge(origin.url, "--store", str(store)) as process:
        process.get(path)
    (body_file,) = store.rglob("*.body")
    with body_file.open("r+b") as file:
        file.seek(2_200_000)
        file.write(b"rotten")
    with start_edge(origin.url, "--store", str(store)) as process:
        answer = process.get(path, **fields)
        assert answer.body == (whole if asked is None else whole[100:2_500_001])
        assert process.status()["store_damaged_count"] == 1
    assert origin.count(path) == 2


def test_kill_in_a_write_serves_nothing_partial_and_hits_what_was_stored(
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


def test_corrupted_model_leaves_the_rule_and_a_reason(
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


@pytest.mark.parametrize("step_s", [-86_400.0, 30.0, 86_400.0])
def test_clock_jump_never_makes_an_age_negative_nor_an_object_fresh_for_ever(
    origin: FaultyOrigin, start_edge: StartEdge, tmp_path: Path, step_s: float
) -> None:
    path = f"/clock{step_s:.0f}"
    origin.serve(path, BODY, cache_control="max-age=60", etag='"1"')
    store = tmp_path / "store"
    with start_edge(origin.url, "--store", str(store)) as process:
        process.get(path)
    with start_edge(origin.url, "--store", str(store), clock_step_s=step_s) as process:
        answer = process.get(path)
        assert (answer.status, answer.body) == (200, BODY)
        if "age" in answer.headers:
            assert 0 <= int(answer.headers["age"]) < 60
        assert answer.is_hit == (step_s < 60)


# Clients


def raw(edge: EdgeProcess, *pieces: bytes) -> bytes:
    """All that comes back until the edge closes."""
    with socket.create_connection(("127.0.0.1", edge.port), timeout=LIMIT_S) as client:
        for piece in pieces:
            client.sendall(piece)
        answer = b""
        while chunk := client.recv(65536):
            answer += chunk
        return answer


def test_slow_loris_gets_408_and_is_closed(origin: FaultyOrigin, start_edge: StartEdge) -> None:
    with start_edge(origin.url, "--set", "server.header_deadline_s=0.3") as process:
        answer = raw(process, b"GET / HTTP/1.1\r\nhost: x\r\nslow")
        assert answer.startswith(b"HTTP/1.1 408 ")
        process.wait_status(lambda status: status["connection_count"] == 1)


def test_empty_lines_buy_no_time(origin: FaultyOrigin, start_edge: StartEdge) -> None:
    origin.serve("/late", b"answer")
    get = b"GET /late HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    with start_edge(origin.url, "--set", "server.header_deadline_s=0.5") as process:
        assert raw(process, b"\r\n" + get).endswith(b"answer")
        assert raw(process, b"\r\n\r\n" + get).startswith(b"HTTP/1.1 400 ")
        assert raw(process, b"\r\n", b"\r\n").startswith(b"HTTP/1.1 400 ")
        # Idle for longer than this test may take, were it not for the head's deadline.
        assert raw(process, b"\r\n") == b""


def test_body_that_stops_coming_is_not_waited_for(
    origin: FaultyOrigin, start_edge: StartEdge
) -> None:
    with start_edge(origin.url, "--set", "server.send_s=0.3") as process:
        head = b"POST /upload HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
        answer = raw(process, head, b"ten bytes.")
        assert answer == b"" or answer.split()[1] in (b"408", b"502", b"504")
        process.wait_status(lambda status: status["connection_count"] == 1)


def test_half_open_connection_is_closed_when_idle(
    origin: FaultyOrigin, start_edge: StartEdge
) -> None:
    limits = ("--set", "server.idle_s=0.3", "--set", "server.header_deadline_s=0.3")
    with start_edge(origin.url, *limits) as process:
        assert raw(process, b"") == b""


def test_client_that_leaves_late_does_not_stop_the_fetch(
    origin: FaultyOrigin, start_edge: StartEdge
) -> None:
    may_finish = threading.Event()

    def slowly(exchange: Exchange) -> None:
        exchange.head(content_length=len(BODY), cache_control="max-age=60")
        exchange.send(BODY[: len(BODY) * 3 // 4])
        may_finish.wait(LIMIT_S)
        exchange.send(BODY[len(BODY) * 3 // 4 :])

    origin.routes["/mostly"] = slowly
    with start_edge(origin.url) as process:
        connection = process.connect()
        connection.request("GET", "/mostly")
        connection.getresponse().read(len(BODY) * 3 // 4)
        connection.close()
        may_finish.set()
        process.wait_status(lambda status: status["fills_stored"] == 1)
        assert process.get("/mostly").is_hit
    assert origin.count("/mostly") == 1
