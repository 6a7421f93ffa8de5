"""`nearcast shape` as a process: ready line, figures, exit statuses."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_S = 20.0


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "nearcast", "shape", *arguments]


def failing(*arguments: str) -> str:
    """Run to the end; the message of a run that must end with status 2."""
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    return done.stderr


def test_several_links_in_one_process_and_figures_at_the_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        to = f"127.0.0.1:{server.getsockname()[1]}"
        links = [
            {"name": "home", "to": to, "trace": "fibre", "delay_ms": 5},
            {"name": "away", "to": to, "rate_kbps": 4000, "up_kbps": 1000},
        ]
        (tmp_path / "links.json").write_text(json.dumps(links))
        figures_file = tmp_path / "figures.json"
        process = subprocess.Popen(
            command("--links", str(tmp_path / "links.json"), "--json", str(figures_file)),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        try:
            word, *bound = process.stdout.readline().split()
            assert word == "ready"
            addresses = dict(item.split("=") for item in bound)
            assert list(addresses) == ["home", "away"]
            host, port = addresses["home"].split(":")
            with socket.create_connection((host, int(port)), timeout=LIMIT_S) as client:
                client.sendall(b"hello")
                peer, _ = server.accept()
                with peer:
                    peer.settimeout(LIMIT_S)
                    assert peer.recv(100) == b"hello"
                    peer.sendall(b"well met")
                    assert client.recv(100) == b"well met"
                    process.send_signal(signal.SIGTERM)
                    assert client.recv(100) == b""
            assert process.wait(LIMIT_S) == 0
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
    home, away = json.loads(figures_file.read_text())["links"]
    assert (home["name"], home["listen"]) == ("home", addresses["home"])
    assert home["connection_count"] == 1
    assert home["up"]["delivered_bytes"] == 5
    assert home["down"]["delivered_bytes"] == 8
    assert away["connection_count"] == 0


@pytest.mark.parametrize(
    ("row", "reason"),
    [("1,-5", "must not be negative"), ("1,quick", "not a number"), ("", "at least two rows")],
)
def test_bad_trace_ends_with_status_2_and_its_line(tmp_path: Path, row: str, reason: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(f"t_s,throughput_kbps\n0,100\n{row}\n")
    message = failing("--trace", str(path), "--to", "127.0.0.1:9")
    assert reason in message
    assert f"{path}" in message


def test_bad_arguments_end_with_status_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        assert listen in failing("--rate-kbps", "9", "--to", "127.0.0.1:9", "--listen", listen)
    assert "either trace or rate" in failing("--to", "127.0.0.1:9")
    links = tmp_path / "links.json"
    links.write_text('[{"to": "127.0.0.1:9", "rate_kbps": 5, "dealy_ms": 1}]')
    assert "dealy_ms" in failing("--links", str(links))
