"""Looks whether other edges answer, as the origin asked us to."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

import aiohttp

from edge.fleet.events import Probe, Probed
from nearcast.errors import ConfigError
from nearcast.fleet import ALIVE_PATH, EDGE_FIELD, answers_as
from nearcast.units import ms_from_s

CONNECTIONS_MAX: Final = 32


class Prober:
    """Make it inside the running loop. Raises ConfigError when `ca_file` cannot be read."""

    def __init__(self, ca_file: str | None) -> None:
        try:
            tls = ssl.create_default_context(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"fleet.peer_ca_file: cannot use {ca_file}: {error}") from error
        # A connection of its own for each look: a process that still has its old connections and
        # takes no new ones is of no use to players.
        connector = aiohttp.TCPConnector(ssl=tls, limit=CONNECTIONS_MAX, force_close=True)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        self._now_s = asyncio.get_running_loop().time

    async def look(self, probe: Probe) -> Probed:
        """Another's answer at its URL is none of its."""
        begun_s = self._now_s()
        try:
            async with self._session.get(
                probe.url.rstrip("/") + ALIVE_PATH,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=probe.timeout_s),
            ) as answer:
                is_up = answers_as(probe.edge, answer.status, answer.headers.get(EDGE_FIELD))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return Probed(edge=probe.edge, is_up=False)
        return Probed(edge=probe.edge, is_up=is_up, rtt_ms=ms_from_s(self._now_s() - begun_s))

    async def close(self) -> None:
        await self._session.close()
