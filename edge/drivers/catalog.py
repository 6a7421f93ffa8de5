"""Asking whether upstream is a Nearcast origin, and what it offers.

The core says when. What has not changed is not told again, an upstream that is not there yet is
asked until it is, and one that turned out to be something else is asked rarely.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

import msgspec

from edge.drivers.upstream import UpstreamError
from edge.drivers.upstream.whole import Answer
from edge.effects import FetchCatalog
from edge.events import CatalogLearned, Event, Headers
from edge.pacing import FOREIGN_RETRY_S
from nearcast.clock import Clock
from nearcast.messages import Catalog

logger = logging.getLogger(__name__)

CATALOG_BYTES_MAX: Final = 16 << 20
TIMEOUT_S: Final = 10.0
RETRY_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses while upstream does not answer; the last one repeats."""
TRIES_MAX: Final = 100
"""Most of an hour; after that the next viewer's request asks again."""


class Getter(Protocol):
    """The client towards upstream, as far as it is needed here."""

    async def get(self, url: str, headers: Headers, *, bytes_max: int, timeout_s: float) -> Answer:
        """Raises UpstreamError."""


class _Catalog:
    """What is known of one."""

    def __init__(self) -> None:
        self.etag: str | None = None
        self.body: bytes | None = None
        self.left_alone_until_s = 0.0
        self.task: asyncio.Task[None] | None = None


class CatalogReader:
    """Fetches catalogues, each once at a time."""

    def __init__(
        self,
        upstream: Getter,
        clock: Clock,
        tell: Callable[[Event], None],
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
    ) -> None:
        self._upstream = upstream
        self._clock = clock
        self._tell = tell
        self._spawn = spawn
        self._catalogs: dict[str, _Catalog] = {}  # of configured services, so there are few

    def fetch(self, effect: FetchCatalog) -> None:
        one = self._catalogs.setdefault(effect.url, _Catalog())
        is_busy = one.task is not None and not one.task.done()
        if not is_busy and self._clock.now_s() >= one.left_alone_until_s:
            one.task = self._spawn(self._fetch(effect.url, one), "catalog")

    async def _fetch(self, url: str, one: _Catalog) -> None:
        for number in range(TRIES_MAX):
            try:
                await self._ask(url, one)
            except UpstreamError as error:
                logger.debug("catalog.unreachable detail=%r", error)
                await asyncio.sleep(RETRY_S[min(number, len(RETRY_S) - 1)])
            else:
                return

    async def _ask(self, url: str, one: _Catalog) -> None:
        """One try. Raises UpstreamError when upstream does not answer."""
        headers: Headers = (("accept-encoding", "identity"),)
        if one.etag is not None:
            headers = (*headers, ("if-none-match", one.etag))
        answer = await self._upstream.get(
            url, headers, bytes_max=CATALOG_BYTES_MAX, timeout_s=TIMEOUT_S
        )
        if answer.status >= 500:
            raise UpstreamError("broken", f"status {answer.status}")
        if answer.status == 304:
            return
        text = answer.body if answer.status == 200 else None
        etag = next((value for name, value in answer.headers if name == "etag"), None)
        if text is not None and text == one.body:
            return
        catalog = _decode(text) if text is not None else None
        if catalog is None:
            logger.info("catalog.absent: this upstream offers none; prefetching needs one")
            one.left_alone_until_s = self._clock.now_s() + FOREIGN_RETRY_S
            return
        one.etag, one.body = etag, text
        self._tell(CatalogLearned(base_url=url, catalog=catalog))


def _decode(text: bytes) -> Catalog | None:
    try:
        return msgspec.json.decode(text, type=Catalog)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
