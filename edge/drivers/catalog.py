"""Asking whether upstream is a Nearcast origin, and what it offers.

The core says when. What has not changed is not told again, an upstream that is not there yet is
asked until it is, and one that turned out to be something else is asked rarely.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

import aiohttp
import msgspec
from yarl import URL

from edge.events import CatalogLearned, Event, FetchCatalog
from edge.pacing import FOREIGN_RETRY_S
from nearcast.clock import Clock
from nearcast.messages import Catalog

logger = logging.getLogger(__name__)

CATALOG_BYTES_MAX: Final = 16 << 20
TIMEOUT_S: Final = 10.0
RETRY_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses while upstream does not answer; the last one repeats."""


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
        for number in itertools.count():
            try:
                await self._ask(url)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                logger.debug("catalog.unreachable detail=%r", error)
                await asyncio.sleep(RETRY_S[min(number, len(RETRY_S) - 1)])
            else:
                return

    async def _ask(self, url: str) -> None:
        """One try. Raises what aiohttp does when upstream does not answer."""
        headers = {"accept-encoding": "identity"}
        if self._etag is not None:
            headers["if-none-match"] = self._etag
        async with (
            asyncio.timeout(TIMEOUT_S),
            self._session.get(
                URL(url, encoded=True),
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None),
            ) as response,
        ):
            if response.status >= 500:
                raise aiohttp.ClientError(f"status {response.status}")
            if response.status == 304:
                return
            text = await _bounded(response) if response.status == 200 else None
            etag = response.headers.get("etag")
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
