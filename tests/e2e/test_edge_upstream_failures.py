"""Why an upstream fails: its operator is told, in the log and the status."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from typing import TYPE_CHECKING

import pytest

from edge.drivers.upstream.failures import AGAIN_S, CAUSES_MAX, Failures
from tests.certificates import Authority, Pair, needs_openssl

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Exchange, FaultyOrigin, StartEdge


def test_closed_port_is_told_once_with_the_systems_words(start_edge: StartEdge) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        upstream = f"http://127.0.0.1:{server.getsockname()[1]}"
    with start_edge(upstream) as edge:
        for number in range(4):
            assert edge.get(f"/{number}").status == 502
        assert edge.request("POST", "/x", b"").status == 502
        (failure,) = edge.status()["upstream_failures"]
        assert (failure["upstream"], failure["cause"]) == (upstream, "refused")
        assert failure["count"] >= 5
        assert "connection" in failure["detail"].lower()
        lines = [line for line in edge.log().splitlines() if "upstream.failed" in line]
        assert len(lines) == 1
        assert failure["detail"] in lines[0]


@needs_openssl
def test_certificate_that_is_not_trusted_is_told_as_such(
    start_edge: StartEdge, tmp_path: Path
) -> None:
    pair: Pair = Authority(tmp_path, "unknown").sign("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def shake_hands() -> None:
            while True:
                try:
                    end, _ = server.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(end, server_side=True).close()
                except OSError:
                    end.close()

        thread = threading.Thread(target=shake_hands, daemon=True)
        thread.start()
        with start_edge(f"https://localhost:{server.getsockname()[1]}") as edge:
            assert edge.get("/a").status == 502
            assert "CERTIFICATE_VERIFY_FAILED" in edge.log()
            assert "certificate" in edge.status()["upstream_failures"][0]["detail"].lower()
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def test_answer_that_cannot_be_read_is_told(origin: FaultyOrigin, start_edge: StartEdge) -> None:
    def nonsense(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\n")

    origin.routes["/nonsense"] = nonsense
    with start_edge(origin.url) as edge:
        assert edge.get("/nonsense").status == 502
        (failure,) = edge.status()["upstream_failures"]
        assert failure["cause"] == "broken"
        assert "content-length" in failure["detail"].lower()


def test_lines_are_few_and_come_again_when_it_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    now_s = 0.0
    failures = Failures(lambda: now_s)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            failures.failed("http://a", "refused", "no connection")
        assert len(caplog.records) == 1
        now_s = AGAIN_S
        failures.failed("http://a", "refused", "no connection")
        assert len(caplog.records) == 2
        for number in range(100):
            failures.failed("http://a", "broken", f"upstream's words {number}\nupstream.faked")
        assert len(caplog.records) <= 1 + CAUSES_MAX
        assert all("\n" not in record.getMessage() for record in caplog.records)
        failures.failed("http://b", "refused", "no connection")
    assert [(one.upstream, one.count) for one in failures.figures()] == [
        ("http://a", 106),
        ("http://b", 1),
    ]
    failures.keep_only({"http://b"})
    assert [one.upstream for one in failures.figures()] == ["http://b"]
