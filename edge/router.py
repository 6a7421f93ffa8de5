"""Which way a request goes: the store, an open fill, a new fill, or past the cache.

fresh in the store                  served
stale, but may be served meanwhile  served, and renewed behind its back
stale                               a fill with conditions; a 304 serves what is stored
nothing stored                      joins an open fill, else starts one: of the whole, or for a
                                    Range far into it of that part
HEAD of something not stored, a URL known not to be storable, anything personal or unsafe
                                    passed through for this client alone
"""

from __future__ import annotations

from cache.http.freshness import Reuse, judge_reuse
from cache.http.headers import get_one
from cache.http.vary import vary_names
from edge.config import EdgeConfig
from edge.desk import Desk
from edge.effects import ServeObject
from edge.events import Requested
from edge.fill import is_range_far
from edge.fills import Fills
from edge.hot import HotEntry
from edge.ledger import Ledger
from edge.open_fills import OpenFills
from edge.passes import Passes
from edge.requests import Ask, Reader, Refusal
from edge.residents import Residents
from edge.uncacheable import Uncacheable


class Router:
    """Sends each request its way."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        epoch_s: float,
        reader: Reader,
        ledger: Ledger,
        desk: Desk,
        residents: Residents,
        open_fills: OpenFills,
        fills: Fills,
        passes: Passes,
        uncacheable: Uncacheable,
    ) -> None:
        self._http = config.http
        self._epoch_s = epoch_s
        self._reader = reader
        self._ledger = ledger
        self._desk = desk
        self._residents = residents
        self._open = open_fills
        self._fills = fills
        self._passes = passes
        self._uncacheable = uncacheable

    def reconfigure(self, config: EdgeConfig) -> None:
        self._http = config.http

    def find_hit(self, request: Requested, now_s: float) -> ServeObject | None:
        """What answers this request without a decision. Changes nothing."""
        ask = self._reader.read(request)
        if isinstance(ask, Refusal) or ask.way == "pass":
            return None
        entry, reuse = self._look_up(ask, now_s)
        if entry is None or reuse != "fresh":
            return None
        answer = self._desk.hit(ask, entry, now_s)
        return answer if isinstance(answer, ServeObject) else None

    def find_plain(self, request: Requested) -> HotEntry | None:
        """The entry from which drivers may answer such requests by themselves (edge.hot)."""
        ask = self._reader.read(request)
        if isinstance(ask, Refusal) or ask.way == "pass":
            return None
        return self._residents.plain(ask.url)

    def take(self, request: Requested, now_s: float) -> Ask | None:
        """A request arrives; it is answered now or will be. None when it was refused."""
        ask = self._reader.read(request)
        if isinstance(ask, Refusal):
            self._ledger.open(request.request_id, "")
            self._desk.refuse_head(request.request_id, request.method, ask)
            return None
        self._ledger.open(request.request_id, ask.url, request.headers)
        self.route(ask, now_s)
        return ask

    def route(self, ask: Ask, now_s: float) -> None:
        """Send an open, unanswered request its way."""
        if ask.way == "pass":
            self._passes.begun(ask.method, ask.url)
            self._desk.pass_on(ask, fwd="bypass" if ask.method in ("GET", "HEAD") else "method")
            return
        entry, reuse = self._look_up(ask, now_s)
        if entry is not None and reuse != "validate":
            if reuse == "stale":
                self._desk.serve_stale(ask, entry, now_s, detail="renewing")
                self._fills.revalidate(ask, entry, now_s)
            else:
                self._desk.serve_hit(ask, entry, now_s)
            return
        if ask.control.only_if_cached:
            self._desk.refuse(ask.request_id, ask.method, 504, "only-if-cached, and it is not")
            return
        self._miss(ask, entry, now_s)

    def _look_up(self, ask: Ask, now_s: float) -> tuple[HotEntry | None, Reuse]:
        entry = self._residents.find(ask.url, ask.method, ask.headers)
        if entry is None:
            return None, "validate"
        return entry, judge_reuse(entry.freshness, ask.control, self._epoch_s + now_s)

    def _miss(self, ask: Ask, entry: HotEntry | None, now_s: float) -> None:
        fwd = self._why(ask, entry, now_s)
        detail = self._why_past(ask, entry, now_s)
        if detail is not None:
            if not self._fills.spare(ask, entry, now_s):
                self._desk.pass_on(ask, fwd=fwd, detail=detail)
        elif self._fills.join(ask, fwd, now_s):
            pass
        elif self._open.is_full:
            self._fills.turn_away(ask, entry, now_s)
        else:
            is_part = (
                is_range_far(ask, self._http.range_wait_bytes_max, None)
                if entry is None
                else entry.part is not None
            )
            range_text = get_one(ask.headers, "range") if is_part else None
            self._fills.start(ask, fwd, entry, now_s, range_text=range_text)

    def _why(self, ask: Ask, entry: HotEntry | None, now_s: float) -> str:
        """Why it is no hit, in the words of RFC 9211."""
        if entry is None:
            return "vary-miss" if self._residents.variants(ask.url) else "uri-miss"
        is_fresh = entry.freshness.fresh_until_wall_s > self._epoch_s + now_s
        return "request" if is_fresh and not entry.freshness.must_validate else "stale"

    def _why_past(self, ask: Ask, entry: HotEntry | None, now_s: float) -> str | None:
        """Why not even a shared fetch can answer it; None when one can."""
        if ask.method == "HEAD":
            return "head"
        if ask.control.no_store:
            return "no-store"
        if self._uncacheable.holds(ask.url, now_s):
            return "uncacheable"
        if entry is None:
            for other in self._residents.variants(ask.url):
                names = vary_names(other.stored.headers) or ()
                if ask.service.forwarding.is_varied_by_unsent(names, ask.headers):
                    return "personal"
        return None
