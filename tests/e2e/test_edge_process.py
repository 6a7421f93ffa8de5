"""`nearcast edge` as a process: bad input, signals, what it leaves behind."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from nearcast.main import main

if TYPE_CHECKING:
    from tests.e2e.conftest import Exchange, FaultyOrigin, StartEdge

LIMIT_S = 20.0
BODY = bytes(range(256)) * 2000
NOWHERE = ("--upstream", "http://127.0.0.1:9", "--listen", "127.0.0.1:0")


class Run(NamedTuple):
    status: int
    stdout: str
    stderr: str


def ended(*arguments: str) -> Run:
    """`nearcast edge` as a process of its own, to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "nearcast", "edge", *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr)


def refusal(*arguments: str) -> str:
    """The message of a process that must end with status 2."""
    run = ended(*arguments)
    assert run.status == 2, run
    assert "Traceback" not in run.stderr
    return run.stderr


def test_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        message = refusal("--upstream", "http://127.0.0.1:9", "--listen", address)
    assert f"cannot listen on {address}: address already in use" in message
    assert "--listen" in message


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ((), "--upstream"),
        (("--upstream", "ftp://x"), "http://host"),
        (("--upstream", "http://user:secret@x"), "user"),
        ((*NOWHERE, "--listen", "8081"), "HOST:PORT"),
        ((*NOWHERE, "--listen", "127.0.0.1:99999"), "HOST:PORT"),
        ((*NOWHERE, "--capacity", "plenty"), "10GB"),
        ((*NOWHERE, "--set", "http.patience=3"), "http.patience"),
        ((*NOWHERE, "--store", "/dev/null/store"), "/dev/null/store"),
        ((*NOWHERE, "--config", "/nonexistent.toml"), "/nonexistent.toml"),
        ((*NOWHERE, "--json", "/nonexistent/status.json"), "/nonexistent/status.json"),
    ],
)
def test_bad_input_names_what_is_wrong(
    arguments: tuple[str, ...], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["edge", *arguments]) == 2
    assert hint in capsys.readouterr().err


def test_store_of_another_edge(start_edge: StartEdge, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    with start_edge("http://127.0.0.1:9", "--store", store):
        assert "in use by another edge" in refusal(*NOWHERE, "--store", store)


def test_folder_with_other_files_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "precious").write_text("mine")
    assert main(["edge", *NOWHERE, "--store", str(tmp_path)]) == 2
    assert "precious" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_print_config_shows_each_value_and_its_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "edge.toml"
    file.write_text("capacity_bytes = '2GB'\n[prefetch]\nrate_kbps = 5000\n")
    layers = ("--config", str(file), "--set", "name=ams1")
    assert main(["edge", *NOWHERE, *layers, "--print-config"]) == 0
    shown = capsys.readouterr().out
    assert f"capacity_bytes = 2000000000    # {file}" in shown
    assert 'name = "ams1"    # --set' in shown
    assert "http.fills_max = 256    # default" in shown


def test_help_needs_no_heavy_package() -> None:
    code = (
        "import sys; from nearcast.main import main; main(['edge', '--help']); "
        "heavy = {'onnxruntime', 'numpy', 'aiohttp', 'lxml'} & set(sys.modules); "
        "print('loaded', sorted(heavy))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT_S, check=True
    )
    assert "Example: nearcast edge --upstream" in done.stdout
    assert "loaded []" in done.stdout


def test_sigterm_finishes_the_answer_under_way_and_reports(
    origin: FaultyOrigin, start_edge: StartEdge, tmp_path: Path
) -> None:
    may_finish = threading.Event()

    def slowly(exchange: Exchange) -> None:
        exchange.head(content_length=len(BODY), cache_control="max-age=60")
        exchange.send(BODY[:1000])
        assert may_finish.wait(LIMIT_S)
        exchange.send(BODY[1000:])

    origin.routes["/drained"] = slowly
    report = tmp_path / "status.json"
    store = ("--store", str(tmp_path / "store"))
    with start_edge(origin.url, *store, "--json", str(report)) as process:
        connection = process.connect()
        connection.request("GET", "/drained")
        answer = connection.getresponse()
        part = answer.read(1000)
        stopping = threading.Thread(target=process.stop)
        stopping.start()
        refused(process.port)
        may_finish.set()
        assert part + answer.read() == BODY
        stopping.join(LIMIT_S)
        assert process.process.returncode == 0
        connection.close()
    status = json.loads(report.read_bytes())
    assert status["is_draining"]
    assert status["client_bytes"] == len(BODY)
    with start_edge(origin.url, *store) as process:
        assert process.get("/drained").is_hit  # what arrived while draining is kept


def refused(port: int) -> None:
    """Wait until nobody listens there any more."""
    pause = threading.Event()
    for _ in range(int(LIMIT_S / 0.01)):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S).close()
        except ConnectionRefusedError:
            return
        pause.wait(0.01)
    raise AssertionError(f"port {port} still takes connections")


def test_answer_that_outlasts_the_grace_time_is_cut(
    origin: FaultyOrigin, start_edge: StartEdge
) -> None:
    is_over = threading.Event()

    def never_ends(exchange: Exchange) -> None:
        exchange.head(content_length=len(BODY))
        exchange.send(BODY[:1000])
        is_over.wait(LIMIT_S)

    origin.routes["/endless"] = never_ends
    with start_edge(origin.url, "--set", "server.drain_s=0.1") as process:
        connection = process.connect()
        connection.request("GET", "/endless")
        connection.getresponse().read(1000)
        assert process.stop() == 0
        connection.close()
    is_over.set()


def test_connections_beyond_the_cap_are_closed_and_slow_heads_too(
    origin: FaultyOrigin, start_edge: StartEdge
) -> None:
    origin.serve("/few", b"few")
    limits = ("--set", "server.connections_max=2", "--set", "server.header_deadline_s=0.3")
    with start_edge(origin.url, *limits) as process:
        assert process.get("/few").body == b"few"
        address = ("127.0.0.1", process.port)
        with (
            socket.create_connection(address, LIMIT_S) as first,
            socket.create_connection(address, LIMIT_S) as second,
        ):
            for client in (first, second):
                client.sendall(b"GET /few HT")
            with socket.create_connection(address, LIMIT_S) as third:
                assert closed(third)
            for client in (first, second):
                assert client.recv(100).startswith(b"HTTP/1.1 408 ")
        process.wait_status(lambda status: status["refused_connection_count"] >= 1)
        assert process.get("/few").body == b"few"


def closed(client: socket.socket) -> bool:
    try:
        return client.recv(100) == b""
    except ConnectionResetError:
        return True


def test_listening_beyond_this_machine_is_warned_of(start_edge: StartEdge) -> None:
    with start_edge("http://127.0.0.1:9", "--listen", "0.0.0.0:0") as process:
        pass
    assert "open to other machines" in process.log()
