"""Fetching from upstream: one fetch for equal misses, and for whoever else wants something.

A miss waits for an open fill of its URL or starts one. What the head of the answer means is decided
in `edge.responses`, how a fill goes on and ends in `edge.fill_course`. While upstream is known to
be failing (edge.upstreams) nothing is fetched, and who asks is answered at once.
"""

from __future__ import annotations

from cache.http.headers import Headers, get_one
from edge.config import EdgeConfig
from edge.desk import Desk
from edge.fill import Fill, Waiter
from edge.hot import HotEntry
from edge.open_fills import OpenFills
from edge.peers import ONLY_IF_CACHED
from edge.requests import Ask
from edge.residents import Residents
from edge.responses import Responses
from edge.services import Services
from edge.status import Counters
from edge.upstreams import Trouble


class Fills:
    """Lets requests wait for fills, and starts them."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        open_fills: OpenFills,
        responses: Responses,
        desk: Desk,
        residents: Residents,
        counters: Counters,
        services: Services,
    ) -> None:
        self._http = config.http
        self._open = open_fills
        self._responses = responses
        self._desk = desk
        self._residents = residents
        self._counters = counters
        self._services = services

    def reconfigure(self, config: EdgeConfig) -> None:
        self._http = config.http

    # -- for those who wait

    def join(self, ask: Ask, fwd: str, now_s: float) -> bool:
        """Wait for an open fill of this URL. False when there is none that fits."""
        for fill in self._open.of_url(ask.url):
            if fill.peer and fill.is_unasked and fill.state == "asked":
                # Nobody waits for a peer to find out whether it has something.
                self._open.cancel(fill, "a client wants it", now_s)
            elif fill.is_open_to(ask, self._http.range_wait_bytes_max):
                break
        else:
            return False
        self._counters.collapsed += 1
        if fill.demand_count >= self._http.waiters_max:
            self._desk.pass_on(ask, fwd=fwd, detail="too many wait for this")
            return True
        if fill.is_unasked:
            self._open.turn_into_demand(fill, now_s)
        waiter = Waiter(ask=ask, fwd=fwd, is_collapsed=True)
        if fill.state == "asked":
            self._open.wait(fill, waiter)
        else:
            self._responses.answer(fill, waiter)
        return True

    def start(
        self,
        ask: Ask,
        fwd: str,
        entry: HotEntry | None,
        now_s: float,
        *,
        range_text: str | None = None,
    ) -> None:
        """Fetch for a request, unless upstream is known to be failing; `entry` is what a 304
        would confirm. `range_text`: only the part that this Range asks for."""
        headers = ask.service.forwarding.shared(ask.headers)
        trouble = self._open.upstreams.trouble(ask.url, headers, now_s)
        if trouble is None:
            is_whole_wanted = entry is None and range_text is None
            fill = self._open.start(
                ask.url,
                headers,
                now_s,
                confirms=entry,
                range_text=range_text,
                continues=(
                    self._residents.beginning(ask.url, ask.headers) if is_whole_wanted else None
                ),
            )
            self._open.wait(fill, Waiter(ask=ask, fwd=fwd))
        else:
            self._answer_alone(ask, entry, trouble, now_s)

    def spare(self, ask: Ask, entry: HotEntry | None, now_s: float) -> bool:
        """Answer a request that would be passed through, if upstream is to be left alone now. Half
        open it may go: it is no probe, and does not wait for one."""
        trouble = self._open.upstreams.rest(ask.url, now_s)
        if trouble is not None:
            self._answer_alone(ask, entry, trouble, now_s)
        return trouble is not None

    def turn_away(self, ask: Ask, entry: HotEntry | None, now_s: float) -> None:
        """There is no room for another fetch."""
        detail = "too many fetches under way"
        if not self._responses.stand_in_now(ask, entry, detail, now_s):
            self._desk.refuse(ask.request_id, ask.method, 503, detail)

    def _answer_alone(
        self, ask: Ask, entry: HotEntry | None, trouble: Trouble, now_s: float
    ) -> None:
        self._counters.upstream_spared += 1
        if not self._responses.stand_in_now(ask, entry, trouble.detail, now_s):
            self._desk.refuse_for(ask, trouble.status, trouble.detail, trouble.retry_after_s)

    # -- for those who do not wait

    def revalidate(self, ask: Ask, entry: HotEntry, now_s: float) -> None:
        """Renew an entry that was served stale; nobody waits for it."""
        headers = ask.service.forwarding.shared(ask.headers)
        if (
            not self._open.is_full
            and not self._open.of_url(ask.url)
            and self._open.upstreams.trouble(ask.url, headers, now_s) is None
        ):
            is_part = entry.part is not None
            range_text = get_one(ask.headers, "range") if is_part else None
            self._open.start(ask.url, headers, now_s, confirms=entry, range_text=range_text)

    def fetch_text(self, url: str, now_s: float) -> bool:
        """Fetch a manifest that nobody waits for, and that says whose the segments are that clients
        ask for: it is small, and does not wait for its turn. Whether it is on its way."""
        service = self._services.of_url(url)
        if service is None:
            return False
        headers = service.forwarding.shared(())
        if self._open.of_url(url):
            return True
        if self._open.is_full or self._open.upstreams.trouble(url, headers, now_s) is not None:
            return False
        self._open.start(url, headers, now_s, confirms=self._residents.match(url, headers))
        return True

    def prefetch(self, url: str, headers: Headers, until_s: float, now_s: float) -> int:
        """Fetch what nobody has asked for yet, to be kept until `until_s`."""
        service = self._services.of_url(url)
        if service is not None:  # whoever it is for may watch another service so far
            headers = service.forwarding.shared(headers)
        entry = self._residents.match(url, headers)
        return self._open.start(
            url, headers, now_s, confirms=entry, prefetch_until_s=until_s
        ).fill_id

    def place(
        self, url: str, now_s: float, *, peer: str, bytes_max: int, leave_bytes: int
    ) -> Fill | None:
        """Fetch what a placement plan wants: from a peer, or from upstream. What is stored already
        is confirmed there. None: it belongs to no service."""
        service = self._services.of_url(url)
        if service is None:
            return None
        return self._open.start(
            url,
            (*service.forwarding.shared(()), *((ONLY_IF_CACHED,) if peer else ())),
            now_s,
            confirms=self._residents.match(url, ()) if not peer else None,
            is_planned=True,
            peer=peer,
            bytes_max=bytes_max,
            leave_bytes=leave_bytes,
        )
