"""Asking whether upstream is a Nearcast origin, and what it offers.

The core says when. What has not changed is not told again, and an upstream that turned out to be
something else is asked rarely.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

import aiohttp
import msgspec

from edge.events import CatalogLearned, Event, FetchCatalog
from nearcast.clock import Clock
from nearcast.messages import Catalog

logger = logging.getLogger(__name__)

CATALOG_BYTES_MAX: Final = 16 << 20
TIMEOUT_S: Final = 10.0
FOREIGN_RETRY_S: Final = 600.0
"""How long an upstream without a catalogue is left alone."""


class CatalogReader:
    """Fetches catalogues, one at a time."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        clock: Clock,
        tell: Callable[[Event], None],
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
    ) -> None:
        self._session = session
        self._clock = clock
        self._tell = tell
        self._spawn = spawn
        self._etag: str | None = None
        self._body: bytes | None = None
        self._left_alone_until_s = 0.0
        self._task: asyncio.Task[None] | None = None

    def fetch(self, effect: FetchCatalog) -> None:
        is_busy = self._task is not None and not self._task.done()
        if not is_busy and self._clock.now_s() >= self._left_alone_until_s:
            self._task = self._spawn(self._fetch(effect.url), "catalog")

    async def _fetch(self, url: str) -> None:
        headers = {"if-none-match": self._etag} if self._etag is not None else {}
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                self._session.get(
                    url,
                    headers={"accept-encoding": "identity", **headers},
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None),
                ) as response,
            ):
                if response.status == 304 or response.status >= 500:
                    return  # nothing new, or nobody there for now
                text = await _bounded(response) if response.status == 200 else None
                etag = response.headers.get("etag")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            logger.debug("catalog.unreachable detail=%r", error)
            return
        if text is not None and text == self._body:
            return
        catalog = _decode(text) if text is not None else None
        if catalog is None:
            logger.info("catalog.absent: this upstream offers none; prefetching needs one")
            self._left_alone_until_s = self._clock.now_s() + FOREIGN_RETRY_S
            return
        self._etag, self._body = etag, text
        self._tell(CatalogLearned(base_url=url, catalog=catalog))


async def _bounded(response: aiohttp.ClientResponse) -> bytes | None:
    """The body, or None when it is longer than any catalogue."""
    parts: list[bytes] = []
    size_bytes = 0
    while part := await response.content.readany():
        parts.append(part)
        size_bytes += len(part)
        if size_bytes > CATALOG_BYTES_MAX:
            return None
    return b"".join(parts)


def _decode(text: bytes) -> Catalog | None:
    try:
        return msgspec.json.decode(text, type=Catalog)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
