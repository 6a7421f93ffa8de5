"""Where answers are handed out: each method gives one open request its one answer.

It knows the node's name, what is left of its bounds, and that serving a resident object is a use
of it. Which answer a request deserves is decided by whoever calls.
"""

from __future__ import annotations

import msgspec

from cache.http.freshness import age_s
from edge.answers import DETAIL_LENGTH_MAX, from_fill, from_store, passed, refused
from edge.config import EdgeConfig
from edge.effects import AbortResponse, Effect, ServeFill, ServeObject, ServeText
from edge.fill import Fill, Waiter
from edge.hot import HotEntry
from edge.ledger import Ledger
from edge.requests import Ask, Refusal
from edge.residents import Residents
from edge.status import Counters
from nearcast.cache_status import CacheStatus
from nearcast.machine import EffectQueue


class Desk:
    """Gives answers."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        epoch_s: float,
        effects: EffectQueue[Effect],
        ledger: Ledger,
        residents: Residents,
        counters: Counters,
    ) -> None:
        self._name = config.name
        self._passes_max = config.http.passes_max
        self._epoch_s = epoch_s
        self._effects = effects
        self._ledger = ledger
        self._residents = residents
        self._counters = counters
        self._shared_key: tuple[object, ...] = ()
        self._shared: ServeFill | ServeText | None = None

    def reconfigure(self, config: EdgeConfig) -> None:
        self._passes_max = config.http.passes_max

    def hit(self, ask: Ask, entry: HotEntry, now_s: float) -> ServeObject | ServeText:
        """The answer of a fresh entry. Changes nothing and hands out nothing."""
        return from_store(ask, entry, self._hit_status(entry, now_s), self._epoch_s + now_s)

    def serve_hit(self, ask: Ask, entry: HotEntry, now_s: float) -> None:
        self._serve(ask, entry, self._hit_status(entry, now_s), now_s)

    def serve_forwarded(
        self,
        ask: Ask,
        entry: HotEntry,
        now_s: float,
        *,
        fwd: str,
        fwd_status: int | None = None,
        is_collapsed: bool = False,
        detail: str | None = None,
    ) -> None:
        """A stored object that upstream was asked about first, and confirmed."""
        status = CacheStatus(
            cache=self._name,
            fwd=fwd,
            fwd_status=fwd_status,
            is_collapsed=is_collapsed,
            ttl_s=self._ttl_s(entry, now_s),
            detail=detail,
        )
        self._serve(ask, entry, status, now_s)

    def serve_stale(
        self,
        ask: Ask,
        entry: HotEntry,
        now_s: float,
        *,
        detail: str,
        fwd_status: int | None = None,
        is_collapsed: bool = False,
    ) -> None:
        """A stored object past its time: it stands in, or is renewed behind this answer."""
        self._counters.stale_served += 1
        self.serve_forwarded(
            ask,
            entry,
            now_s,
            fwd="stale",
            fwd_status=fwd_status,
            is_collapsed=is_collapsed,
            detail=detail[:DETAIL_LENGTH_MAX],
        )

    def serve_fill(self, waiter: Waiter, fill: Fill) -> bool:
        """Let a waiter read a fill whose head is here. False when a short text answered it.

        Of a crowd that waits with equal requests, each but the first is answered as the one before
        it: the last of a thousand gets its first byte in half the time.
        """
        ask = waiter.ask
        key = (
            *(fill.fill_id, fill.is_storable, fill.detail),
            *(waiter.fwd, waiter.is_collapsed, ask.method, ask.headers, ask.service),
        )
        if key == self._shared_key and self._shared is not None:
            answer = msgspec.structs.replace(self._shared, request_id=ask.request_id)
            self._ledger.answer(answer)
            return isinstance(answer, ServeFill)
        status = CacheStatus(
            cache=self._name,
            fwd=waiter.fwd,
            fwd_status=fill.status,
            is_stored=fill.is_storable,
            is_collapsed=waiter.is_collapsed,
            detail=fill.detail or None,
        )
        answer = from_fill(
            waiter.ask,
            fill.fill_id,
            fill.status,
            fill.response_headers,
            fill.size_bytes,
            fill.part,
            status,
        )
        self._shared_key, self._shared = key, answer
        self._ledger.answer(answer)
        return isinstance(answer, ServeFill)

    def pass_on(self, ask: Ask, *, fwd: str, detail: str | None = None) -> None:
        """Forward the request for this client alone, if there is room."""
        if self._ledger.pass_count >= self._passes_max:
            self.refuse(ask.request_id, ask.method, 503, "too many requests are being passed on")
            return
        self._ledger.answer(passed(ask, CacheStatus(cache=self._name, fwd=fwd, detail=detail)))

    def refuse(self, request_id: int, method: str, status: int, detail: str) -> None:
        self._ledger.answer(refused(request_id, method, status, detail, self._name))

    def refuse_for(self, ask: Ask, status: int, detail: str, retry_after_s: int) -> None:
        """An error that is known to last so long."""
        answer = refused(
            ask.request_id, ask.method, status, detail, self._name, retry_after_s=retry_after_s
        )
        self._ledger.answer(answer)

    def refuse_head(self, request_id: int, method: str, refusal: Refusal) -> None:
        self._ledger.answer(
            refused(request_id, method, refusal.status, refusal.detail, self._name, refusal.headers)
        )

    def abort(self, request_id: int) -> None:
        self._effects.emit(AbortResponse(request_id=request_id))

    def _serve(self, ask: Ask, entry: HotEntry, status: CacheStatus, now_s: float) -> None:
        answer = from_store(ask, entry, status, self._epoch_s + now_s)
        is_first_use = False
        if isinstance(answer, ServeObject) and answer.send_body:
            is_first_use = self._residents.touch(entry.stored.object_id) > 0
        self._ledger.answer(answer, is_prefetched=is_first_use)

    def _hit_status(self, entry: HotEntry, now_s: float) -> CacheStatus:
        return CacheStatus(cache=self._name, is_hit=True, ttl_s=self._ttl_s(entry, now_s))

    def _ttl_s(self, entry: HotEntry, now_s: float) -> int:
        return int(entry.freshness.lifetime_s - age_s(entry.freshness, self._epoch_s + now_s))
