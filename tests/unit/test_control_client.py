"""What a command says of an origin that does not answer."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nearcast.errors import ConfigError, InputError
from origin.control.api import PlanRow
from origin.drivers.control.client import AdminClient
from origin.drivers.control.token_file import made_or_read
from tests.certificates import Authority, Pair, needs_openssl


def test_an_origin_that_is_slow_is_not_said_to_be_away(tmp_path: Path) -> None:
    token = tmp_path / "admin.token"
    made_or_read(token)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = AdminClient(f"http://127.0.0.1:{silent.getsockname()[1]}", token)
        with pytest.raises(InputError, match=r"did not answer within 0\.01 s"):
            client.post("/plans", {}, PlanRow, answer_s=0.01)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:99999", "http://[::1", "http://127.0.0.1:x", "http://u@h:1", "ftp://h",
        "https://h:1?x=y", "https://h:1#x", "127.0.0.1:8090",
    ],
)  # fmt: skip
def test_an_admin_port_that_cannot_be_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="https://HOST:PORT"):
        AdminClient(url, tmp_path / "none")


@pytest.mark.parametrize(
    ("url", "is_told"),
    [
        ("http://origin.example:8090", True),
        ("http://127.0.0.1:8090", False),
        ("http://[::1]:8090/behind/a/proxy", False),
        ("https://origin.example:8090", False),
    ],
)
def test_a_token_that_goes_over_the_network_in_clear_is_told(
    url: str, is_told: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made_or_read(tmp_path / "admin.token")
    AdminClient(url, tmp_path / "admin.token")
    assert [one.levelname for one in caplog.records] == ["WARNING"] * is_told


@contextlib.contextmanager
def showing(pair: Pair) -> Iterator[tuple[str, list[bytes]]]:
    """A program on an admin port, its URL, and what one connection told it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    heard: list[bytes] = []

    def hear() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listening.accept()
            with connection, context.wrap_socket(connection, server_side=True) as secure:
                heard.append(secure.recv(10_000))
                secure.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=hear)
        thread.start()
        try:
            yield f"https://127.0.0.1:{listening.getsockname()[1]}", heard
        finally:
            thread.join(10.0)


@needs_openssl
def test_no_other_certificate_of_the_same_authority_is_told_the_token(tmp_path: Path) -> None:
    made_or_read(tmp_path / "admin.token")
    authority = Authority(tmp_path, "ours")
    ours, other = authority.sign("origin.example"), authority.sign("evil.example")
    chain = tmp_path / "fullchain.pem"
    chain.write_bytes(Path(ours.certificate).read_bytes() + authority.file.read_bytes())
    with showing(ours) as (url, heard):
        AdminClient(url, tmp_path / "admin.token", shown=chain).delete("/tokens/x")
    assert b"Bearer" in heard[0]
    with showing(other) as (url, heard):
        client = AdminClient(url, tmp_path / "admin.token", shown=chain)
        with pytest.raises(InputError, match=r"another program may have its port"):
            client.delete("/tokens/x")
    assert heard == []
