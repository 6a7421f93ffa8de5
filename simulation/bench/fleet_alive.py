"""Where the edges of a load answer whether they live: each at a port of its own, as edges do."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from nearcast.address import LOOPBACK
from nearcast.fleet import EDGE_FIELD

ASKED_S: Final = 5.0


async def answer_probes(edge: str) -> str:
    """The URL at which `edge` answers from now on, for as long as the loop runs."""
    head = f"HTTP/1.1 204 No Content\r\n{EDGE_FIELD}: {edge}\r\nconnection: close\r\n\r\n".encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lost = (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
        with contextlib.suppress(*lost):
            async with asyncio.timeout(ASKED_S):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(head)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    return f"http://{LOOPBACK}:{port}"
