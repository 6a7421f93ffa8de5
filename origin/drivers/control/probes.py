"""The origin's own looks at edges: whether somebody answers there."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import aiohttp

from nearcast.fleet import ALIVE_PATH, EDGE_FIELD, answers_as
from origin.fleet import ProbeAnswered, ProbeEdge, ProbeOutcome

AT_A_TIME_MAX: Final = 256
ANSWER_BYTES_MAX: Final = 1_024


class Prober:
    """`look` at an edge. Make it inside the running loop; `close` it."""

    def __init__(self) -> None:
        # Certificates are not looked at: an edge's public certificate may be for names that are not
        # this address. Who answers there by mistake says so, or has no such path.
        connector = aiohttp.TCPConnector(limit=AT_A_TIME_MAX, force_close=True, ssl=False)
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar()
        )
        self._turns = asyncio.Semaphore(AT_A_TIME_MAX)

    async def close(self) -> None:
        await self._session.close()

    async def look(self, probe: ProbeEdge) -> ProbeAnswered:
        async with self._turns:
            began_s = time.monotonic()
            outcome = await self._outcome(probe)
            rtt_s = time.monotonic() - began_s if outcome == "ok" else None
        return ProbeAnswered(edge=probe.edge, outcome=outcome, rtt_s=rtt_s)

    async def _outcome(self, probe: ProbeEdge) -> ProbeOutcome:
        limit = aiohttp.ClientTimeout(total=probe.timeout_s)
        try:
            async with self._session.get(
                probe.url + ALIVE_PATH, timeout=limit, allow_redirects=False
            ) as response:
                await response.content.read(ANSWER_BYTES_MAX)
                if response.status >= 500:
                    return "error"
                named = response.headers.get(EDGE_FIELD)
                return "ok" if answers_as(probe.edge, response.status, named) else "stranger"
        except aiohttp.ClientConnectorError as error:
            return "refused" if isinstance(error.os_error, ConnectionError) else "error"
        except TimeoutError:
            return "timeout"
        except (aiohttp.ClientError, ValueError):
            # Also one that takes the connection and closes it: it may be full, and is not gone.
            return "error"
