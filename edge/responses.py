"""What the head of upstream's answer means for those who wait, and for the store. Decided once.

    storable        everyone who fits reads the fill while it grows
    not storable    the first waiter reads it, the others are passed through, and for a few
                    seconds so is everyone who asks for that URL, without queueing. An error 5xx
                    is the same for all: everyone who waits gets it
    206             a part, for those whose Range lies inside it
    304             the stored object is renewed and serves everyone who fits
    5xx             an object that may be served stale stands in where there is one
    nonsense        502

A waiter does not fit when the answer varies by something in which it differs: it is routed again.
"""

from __future__ import annotations

from cache.http.conditional import confirms, updated
from cache.http.freshness import dated, is_storable, may_serve_on_error
from cache.http.headers import Headers, content_length, storable, without
from cache.http.parts import continues, part_of
from cache.http.vary import secondary_key
from edge.config import EdgeConfig
from edge.desk import Desk
from edge.events import FillHeaders
from edge.fill import Fill, Fit, Waiter
from edge.hot import HotEntry
from edge.open_fills import OpenFills
from edge.requests import Ask
from edge.residents import Residents
from edge.response_rules import ResponseRules
from edge.status import Counters
from edge.uncacheable import Uncacheable
from edge.upstreams import ERRORS
from nearcast.errors import RemoteProtocolError


