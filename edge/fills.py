"""Fetching from upstream: one fetch for equal misses, and what becomes of each.

A miss waits for an open fill of its URL or starts one. What the head of the answer means is decided
in `edge.responses`; here is how requests come and go, and how a body ends:

    whole           offered to the residents if it may be stored, else let go
    cut off         its readers' connections are closed, so that no client mistakes half an object
                    for a whole one; who still waits for the head is served what is stored, or 502
                    or 504
    unwanted        when its last client has left it is cancelled, unless most of it is there

Events for a fill that is not open (cancelled a moment ago) change nothing.
"""

from __future__ import annotations

from cache.http.headers import Headers
from edge.config import EdgeConfig
from edge.desk import Desk
from edge.events import FillEnded, FillFailed, FillProgress, StoredObject
from edge.fill import Fill, Waiter
from edge.hot import HotEntry
from edge.open_fills import OpenFills
from edge.requests import Ask, shared_headers
from edge.residents import Residents, object_id_of
from edge.responses import Responses
from edge.status import Counters
from edge.uncacheable import Uncacheable


class Fills:
    """Lets requests wait for fills, and sees fills to their end."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        fills: OpenFills,
        responses: Responses,
        desk: Desk,
        residents: Residents,
        counters: Counters,
        uncacheable: Uncacheable,
    ) -> None:
        self._http = config.http
        self._object_bytes_max = config.object_bytes_max
        self._open = fills
        self._responses = responses
        self._desk = desk
        self._residents = residents
        self._counters = counters
        self._uncacheable = uncacheable

    # -- asking for something

    def join(self, ask: Ask, fwd: str) -> bool:
        """Wait for an open fill of this URL. False when there is none that fits."""
        for fill in self._open.of_url(ask.url):
            if fill.is_open_to(ask):
                break
        else:
            return False
        self._counters.collapsed += 1
        if fill.demand_count >= self._http.waiters_max:
            self._desk.pass_on(ask, fwd=fwd, detail="too many wait for this")
            return True
        if fill.is_prefetch:
            self._open.turn_into_demand(fill)
        waiter = Waiter(ask=ask, fwd=fwd, is_collapsed=True)
        if fill.state == "asked":
            self._open.wait(fill, waiter)
        else:
            self._responses.answer(fill, waiter)
        return True

    def start(self, ask: Ask, fwd: str, entry: HotEntry | None, now_s: float) -> None:
        """Fetch for a request; `entry` is what a 304 would confirm."""
        fill = self._open.start(ask.url, shared_headers(ask.headers), now_s, confirms=entry)
        self._open.wait(fill, Waiter(ask=ask, fwd=fwd))

    def revalidate(self, ask: Ask, entry: HotEntry, now_s: float) -> None:
        """Renew an entry that was served stale; nobody waits for it."""
        if not self._open.is_full and not self._open.of_url(ask.url):
            self._open.start(ask.url, shared_headers(ask.headers), now_s, confirms=entry)

    def prefetch(self, url: str, headers: Headers, until_s: float, now_s: float) -> int:
        """Fetch what nobody has asked for yet, to be kept until `until_s`."""
        entry = self._residents.match(url, headers)
        return self._open.start(
            url, headers, now_s, confirms=entry, prefetch_until_s=until_s
        ).fill_id

    def spoil(self, url: str) -> None:
        """Something changed at upstream: what is being fetched must not be stored."""
        for fill in self._open.of_url(url):
            fill.bar("invalidated")

    # -- how it goes on and ends

    def progress(self, event: FillProgress, now_s: float) -> int:
        """Returns how many bytes have arrived that nobody had asked for yet."""
        fill = self._open.get(event.fill_id)
        if fill is None:
            return 0
        unasked_bytes = self._open.count(fill, event.received_bytes)
        if fill.received_bytes > self._object_bytes_max and fill.is_storable:
            fill.bar("too large")
            self._uncacheable.add(fill.url, now_s)
            self._drop_if_useless(fill, now_s)
        return unasked_bytes

    def ended(self, event: FillEnded, now_s: float) -> int:
        """Returns what `progress` would."""
        fill = self._open.get(event.fill_id)
        if fill is None:
            return 0
        unasked_bytes = self._open.count(fill, event.size_bytes)
        if fill.state == "spent":
            self._open.discard(fill, "not_modified", "", now_s)
        elif fill.state == "asked":
            self._responses.refuse_waiting(fill, 502, "upstream ended without an answer")
            self._open.discard(fill, "failed", "no head", now_s)
        elif fill.size_bytes is not None and fill.size_bytes != event.size_bytes:
            self._abort_readers(fill)
            self._open.discard(fill, "failed", "not the announced size", now_s)
        else:
            self._settle(fill, event, now_s)
        return unasked_bytes

    def _settle(self, fill: Fill, event: FillEnded, now_s: float) -> None:
        """A whole body: keep it or let it go."""
        text = event.text if fill.status == 200 else None
        if not fill.is_storable:
            self._open.discard(fill, "not_stored", fill.detail, now_s, text=text)
            return
        stored = StoredObject(
            object_id=object_id_of(fill.url, fill.vary, fill.response_wall_s, fill.fill_id),
            url=fill.url,
            vary=fill.vary,
            status=fill.status,
            headers=fill.response_headers,
            size_bytes=event.size_bytes,
            crc32c=event.crc32c,
            requested_wall_s=fill.requested_wall_s,
            received_wall_s=fill.response_wall_s,
            is_prefetch=fill.is_prefetch,
        )
        refusal = self._residents.admit(
            fill.fill_id,
            stored,
            now_s,
            prefetch_until_s=fill.prefetch_until_s if fill.is_prefetch else None,
        )
        if refusal is None:
            self._open.close(fill, "stored", "", now_s, object_id=stored.object_id, text=text)
            return
        if fill.is_prefetch:
            self._counters.prefetch_refused += 1
        self._open.discard(fill, "not_stored", refusal, now_s, text=text)

    def failed(self, event: FillFailed, now_s: float) -> None:
        fill = self._open.get(event.fill_id)
        if fill is None:
            return
        if event.cause == "disk":
            fill.bar("disk")
            self._drop_if_useless(fill, now_s)
            return
        self._responses.stand_in(fill, f"upstream {event.cause}", now_s)
        status = 504 if event.cause == "timeout" else 502
        self._responses.refuse_waiting(fill, status, f"upstream {event.cause}")
        self._abort_readers(fill)
        self._open.close(fill, "failed", f"{event.cause}: {event.detail}", now_s)

    def request_over(self, request_id: int) -> None:
        """A request got all it wanted. The fill goes on: others will want the rest."""
        fill = self._open.of_request(request_id)
        if fill is not None:
            self._open.forget(fill, request_id)

    def client_left(self, request_id: int, now_s: float) -> None:
        """A client went away before it had all."""
        fill = self._open.of_request(request_id)
        if fill is None:
            return
        self._open.forget(fill, request_id)
        if fill.demand_count == 0 and fill.state != "spent":
            is_nearly_there = fill.is_storable and fill.share() >= self._http.finish_share
            if not is_nearly_there:
                self._open.cancel(fill, "every client has left", now_s)

    def _abort_readers(self, fill: Fill) -> None:
        for request_id in sorted(fill.readers):
            self._open.forget(fill, request_id)
            self._desk.abort(request_id)

    def _drop_if_useless(self, fill: Fill, now_s: float) -> None:
        if fill.state == "coming" and fill.demand_count == 0 and not fill.is_storable:
            self._open.cancel(fill, fill.detail, now_s)
