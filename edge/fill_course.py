"""How a fill goes on and ends, by what the driver tells of it and by who leaves.

    whole           offered to the residents if it may be stored, else let go
    cut off         its readers' connections are closed, so that no client mistakes half an object
                    for a whole one; who still waits for the head is fetched for once more where
                    the budget for that allows, else served what is stored, or 502 or 504
    silent          for too long: given up here, and then as if it had been cut off
    from a peer     (a placement plan alone asks one) taken only whole and undamaged; who waits for
                    what a peer does not have is fetched for from upstream
    unwanted        when its last client has left it is cancelled, unless most of it is there; what
                    has come of a large one is kept as its beginning, to be gone on from

What the head means is decided in `edge.responses`. Events for a fill that is not open (cancelled a
moment ago) change nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from cache.http.headers import without
from cache.http.parts import Part
from edge.config import EdgeConfig
from edge.desk import Desk
from edge.effects import CancelFill, Effect, ServeInterim
from edge.events import (
    FailureCause,
    FillBlocked,
    FillEnded,
    FillFailed,
    FillHeaders,
    FillInterim,
    FillProgress,
)
from edge.fill import Fill
from edge.fill_accounts import FillAccounts
from edge.open_fills import OpenFills
from edge.peers import damage_of, why_not_from_peer
from edge.residents import Residents
from edge.responses import Responses
from edge.status import Counters
from edge.stored import stored_of
from edge.uncacheable import Uncacheable
from nearcast.machine import EffectQueue

_RETRIED: Final = frozenset({"refused", "broken"})
"""A timeout has cost its clients too much time already; the others are upstream's own doing."""