class Responses:
    """Reads the heads of answers and serves or sends away who waits for them."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        epoch_s: float,
        open_fills: OpenFills,
        desk: Desk,
        residents: Residents,
        counters: Counters,
        uncacheable: Uncacheable,
        rules: ResponseRules,
    ) -> None:
        self._http = config.http
        self._object_bytes_max = config.object_bytes_max
        self._epoch_s = epoch_s
        self._open = open_fills
        self._desk = desk
        self._residents = residents
        self._counters = counters
        self._uncacheable = uncacheable
        self._rules = rules

    def reconfigure(self, config: EdgeConfig) -> None:
        self._http = config.http

    def headers(self, event: FillHeaders, now_s: float) -> None:
        fill = self._open.get(event.fill_id)
        if fill is None or fill.state != "asked":
            return
        if event.status == 304:
            self._not_modified(fill, event.headers, now_s)
            return
        try:
            size_bytes = content_length(event.headers)
        except RemoteProtocolError as error:
            self._give_up(fill, str(error), now_s)
            return
        if not 200 <= event.status <= 599:
            self._give_up(fill, f"upstream answered {event.status} to a plain GET", now_s)
            return
        headers, status = event.headers, event.status
        held = fill.continues
        if (
            held is not None
            and self._residents.get(held.object_id) is not None
            and continues(held.headers, held.size_bytes, held.of_bytes, status, headers)
        ):
            # The fields of the answer are newer than those that are held (RFC 9111, 3.4).
            headers, status = updated(held.headers, headers), 200
            size_bytes = held.of_bytes
            fill.received_bytes = held.size_bytes
        elif held is not None and status in (206, 412, 416):
            self._start_over(fill, now_s)
            return
        elif status == 206 and fill.range_text is None:
            self._give_up(fill, "upstream answered 206 to a plain GET", now_s)
            return
        elif status == 206:
            fill.part = part_of(status, headers)
        if event.status in ERRORS:
            detail = f"upstream answered {event.status}"
            had_waiters = bool(fill.waiting)
            self.stand_in(fill, detail, now_s, fwd_status=event.status)
            if had_waiters and not fill.waiting:
                self._open.cancel(fill, detail, now_s, is_failure=True)
                return
        fill.state = "coming"
        fill.status = status
        fill.response_headers = without(
            storable(headers),
            ("content-length", "content-range") if fill.part is not None else ("content-length",),
        )
        fill.response_wall_s = self._epoch_s + now_s
        fill.response_headers = self._rules.counted(
            fill.url, fill.headers, dated(fill.response_headers, fill.response_wall_s)
        )
        fill.size_bytes = size_bytes if fill.part is None else fill.part.size_bytes
        self._judge(fill, now_s)
        self._answer_all(fill, now_s)

    def _start_over(self, fill: Fill, now_s: float) -> None:
        """The rest does not fit what is held, which is therefore outdated: fetch it whole."""
        assert fill.continues is not None
        self._residents.lose(fill.continues.object_id, now_s)
        waiting = self._open.take_waiting(fill)
        self._open.cancel(fill, "the rest of another object", now_s)
        if waiting:
            self._open.start(fill.url, fill.headers, now_s, waiting=waiting)

    def answer(self, fill: Fill, waiter: Waiter, fit: Fit | None = None) -> None:
        """Let a request read a fill whose head is here, or find its answer another way."""
        ask = waiter.ask
        self._open.forget(fill, ask.request_id)
        if fit is None:
            fit = fill.fit(ask, self._http.range_wait_bytes_max)
        if fit == "fits":
            if self._desk.serve_fill(waiter, fill):
                self._open.read(fill, ask.request_id)
        elif fit == "other variant":
            self._open.resubmit(ask)
        else:
            self._desk.pass_on(ask, fwd=waiter.fwd, detail=fit)

    def stand_in(
        self, fill: Fill, detail: str, now_s: float, *, fwd_status: int | None = None
    ) -> None:
        """Upstream failed: serve what is stored, if stale, where that is allowed."""
        for waiter in tuple(fill.waiting.values()):
            ask = waiter.ask
            entry = self._residents.find(fill.url, ask.method, ask.headers)
            if entry is None or not self._may_stand_in(ask, entry, now_s):
                continue
            self._open.forget(fill, ask.request_id)
            self._desk.serve_stale(
                ask,
                entry,
                now_s,
                fwd_status=fwd_status,
                is_collapsed=waiter.is_collapsed,
                detail=detail,
            )

    def stand_in_now(self, ask: Ask, entry: HotEntry | None, detail: str, now_s: float) -> bool:
        """Upstream is known to be failing: serve the entry where that is allowed."""
        if entry is None or not self._may_stand_in(ask, entry, now_s):
            return False
        self._desk.serve_stale(ask, entry, now_s, detail=detail)
        return True

    def _may_stand_in(self, ask: Ask, entry: HotEntry, now_s: float) -> bool:
        return may_serve_on_error(
            entry.freshness,
            self._epoch_s + now_s,
            default_stale_if_error_s=ask.service.stale_if_error_s,
        )

    def refuse_waiting(self, fill: Fill, status: int, detail: str) -> None:
        for waiter in self._open.take_waiting(fill):
            self._desk.refuse(waiter.ask.request_id, waiter.ask.method, status, detail)

    def _judge(self, fill: Fill, now_s: float) -> None:
        """Whether the response may be stored, and under which key."""
        verdict = is_storable(
            "GET",
            200 if fill.part is not None else fill.status,
            fill.headers,
            fill.response_headers,
            received_wall_s=fill.response_wall_s,
            rules=self._rules.of_url(fill.url),
        )
        if not verdict.is_storable:
            fill.bar(verdict.reason)
        elif fill.size_bytes is not None and fill.size_bytes > self._object_bytes_max:
            fill.bar("too large")
        fill.vary = secondary_key(fill.response_headers, fill.headers) or ()
        if fill.is_storable:
            self._uncacheable.forget(fill.url)
        elif fill.status == 416:
            pass  # it says something about one Range, and nothing about the URL
        elif fill.status < 500:
            self._uncacheable.add(fill.url, now_s)
            if fill.revalidates is not None:  # what is stored is no longer what is there
                self._residents.invalidate(fill.url, now_s)

    def _answer_all(self, fill: Fill, now_s: float) -> None:
        waiting = tuple(fill.waiting.values())
        is_for_all = fill.is_storable or (fill.status >= 500 and not fill.is_personal)
        shared_count = len(waiting) if is_for_all else 1
        fits: dict[Headers, Fit] = {}  # a crowd mostly asks with the same fields
        for waiter in waiting[:shared_count]:
            fit = fits.get(waiter.ask.headers)
            if fit is None:
                fit = fill.fit(waiter.ask, self._http.range_wait_bytes_max)
                fits[waiter.ask.headers] = fit
            self.answer(fill, waiter, fit)
        for waiter in waiting[shared_count:]:
            self._open.forget(fill, waiter.ask.request_id)
            self._desk.pass_on(waiter.ask, fwd=waiter.fwd, detail=fill.detail)
        if fill.demand_count == 0 and not fill.is_storable:
            self._open.cancel(fill, fill.detail, now_s)

    def _not_modified(self, fill: Fill, headers: Headers, now_s: float) -> None:
        entry = self._residents.get(fill.revalidates) if fill.revalidates is not None else None
        if (
            entry is None
            or not fill.is_storable
            or fill.is_purged(entry.stored.headers)
            or not confirms(entry.stored.headers, headers)
        ):
            self._ask_again(fill, now_s)
            return
        renewed = self._residents.refresh(
            entry, headers, fill.requested_wall_s, self._epoch_s + now_s
        )
        for other in self._residents.alike(renewed):
            self._residents.refresh(other, headers, fill.requested_wall_s, self._epoch_s + now_s)
        self._counters.revalidations += 1
        for waiter in self._open.take_waiting(fill):
            ask = waiter.ask
            if self._residents.find(fill.url, ask.method, ask.headers) is renewed:
                self._desk.serve_forwarded(
                    ask,
                    renewed,
                    now_s,
                    fwd=waiter.fwd,
                    fwd_status=304,
                    is_collapsed=waiter.is_collapsed,
                )
            else:
                self._open.resubmit(ask)
        self._open.spend(fill)

    def _ask_again(self, fill: Fill, now_s: float) -> None:
        """The 304 is about something we do not have: fetch it whole, for the same waiters."""
        if fill.revalidates is None:
            self._give_up(fill, "upstream answered 304 to a plain GET", now_s)
            return
        waiting = self._open.take_waiting(fill)
        self._open.cancel(fill, "304 for another object", now_s)
        if waiting:
            self._open.start(
                fill.url, fill.headers, now_s, range_text=fill.range_text, waiting=waiting
            )

    def _give_up(self, fill: Fill, detail: str, now_s: float) -> None:
        """Upstream's answer cannot be used."""
        self.stand_in(fill, detail, now_s)
        self.refuse_waiting(fill, 502, detail)
        self._open.cancel(fill, detail, now_s, is_failure=True)
