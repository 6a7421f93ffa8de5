"""A port where strangers knock, many at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nearcast.errors import ConfigError
from origin.control.authority import Authority
from origin.drivers.control.connections import Connection
from origin.drivers.control.fleet_port import tls_context
from origin.drivers.control.listener import Listener

HELLO = b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n"


class World:
    """A listener that knows who has asked for /1."""

    def __init__(self, connections_max: int = 8, tls: ssl.SSLContext | None = None) -> None:
        self.known: set[Connection] = set()
        self.lost_count = 0
        self.listener = Listener(
            self._answer, what="test", connections_max=connections_max, idle_s=60.0,
            lost=self._lost, known=self.known.__contains__, tls=tls,
        )  # fmt: skip
        self.port = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def _answer(self, request: web.BaseRequest, connection: Connection) -> web.Response:
        if request.path == "/1":
            self.known.add(connection)
            connection.is_stranger = False
        return web.Response(text="yes")

    def _lost(self, connection: Connection) -> None:
        self.lost_count += 1

    async def client(self, no: int | None = None, source: str = "127.0.0.1") -> Client:
        """A connection that has asked for `no`, or said nothing."""
        one = await self.connect(local_addr=(source, 0))
        if no is not None:
            await one.ask(no)
        return one

    async def connect(self, **settings: Any) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, **settings)
        self.writers.append(writer)
        return Client(reader, writer)


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, no: int) -> None:
        self.writer.write(HELLO % no)
        assert (await self.reader.readuntil(b"yes")).startswith(b"HTTP/1.1 200")

    async def is_closed(self) -> bool:
        with contextlib.suppress(ConnectionError):
            return await self.reader.read() == b""
        return True


@contextlib.asynccontextmanager
async def running(world: World) -> AsyncIterator[World]:
    _, world.port = await world.listener.start("127.0.0.1:0")
    try:
        async with asyncio.timeout(20):
            yield world
    finally:
        await world.listener.close(0.0)
        for writer in world.writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def test_strangers_take_each_others_places_and_no_edges(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("origin.drivers.control.connections.STRANGERS_MAX", 3)

    async def main() -> None:
        async with running(World()) as world:
            edges = [await world.client(1) for _ in range(4)]
            flood = [await world.client(0) for _ in range(3)]
            other = await world.client(0, "127.0.0.2")
            assert await flood[0].is_closed()
            flood.append(await world.client(0))
            assert await flood[1].is_closed()
            for one in (*edges, other, flood[2], flood[3]):
                await one.ask(0)
            assert world.listener.connection_count == 7
            assert world.listener.refused_count == 2
            assert world.lost_count == 2

    with caplog.at_level(logging.WARNING):
        asyncio.run(main(), debug=False)
    assert caplog.text == ""


def test_beyond_the_limit_strangers_leave_first_and_then_who_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with running(World(connections_max=3)) as world:
            edges = [await world.client(1) for _ in range(2)]
            stranger = await world.client(0)
            edges.append(await world.client(1))
            assert await stranger.is_closed()
            late = await world.client()
            assert await late.is_closed()
            for one in edges:
                await one.ask(0)

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert caplog.text == ""


def test_a_quiet_stranger_is_closed_long_before_an_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("origin.drivers.control.connections.STRANGER_IDLE_S", 0.0)
    monkeypatch.setattr("origin.drivers.control.listener.SWEEP_S", 0.01)

    async def main() -> None:
        async with running(World()) as world:
            edge, stranger = await world.client(1), await world.client()
            assert await stranger.is_closed()
            await edge.ask(0)

    asyncio.run(main())


def test_silence_before_the_handshake_keeps_nobody_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("origin.drivers.control.listener.HANDSHAKES_MAX", 4)
    authority = Authority.make(time.time())
    tls = tls_context(authority.certificate_pem)
    chain, key = authority.server_certificate(("localhost",), time.time())
    (tmp_path / "chain.pem").write_bytes(chain.encode() + key)
    tls.load_cert_chain(tmp_path / "chain.pem")
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.load_verify_locations(cadata=authority.certificate_pem)

    async def main() -> None:
        async with running(World(tls=tls)) as world:
            silent = [await world.client() for _ in range(20)]
            for one in silent[:16]:
                assert await one.is_closed()
            edge = await world.connect(ssl=trusting, server_hostname="localhost")
            await edge.ask(1)
            assert world.listener.refused_count >= 16
            # What is left of them goes when the listener does.
            await world.listener.close(0.0)
            for one in silent[16:]:
                assert await one.is_closed()

    asyncio.run(main())


def test_a_port_that_is_taken_is_named() -> None:
    async def main() -> None:
        taken = socket.create_server(("127.0.0.1", 0))
        said = r"cannot listen on 127.0.0.1:\d+.*for test"
        with taken, pytest.raises(ConfigError, match=said):
            await World().listener.start(f"127.0.0.1:{taken.getsockname()[1]}")

    asyncio.run(main())


@pytest.mark.parametrize("reason", ["expired", "another_authority"])
def test_certificates_that_tls_turns_away_are_counted_and_told(
    reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wall_s = time.time()
    ours = Authority.make(wall_s)
    server_tls = tls_context(ours.certificate_pem)
    _load_chain(server_tls, *ours.server_certificate(["127.0.0.1"], wall_s), tmp_path)
    client_tls = ssl.create_default_context(cadata=ours.certificate_pem)
    signer = ours if reason == "expired" else Authority.make(wall_s)
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    csr_pem = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    shown = signer.edge_certificate(
        "a", csr_pem, wall_s, valid_s=-1.0 if reason == "expired" else 60.0
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _load_chain(client_tls, shown.certificate_pem, key_pem, tmp_path)

    async def main() -> None:
        async with running(World(tls=server_tls)) as world:
            for _ in range(2):
                with contextlib.suppress(OSError):
                    client = await world.connect(ssl=client_tls)
                    assert await client.is_closed()
            assert world.listener.certificates.counts == {reason: 2}
            assert world.listener.connection_count == 0

    asyncio.run(main())
    (line,) = [one for one in caplog.messages if "certificate_refused" in one]
    assert f"reason={reason} peer=127.0.0.1" in line


def _load_chain(tls: ssl.SSLContext, chain_pem: str, key_pem: bytes, folder: Path) -> None:
    file = folder / "chain.pem"
    file.write_bytes(key_pem + chain_pem.encode())
    tls.load_cert_chain(file)