class FillCourse:
    """Sees fills to their end."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        effects: EffectQueue[Effect],
        open_fills: OpenFills,
        accounts: FillAccounts,
        responses: Responses,
        desk: Desk,
        residents: Residents,
        counters: Counters,
        uncacheable: Uncacheable,
    ) -> None:
        self._http = config.http
        self._object_bytes_max = config.object_bytes_max
        self._effects = effects
        self._open = open_fills
        self._accounts = accounts
        self._responses = responses
        self._desk = desk
        self._residents = residents
        self._counters = counters
        self._uncacheable = uncacheable

    def reconfigure(self, config: EdgeConfig) -> None:
        self._http = config.http

    # -- how it goes on

    def interim(self, event: FillInterim, now_s: float) -> None:
        """Everyone who waits gets it, unless it is meant for one; and it is a sign of life."""
        fill = self._open.get(event.fill_id)
        if fill is None or fill.state != "asked":
            return
        self._open.heard(fill, now_s)
        for request_id in fill.waiting:
            if fill.is_personal and request_id != fill.first_request_id:
                continue
            self._effects.emit(
                ServeInterim(request_id=request_id, status=event.status, headers=event.headers)
            )

    def headers(self, event: FillHeaders, now_s: float) -> None:
        fill = self._open.get(event.fill_id)
        if fill is None or fill.state != "asked":
            return
        if fill.peer:
            refusal = why_not_from_peer(event.status, event.headers, fill.bytes_max)
            if refusal is not None:
                self._counters.peer_refusals += 1
                self._resubmit_waiting(fill)
                self._open.cancel(fill, refusal, now_s, is_failure=True)
                return
            # What the peer was for its client says nothing to ours.
            shown = without(event.headers, ("cache-status",))
            event = msgspec.structs.replace(event, headers=shown)
        else:
            self._open.upstreams.answered(fill.fill_id, fill.url, fill.headers, event.status, now_s)
            if fill.is_planned and fill.is_unasked and event.status not in (200, 304):
                detail = f"upstream answered {event.status}"
                self._open.cancel(fill, detail, now_s, is_failure=True)
                return
        self._responses.headers(event, now_s)
        if self._open.get(event.fill_id) is fill:
            if fill.is_purged(fill.response_headers):
                self._open.bar(fill, "purged")
            self._open.heard(fill, now_s)
            self._open.stream_only(fill)

    def blocked(self, event: FillBlocked, now_s: float) -> None:
        fill = self._open.get(event.fill_id)
        if fill is not None:
            self._open.block(fill, event.is_blocked, now_s)

    def progress(self, event: FillProgress, now_s: float) -> int:
        """Returns how many bytes have arrived that nobody had asked for yet."""
        fill = self._open.get(event.fill_id)
        if fill is None:
            return 0
        unasked_bytes = self._accounts.received(fill, event.received_bytes)
        self._open.heard(fill, now_s)
        if fill.is_unasked and fill.bytes_max is not None and fill.bytes_max < fill.received_bytes:
            self._open.cancel(fill, "larger than planned", now_s, is_failure=True)
            return unasked_bytes
        if fill.received_bytes > self._object_bytes_max and fill.is_storable:
            self._open.bar(fill, "too large")
            self._uncacheable.add(fill.url, now_s)
            self._drop_if_useless(fill, now_s)
        elif not fill.is_storable:
            self._open.stream_only(fill)  # a manifest may have turned out too long to be read
        return unasked_bytes

    # -- how it ends

    def ended(self, event: FillEnded, now_s: float) -> int:
        """Returns what `progress` would."""
        fill = self._open.get(event.fill_id)
        if fill is None:
            return 0
        unasked_bytes = self._accounts.received(fill, event.size_bytes)
        if fill.state == "spent":
            self._open.discard(fill, "not_modified", "", now_s)
        elif fill.state == "asked":
            self._responses.refuse_waiting(fill, 502, "upstream ended without an answer")
            self._open.discard(fill, "failed", "no head", now_s)
        elif event.is_cut:
            self._keep_beginning(fill, event, now_s)
        elif fill.peer and (damage := damage_of(fill.response_headers, event)) is not None:
            self._counters.peer_refusals += 1
            self._abort_readers(fill)
            self._open.discard(fill, "failed", damage, now_s)
        elif fill.size_bytes is not None and fill.size_bytes != event.size_bytes:
            self._abort_readers(fill)
            self._open.discard(fill, "failed", "not the announced size", now_s)
        else:
            self._settle(fill, event, now_s)
        return unasked_bytes

    def _keep_beginning(self, fill: Fill, event: FillEnded, now_s: float) -> None:
        """What had come of a body that nobody waits for any more is a part of it."""
        assert fill.size_bytes is not None, "only what has a size is cut"
        if event.size_bytes == 0:
            self._open.discard(fill, "cancelled", "every client has left", now_s)
            return
        first = fill.part.first if fill.part is not None else 0
        of_bytes = fill.part.of_bytes if fill.part is not None else fill.size_bytes
        if event.size_bytes < fill.size_bytes or fill.part is not None:
            last = first + event.size_bytes - 1
            fill.part = Part(first=first, last=last, of_bytes=of_bytes)
        self._settle(fill, event, now_s)

    def _settle(self, fill: Fill, event: FillEnded, now_s: float) -> None:
        """A whole body, or the part that was wanted: keep it or let it go."""
        text = event.text if fill.status == 200 else None
        if not fill.is_storable:
            self._open.discard(fill, "not_stored", fill.detail, now_s, text=text)
            return
        stored = stored_of(fill, event)
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
            self._open.bar(fill, "disk")
            self._drop_if_useless(fill, now_s)
            return
        self._broken(fill, event.cause, event.detail, now_s)

    def advance(self, now_s: float) -> None:
        """Give up the fills of which nothing was heard for too long."""
        for fill in self._open.take_silent(now_s):
            self._effects.emit(CancelFill(fill_id=fill.fill_id))
            self._broken(fill, "timeout", "no answer in time", now_s)

    def deadline_s(self) -> float | None:
        return self._open.deadline_s()

    def _broken(self, fill: Fill, cause: FailureCause, detail: str, now_s: float) -> None:
        """The rest of it will not come, and the driver has let go of it."""
        if fill.peer:
            self._counters.peer_refusals += 1
            self._resubmit_waiting(fill)
            self._abort_readers(fill)  # they have to come again
            self._open.close(fill, "failed", f"{cause}: {detail}", now_s)
            return
        self._count_failure(fill, cause)
        if fill.state == "asked":
            if self._try_again(fill, cause, detail, now_s):
                return
            self._open.upstreams.failed(fill.fill_id, fill.url, now_s)
        self._responses.stand_in(fill, f"upstream {cause}", now_s)
        status = 504 if cause == "timeout" else 502
        self._responses.refuse_waiting(fill, status, f"upstream {cause}")
        self._abort_readers(fill)
        self._open.close(fill, "failed", f"{cause}: {detail}", now_s)

    def _resubmit_waiting(self, fill: Fill) -> None:
        """Who waits for what does not come from a peer is fetched for from upstream."""
        for waiter in self._open.take_waiting(fill):
            self._open.resubmit(waiter.ask)

    def _try_again(self, fill: Fill, cause: FailureCause, detail: str, now_s: float) -> bool:
        """Fetch once more for the same clients, where that is worth it and paid for."""
        if fill.is_retry or not fill.waiting or cause not in _RETRIED:
            return False
        if not self._open.upstreams.take_retry(fill.url):
            return False
        waiting = self._open.take_waiting(fill)
        self._open.close(fill, "failed", f"{cause}: {detail}", now_s)
        confirms = self._residents.get(fill.revalidates) if fill.revalidates is not None else None
        again = self._open.start(
            fill.url,
            fill.headers,
            now_s,
            confirms=confirms,
            range_text=fill.range_text,
            waiting=waiting,
        )
        again.is_retry = True
        return True

    def _count_failure(self, fill: Fill, cause: FailureCause) -> None:
        if fill.state == "coming" and cause != "timeout":
            self._counters.upstream_cut += 1
        elif cause == "refused":
            self._counters.upstream_refused += 1
        elif cause == "timeout":
            self._counters.upstream_timeouts += 1
        else:
            self._counters.upstream_broken += 1

    def request_over(self, request_id: int, now_s: float) -> None:
        """A request got all it wanted. The fill goes on if others may want the rest."""
        fill = self._open.of_request(request_id)
        if fill is not None:
            self._open.forget(fill, request_id)
            if fill.is_stream_only:
                self._drop_if_useless(fill, now_s)

    def client_left(self, request_id: int, now_s: float) -> None:
        """A client went away before it had all."""
        fill = self._open.of_request(request_id)
        if fill is None:
            return
        self._open.forget(fill, request_id)
        if fill.demand_count == 0 and fill.state != "spent" and not fill.is_cut:
            if fill.is_storable and fill.share() >= self._http.finish_share:
                pass  # the rest of it comes soon
            elif fill.is_worth_keeping(self._http.keep_cut_bytes_min):
                self._open.cut(fill)
            else:
                self._open.cancel(fill, "every client has left", now_s)

    def _abort_readers(self, fill: Fill) -> None:
        for request_id in sorted(fill.readers):
            self._open.forget(fill, request_id)
            self._desk.abort(request_id)

    def _drop_if_useless(self, fill: Fill, now_s: float) -> None:
        if fill.state == "coming" and fill.demand_count == 0 and not fill.is_storable:
            self._open.cancel(fill, fill.detail, now_s)
