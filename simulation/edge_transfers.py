"""Transfers of a simulated edge: fills with their waiters, answers passed through, the catalogue.

Each listens to its own exchange with upstream and tells the edge's core what the live drivers would
tell it, as often. Silence is the core's to notice.

A fill here is never blocked by our own side: the simulated disk keeps up, and what a slow reader
has not taken yet costs no memory. So nobody says `FillBlocked`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from cache.http.parts import continues
from edge import effects, events
from edge.answers import passed_head
from edge.pacing import FOREIGN_RETRY_S, PROGRESS_BYTES, PROGRESS_S, SPOOL_BYTES
from nearcast.manifests import is_manifest
from nearcast.manifests.limits import TEXT_BYTES_MAX
from nearcast.media import ByteRange
from nearcast.messages import Catalog
from simulation.edge_disk import EdgeDisk
from simulation.scheduler import Scheduler
from simulation.transport import REFUSED, Answer, Client, Exchange, Headers, Request


class Node(Protocol):
    """The edge these transfers belong to."""

    scheduler: Scheduler
    disk: EdgeDisk
    feed: Callable[[events.Event], None]

    def fill_failed(self, fill: Fill, cause: events.FailureCause, detail: str) -> None: ...


class Waiter:
    """An answer that streams from a fill, or from a part of it."""

    def __init__(self, exchange: Exchange, byte_range: ByteRange | None) -> None:
        self.exchange = exchange
        self._first = byte_range.first if byte_range is not None else 0
        self._size_bytes = byte_range.size_bytes if byte_range is not None else None

    def offer(self, received_bytes: int) -> None:
        available_bytes = max(0, received_bytes - self._first)
        if self._size_bytes is not None:
            available_bytes = min(available_bytes, self._size_bytes)
        if available_bytes > 0:
            self.exchange.offer(available_bytes)


class Fill:
    """An object on its way from upstream; listens to its own transfer."""

    def __init__(self, node: Node, effect: effects.StartFill, client: Client) -> None:
        self.fill_id = effect.fill_id
        self.url = effect.url
        self.announced_text: bytes | None = None  # for waiters, who get to read it at their end
        self.text: bytes | None = None
        self._node = node
        self._effect = effect
        self._client = client
        self._waiters: list[Waiter] = []
        self._answer: Answer | None = None
        self._held_bytes = 0  # of the beginning, once the answer is the rest behind it
        self._received_bytes = 0
        self._told_bytes = 0
        self._told_s = 0.0
        self._is_over = False
        self._is_disk_told = False
        self.is_stream_only = False
        request = Request(method="GET", target=target_of(effect.url), headers=effect.headers)
        self._call = client.send(request, self)

    def add(self, waiter: Waiter) -> None:
        self._waiters.append(waiter)
        waiter.offer(self._received_bytes)
        if self._is_over:
            waiter.exchange.finish()

    def pause(self) -> None:
        self._client.hold(self._call)

    def resume(self) -> None:
        self._client.release(self._call)

    def cancel(self) -> None:
        self._is_over = True
        self._client.cancel(self._call)

    def cut(self) -> None:
        """Stop and keep what has come."""
        self.cancel()
        self._node.feed(
            events.FillEnded(
                fill_id=self.fill_id, size_bytes=self._received_bytes, crc32c=0, is_cut=True
            )
        )

    def started(self, answer: Answer) -> None:
        self._answer = answer
        self._told_s = self._node.scheduler.now_s()
        self.announced_text = answer.text
        held = self._effect.continues
        if held is not None and continues(
            held.headers, held.size_bytes, held.of_bytes, answer.status, answer.headers
        ):
            self._held_bytes = self._received_bytes = held.size_bytes
        self._node.feed(
            events.FillHeaders(fill_id=self.fill_id, status=answer.status, headers=answer.headers)
        )

    def arrived(self, received_bytes: int) -> None:
        received_bytes += self._held_bytes
        self._received_bytes = received_bytes
        for waiter in self._waiters:
            waiter.offer(received_bytes)
        if received_bytes > SPOOL_BYTES and self._node.disk.is_full and not self._is_disk_told:
            self._is_disk_told = True
            self._node.feed(
                events.FillFailed(fill_id=self.fill_id, cause="disk", detail="disk full")
            )
        now_s = self._node.scheduler.now_s()
        is_much = received_bytes - self._told_bytes >= PROGRESS_BYTES
        if is_much or now_s - self._told_s >= PROGRESS_S:
            self._told_bytes, self._told_s = received_bytes, now_s
            self._node.feed(
                events.FillProgress(fill_id=self.fill_id, received_bytes=received_bytes)
            )

    def ended(self, size_bytes: int, text: bytes | None) -> None:
        size_bytes += self._held_bytes
        self._is_over = True
        self.text = text
        for waiter in self._waiters:
            waiter.exchange.finish()
        self._node.feed(
            events.FillEnded(
                fill_id=self.fill_id,
                size_bytes=size_bytes,
                crc32c=0,  # there are no bytes to sum; nothing in a simulation damages them
                text=text if self._is_wanted_text(size_bytes) else None,
            )
        )

    def failed(self, detail: str) -> None:
        self._is_over = True
        self._node.fill_failed(self, "refused" if detail == REFUSED else "broken", detail)

    def _is_wanted_text(self, size_bytes: int) -> bool:
        if size_bytes > TEXT_BYTES_MAX:
            return False
        assert self._answer is not None
        content_type = dict(self._answer.headers).get("content-type")
        return self._answer.status == 200 and is_manifest(content_type, self._effect.url)


class Passing:
    """An answer that goes from upstream straight to one client."""

    def __init__(
        self,
        passed: effects.PassThrough,
        exchange: Exchange,
        feed: Callable[[events.Event], None],
        on_failure: Callable[[], None],
    ) -> None:
        self._passed = passed
        self._exchange = exchange
        self._feed = feed
        self._on_failure = on_failure
        self._is_told = False

    def started(self, answer: Answer) -> None:
        self._tell_core(answer.status, answer.headers)
        if not self._exchange.is_over:
            headers = passed_head(self._passed, answer.headers)
            self._exchange.start(msgspec.structs.replace(answer, headers=headers))

    def arrived(self, received_bytes: int) -> None:
        self._exchange.offer(received_bytes)

    def ended(self, size_bytes: int, text: bytes | None) -> None:
        self._exchange.finish()

    def failed(self, detail: str) -> None:
        self._tell_core(None, ())
        self._on_failure()

    def _tell_core(self, status: int | None, headers: Headers) -> None:
        """Once, and before the client hears of it. A GET makes nothing doubtful."""
        if not self._is_told and self._passed.method != "GET":
            self._is_told = True
            self._feed(events.PassAnswered(passed=self._passed, status=status, headers=headers))


class CatalogReader:
    """Asks upstream for its catalogue, one question at a time. What has not changed is not told
    again, and an upstream without one is asked rarely."""

    def __init__(self, node: Node, client: Client) -> None:
        self._node = node
        self._client = client
        self._url = ""
        self._status = 0
        self._etag: str | None = None
        self._is_busy = False
        self._left_alone_until_s = 0.0

    def fetch(self, effect: effects.FetchCatalog) -> None:
        if self._is_busy or self._node.scheduler.now_s() < self._left_alone_until_s:
            return
        self._is_busy = True
        self._url = effect.url
        headers: Headers = (("if-none-match", self._etag),) if self._etag is not None else ()
        request = Request(method="GET", target=target_of(effect.url), headers=headers)
        self._client.send(request, self)

    def started(self, answer: Answer) -> None:
        self._status = answer.status
        if answer.status == 200:
            self._etag = dict(answer.headers).get("etag")

    def arrived(self, received_bytes: int) -> None:
        pass

    def ended(self, size_bytes: int, text: bytes | None) -> None:
        self._is_busy = False
        if self._status == 200 and text is not None:
            catalog = msgspec.json.decode(text, type=Catalog)
            self._node.feed(events.CatalogLearned(base_url=self._url, catalog=catalog))
        elif self._status not in (304, 502, 503, 504):
            self._left_alone_until_s = self._node.scheduler.now_s() + FOREIGN_RETRY_S

    def failed(self, detail: str) -> None:
        self._is_busy = False


def target_of(url: str) -> str:
    """Path and query of a URL, as a request line has them."""
    parts = urlsplit(url)
    return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
