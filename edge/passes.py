"""What the answers of requests that were passed through mean for what is stored.

A write that upstream did not refuse makes what is stored for its URL doubtful, and so what is
stored for the URLs that its answer names in Location and Content-Location, where they are of the
same origin (RFC 9111, 4.4). A write of which nothing was heard may have happened.

The answer to a HEAD describes what a GET would get. It renews a stored response that it agrees
with, and ends one that it contradicts (RFC 9111, 4.3.5).
"""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from cache.http.conditional import confirms
from cache.http.headers import Headers, get_one
from edge.effects import PassThrough
from edge.events import PassAnswered
from edge.hot import HotEntry
from edge.open_fills import OpenFills
from edge.residents import Residents
from edge.services import Services

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110, 9.2.1). An unknown one may."""

_NAMING = ("location", "content-location")


class Passes:
    """Hears what became of the requests that were passed through."""

    def __init__(
        self, *, epoch_s: float, services: Services, residents: Residents, open_fills: OpenFills
    ) -> None:
        self._epoch_s = epoch_s
        self._services = services
        self._residents = residents
        self._open = open_fills

    def begun(self, method: str, url: str) -> None:
        """A request goes upstream. What a write may change while it is fetched is not kept."""
        if method not in _SAFE:
            self._spoil(url)

    def answered(self, event: PassAnswered, now_s: float) -> None:
        passed = event.passed
        if passed.method == "HEAD" and event.status == 200:
            self._head(passed, event.headers, now_s)
        elif passed.method not in _SAFE and (event.status is None or 200 <= event.status < 400):
            for named in (passed.url, *_named_urls(passed.url, event.headers)):
                url = self._services.canonical(named)
                if url is not None:
                    self._residents.invalidate(url, now_s)
                    self._spoil(url)

    def _spoil(self, url: str) -> None:
        """What is being fetched may hold what upstream no longer has: it is not stored."""
        for fill in self._open.of_url(url):
            self._open.bar(fill, "invalidated")

    def _head(self, passed: PassThrough, headers: Headers, now_s: float) -> None:
        url = self._services.canonical(passed.url)
        entry = self._residents.match(url, passed.headers) if url is not None else None
        if entry is None or entry.stored.status != 200:
            return
        if _agrees(entry, headers):
            wall_s = self._epoch_s + now_s
            self._residents.refresh(entry, headers, wall_s, wall_s)
        else:
            self._residents.invalidate(entry.stored.url, now_s)


def _agrees(entry: HotEntry, headers: Headers) -> bool:
    size = get_one(headers, "content-length")
    return confirms(entry.stored.headers, headers) and (
        size is None or size == str(entry.stored.size_bytes)
    )


def _named_urls(url: str, headers: Headers) -> list[str]:
    """The other URLs of the same origin that an answer is about."""
    parts = urlsplit(url)
    found = []
    for name in _NAMING:
        text = get_one(headers, name)
        if text is None:
            continue
        try:
            named = urljoin(url, text)
            other = urlsplit(named)
        except ValueError:
            continue
        if (other.scheme, other.netloc.lower()) != (parts.scheme, parts.netloc.lower()):
            continue
        rest = named.partition("#")[0].partition("://")[2][len(other.netloc) :]
        found.append(f"{parts.scheme}://{parts.netloc}{rest}")
    return found
