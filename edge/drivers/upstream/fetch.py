"""One fill: from a connection into a growing body, and what the core hears of it.

The head is told in the same turn of the loop in which it came, after the bytes that came with it
were put into the body: whoever waits can send both at once. Nothing here is a task; a fill that
gets a kept connection is asked for before `start` returns.

Where the store holds the first bytes and only the rest was asked for, what is held goes into the
body first (`Beginning`), and the connection waits for it.

A kept connection may have been closed by upstream while the request was on its way. A fetch that
dies so, before any byte of an answer, is begun once more on a new connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from cache.http.headers import get_one
from edge.drivers.fill_bodies import FillBodies
from edge.drivers.growing import GrowingBody
from edge.drivers.upstream.beginning import Beginning
from edge.drivers.upstream.connection import Connection
from edge.drivers.upstream.pool import Peer
from edge.effects import StartFill
from edge.events import (
    Event,
    FailureCause,
    FillBlocked,
    FillEnded,
    FillFailed,
    FillHeaders,
    FillInterim,
    FillProgress,
    Headers,
)
from edge.pacing import PROGRESS_BYTES, PROGRESS_S
from edge.targets import Destination
from nearcast.http1 import ResponseHead, format_request_head
from nearcast.manifests import is_manifest
from nearcast.manifests.limits import TEXT_BYTES_MAX

METHOD: Final = "GET"


class Fetch:
    """A customer of the pool, then a receiver of its connection."""

    def __init__(
        self,
        effect: StartFill,
        body: GrowingBody,
        *,
        fill_bodies: FillBodies,
        tell: Callable[[Event], None],
        on_over: Callable[[int], None],
        beginning: Beginning | None = None,
    ) -> None:
        self.is_gone = False
        self._beginning = beginning
        """What is held of it, until that is known not to fit or is in the body."""
        self._is_copying = False
        self._behind: list[bytes] = []
        """What has arrived behind the beginning while that is copied."""
        self._is_end_behind = False
        self._effect = effect
        self._fill_id = effect.fill_id
        self._body = body
        self._fill_bodies = fill_bodies
        self._tell = tell
        self._on_over = on_over
        self._loop = asyncio.get_running_loop()
        self._peer: Peer | None = None
        self._request = b""
        self._connection: Connection | None = None
        self._head: ResponseHead | None = None
        self._trailers: Headers = ()
        self._is_second_try = False
        self._is_wide = False
        self._is_paused = False
        self._is_blocked = False
        self._leave_bytes = effect.leave_bytes
        """So much of the body may be read for now; None: all."""
        self._told_bytes = 0
        self._told_s = 0.0

    def start(self, peer: Peer, destination: Destination) -> None:
        self._peer = peer
        headers = peer.fields(destination.host, self._effect.headers)
        self._request = format_request_head(METHOD, destination.target, headers)
        peer.take(self, is_small=self._effect.priority == "prefetch")

    # -- what the core wants

    def pause(self) -> None:
        self._is_paused = True
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        self._is_paused = False
        self._read_on()

    def allow(self, leave_bytes: int) -> None:
        """Read on, up to there."""
        self._leave_bytes = leave_bytes
        self._read_on()

    def widen(self) -> None:
        """Demand has joined this prefetch."""
        self._is_wide = True
        self._leave_bytes = None
        if self._connection is not None:
            self._connection.widen()
        self._read_on()

    def cut(self) -> None:
        """Stop here and keep what has come."""
        if self._is_copying:
            self._body.fail("the fetch was given up")
            self.refused("broken", "cut in what was held")
            return
        self._let_go()
        self._ended(is_cut=True)

    def cancel(self) -> None:
        self.is_gone = True
        self._body.fail("the fetch was given up")
        self._forget_beginning()
        self._let_go()
        self._fill_bodies.end(self._fill_id)

    # -- a customer

    def ready(self, connection: Connection) -> None:
        self._connection = connection
        connection.ask(METHOD, self._request, self)
        if self._is_wide:
            connection.widen()
        if self._is_paused:
            connection.pause()

    def refused(self, cause: FailureCause, detail: str) -> None:
        if self.is_gone:
            return
        self.is_gone = True
        self._forget_beginning()
        self._let_go()
        self._body.fail(detail)
        self._on_over(self._fill_id)
        self._tell(FillFailed(fill_id=self._fill_id, cause=cause, detail=detail))
        self._fill_bodies.end(self._fill_id)

    # -- a receiver

    def interim(self, head: ResponseHead) -> None:
        if head.status != 100:  # nothing was asked that it would answer
            self._tell(FillInterim(fill_id=self._fill_id, status=head.status, headers=head.headers))

    def head(self, head: ResponseHead, payload: bytes) -> None:
        self._head = head
        self._told_s = self._loop.time()
        if self._beginning is not None:
            if self._beginning.fits(head.status, head.headers):
                self._copy_beginning(self._beginning, head, payload)
                return
            self._forget_beginning()
        if payload:
            self._body.append(payload)
        self._tell(FillHeaders(fill_id=self._fill_id, status=head.status, headers=head.headers))
        # The head is a sign of life, and a small body is whole by now: no progress is told yet.
        if payload and not self.is_gone:
            self._check_leave()
            self._check_room()

    def data(self, payload: bytes) -> None:
        if self._is_copying:
            self._behind.append(payload)
            return
        self._body.append(payload)
        self._progressed()

    def end(self, trailers: Headers) -> None:
        self._connection = None
        self._trailers = trailers
        if self._is_copying:
            self._is_end_behind = True
        else:
            self._ended()

    def _ended(self, *, is_cut: bool = False) -> None:
        self.is_gone = True
        self._body.finish(self._trailers)
        self._on_over(self._fill_id)
        self._tell(
            FillEnded(
                fill_id=self._fill_id,
                size_bytes=self._body.size_bytes,
                crc32c=self._body.crc32c,
                text=self._text() if not is_cut else None,
                is_cut=is_cut,
            )
        )

    def failed(self, cause: FailureCause, detail: str, *, is_unanswered: bool) -> None:
        was_kept = self._connection is not None and self._connection.is_reused
        self._connection = None
        if is_unanswered and was_kept and not self._is_second_try:
            self._is_second_try = True
            assert self._peer is not None
            is_small = self._effect.priority == "prefetch"
            self._peer.take(self, is_small=is_small, is_fresh=True)
            return
        if self._peer is not None:
            self._peer.failed(cause, detail)
        self.refused(cause, detail)

    def writable(self) -> None:
        pass

    # -- parts

    def _progressed(self) -> None:
        size_bytes = self._body.size_bytes
        now_s = self._loop.time()
        if size_bytes - self._told_bytes >= PROGRESS_BYTES or now_s - self._told_s >= PROGRESS_S:
            self._told_bytes, self._told_s = size_bytes, now_s
            self._tell(FillProgress(fill_id=self._fill_id, received_bytes=size_bytes))
        self._check_leave()
        self._check_room()

    def _check_leave(self) -> None:
        """Stop where we were told to; what the socket gave beyond that cannot be put back."""
        size_bytes = self._body.size_bytes
        if self._leave_bytes is not None and size_bytes >= self._leave_bytes and not self.is_gone:
            if self._connection is not None:
                self._connection.pause()
            if self._told_bytes < size_bytes:
                self._told_bytes, self._told_s = size_bytes, self._loop.time()
                self._tell(FillProgress(fill_id=self._fill_id, received_bytes=size_bytes))

    def _check_room(self) -> None:
        if not self._is_blocked and not self.is_gone and not self._body.has_room:
            self._is_blocked = True
            if self._connection is not None:
                self._connection.pause()
            self._tell(FillBlocked(fill_id=self._fill_id, is_blocked=True))
            self._body.when_room(self._room_came)

    def _room_came(self) -> None:
        if self.is_gone:
            return
        self._is_blocked = False
        self._tell(FillBlocked(fill_id=self._fill_id, is_blocked=False))
        if self._is_copying and self._beginning is not None:
            self._beginning.go_on()
        else:
            self._read_on()

    def _read_on(self) -> None:
        stops = self._is_paused or self._is_blocked or self._is_copying or self._is_at_its_end
        if self._connection is not None and not stops:
            self._connection.resume()

    @property
    def _is_at_its_end(self) -> bool:
        """Of what it has leave to read."""
        return self._leave_bytes is not None and self._body.size_bytes >= self._leave_bytes

    # -- what was held of it

    def _copy_beginning(self, beginning: Beginning, head: ResponseHead, payload: bytes) -> None:
        self._is_copying = True
        if payload:
            self._behind.append(payload)
        if self._connection is not None:
            self._connection.pause()
        self._tell(FillHeaders(fill_id=self._fill_id, status=head.status, headers=head.headers))
        if not self.is_gone:
            beginning.copy(self._copied, self._all_copied)

    def _copied(self) -> bool:
        self._progressed()
        return not (self._is_blocked or self.is_gone)

    def _all_copied(self, failure: str | None) -> None:
        self._is_copying = False
        self._beginning = None
        if self.is_gone:
            return
        if failure is not None:
            self.refused("broken", failure)
            return
        for payload in self._behind:
            self._body.append(payload)
        self._behind.clear()
        self._progressed()
        if self._is_end_behind and not self.is_gone:
            self._ended()
        else:
            self._read_on()

    def _forget_beginning(self) -> None:
        beginning, self._beginning = self._beginning, None
        if beginning is not None:
            beginning.close()

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.drop()

    def _text(self) -> bytes | None:
        """Of a manifest, which the core must read."""
        head, body = self._head, self._body
        if head is None or head.status != 200 or body.size_bytes > TEXT_BYTES_MAX:
            return None
        content_type = get_one(head.headers, "content-type")
        return body.whole() if is_manifest(content_type, self._effect.url) else None
