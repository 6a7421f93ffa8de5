"""What an edge and an origin make of answers at an edge's URL."""

from __future__ import annotations

import asyncio

import pytest

from edge.drivers.fleet.prober import Prober as EdgeProber
from edge.fleet.events import Probe
from nearcast.fleet import ALIVE_PATH
from origin.drivers.control.probes import Prober as OriginProber
from origin.fleet import ProbeEdge


async def looked(head: str) -> tuple[bool, str]:
    """Whether an edge says that `e1` is up, and what the origin sees, at who answers so."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        assert asked.startswith(f"GET {ALIVE_PATH} ".encode())
        writer.write(f"HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    edge, origin = EdgeProber(None), OriginProber()
    try:
        seen = await edge.look(Probe(edge="e1", url=url, timeout_s=5.0))
        found = await origin.look(ProbeEdge(edge="e1", url=url, timeout_s=5.0))
    finally:
        await edge.close()
        await origin.close()
        server.close()
        await server.wait_closed()
    return seen.is_up, found.outcome


@pytest.mark.parametrize(
    ("head", "is_up", "outcome"),
    [
        ("200 OK\r\nNearcast-Edge: e1", True, "ok"),
        ("200 OK", True, "ok"),  # of the version before
        ("204 No Content", True, "ok"),
        ("200 OK\r\nNearcast-Edge: e2", False, "stranger"),
        ("200 OK\r\nNearcast-Edge: ", False, "stranger"),
        ("404 Not Found", False, "stranger"),
        ("302 Found\r\nLocation: /login", False, "stranger"),
        ("503 Service Unavailable", False, "error"),
        ("503 Service Unavailable\r\nNearcast-Edge: e1", False, "error"),
    ],
)
def test_another_at_the_url_of_an_edge_is_not_that_edge(
    head: str, is_up: bool, outcome: str
) -> None:
    assert asyncio.run(looked(head)) == (is_up, outcome)
