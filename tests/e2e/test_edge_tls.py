"""TLS on the data port: with the library that makes it cheaper and without, certificates that are
renewed, and clients that must show one of their own."""

from __future__ import annotations

import http.client
import shutil
import signal
import socket
import ssl
from pathlib import Path

import pytest

from tests.certificates import Authority, Pair, needs_openssl
from tests.e2e.conftest import LIMIT_S, EdgeProcess, FaultyOrigin, StartEdge, eventually

pytestmark = needs_openssl

NAME = "edge.example"
BODIES = {
    f"/{size_bytes}": (f"{size_bytes}|".encode() * size_bytes)[:size_bytes]
    for size_bytes in (7, 4096, 70_000, 2_500_000)
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.sign(NAME)


@pytest.fixture(scope="module")
def upstream(origin: FaultyOrigin) -> str:
    for path, body in BODIES.items():
        origin.serve(path, body)
    return origin.url


def settings(pair: Pair, **more: object) -> list[str]:
    given = {"certificate": pair.certificate, "key": pair.key, **more}
    return [word for name, value in given.items() for word in ("--set", f"tls.{name}={value}")]


class Client:
    """A connection that checks who answers; `with_pair` is shown to an edge that asks."""

    def __init__(
        self, edge: EdgeProcess, authority: Authority, with_pair: Pair | None = None
    ) -> None:
        context = ssl.create_default_context(cafile=str(authority.file))
        if with_pair is not None:
            context.load_cert_chain(with_pair.certificate, with_pair.key)
        with socket.create_connection(("127.0.0.1", edge.port), timeout=LIMIT_S) as plain:
            self.end = context.wrap_socket(plain, server_hostname=NAME)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.end.close()

    def get(self, path: str) -> bytes:
        self.end.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        with http.client.HTTPResponse(self.end) as response:
            response.begin()
            assert response.status == 200
            return response.read()


@pytest.mark.parametrize("is_fast", [True, False], ids=["aiofastnet", "asyncio"])
def test_bodies_of_all_sizes_are_whole(
    is_fast: bool,
    upstream: str,
    start_edge: StartEdge,
    authority: Authority,
    pair: Pair,
    tmp_path: Path,
) -> None:
    if is_fast:
        pytest.importorskip("aiofastnet", reason="needs the extra tls")
    (tmp_path / "aiofastnet.py").write_text("raise ImportError\n")
    environ = {} if is_fast else {"PYTHONPATH": str(tmp_path)}
    arguments = ("--store", str(tmp_path / "store"), *settings(pair))
    with (
        start_edge(upstream, *arguments, environ=environ) as edge,
        Client(edge, authority) as client,
    ):
        assert client.end.version() == "TLSv1.3"
        for _ in range(3):
            for path, body in BODIES.items():
                assert client.get(path) == body


def test_clients_must_show_a_certificate_where_that_is_asked(
    upstream: str, start_edge: StartEdge, authority: Authority, pair: Pair, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger").sign("viewer.example")
    with start_edge(upstream, *settings(pair, client_ca=authority.file)) as edge:
        refused = pytest.raises((ssl.SSLError, ConnectionError))
        for shown in (None, stranger):
            # In TLS 1.3 the client has done its part when it hears that it was not enough.
            with refused, Client(edge, authority, shown) as client:
                client.get("/7")
        with Client(edge, authority, authority.sign("viewer.example")) as client:
            assert client.get("/7") == BODIES["/7"]


def test_renewed_certificate_is_shown_and_a_broken_one_is_not(
    upstream: str, start_edge: StartEdge, authority: Authority, pair: Pair, tmp_path: Path
) -> None:
    files = Pair(tmp_path / "certificate", tmp_path / "key")

    def put(new: Pair) -> None:
        for source, target in zip(new, files, strict=True):
            shutil.copyfile(source, target)

    def shown(edge: EdgeProcess) -> bytes | None:
        with Client(edge, authority) as client:
            assert client.get("/7") == BODIES["/7"]
            return client.end.getpeercert(binary_form=True)

    put(pair)
    with start_edge(upstream, *settings(files)) as edge, Client(edge, authority) as old:
        before = shown(edge)
        put(authority.sign(NAME))
        edge.process.send_signal(signal.SIGHUP)
        eventually(lambda: "tls.loaded" in edge.log(), "the log line")
        after = shown(edge)
        assert after != before
        assert old.get("/4096") == BODIES["/4096"]
        files.certificate.write_text("no certificate")
        edge.process.send_signal(signal.SIGHUP)
        eventually(lambda: "config.refused" in edge.log(), "the log line")
        assert shown(edge) == after


@pytest.mark.parametrize("is_fast", [True, False], ids=["aiofastnet", "asyncio"])
def test_client_that_takes_nothing_is_let_go(
    is_fast: bool,
    origin: FaultyOrigin,
    start_edge: StartEdge,
    authority: Authority,
    pair: Pair,
    tmp_path: Path,
) -> None:
    if is_fast:
        pytest.importorskip("aiofastnet", reason="needs the extra tls")
    (tmp_path / "aiofastnet.py").write_text("raise ImportError\n")
    environ = {} if is_fast else {"PYTHONPATH": str(tmp_path)}
    origin.serve("/untaken", bytes(20_000_000))
    arguments = ("--set", "server.send_s=0.3", *settings(pair))
    with (
        start_edge(origin.url, *arguments, environ=environ) as edge,
        Client(edge, authority) as client,
    ):
        client.end.sendall(b"GET /untaken HTTP/1.1\r\nhost: x\r\n\r\n")
        eventually(lambda: "client.slow" in edge.log(), "the end of its patience")
