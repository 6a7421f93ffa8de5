"""The open fills: by id, by URL and by the request that waits. Bookkeeping only.

Opening, pausing and closing happen here and nowhere else, so that every fill that was started is
closed once, is accounted for (edge.fill_accounts), is timed while upstream is to be heard of
(edge.deadlines), and tells its upstream's health of its start and its end (edge.upstreams).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cache.http.conditional import revalidation_headers
from cache.http.headers import Headers, get_one
from cache.http.parts import rest_headers
from edge.config import EdgeConfig
from edge.deadlines import Deadlines
from edge.effects import (
    AllowFill,
    CancelFill,
    CutFill,
    Discard,
    Effect,
    Held,
    PauseFill,
    ResumeFill,
    SetFillPriority,
    StartFill,
    StreamOnly,
)
from edge.fill import Fill, Waiter
from edge.fill_accounts import FillAccounts
from edge.hot import HotEntry
from edge.pacing import PROGRESS_S
from edge.records import FillResult
from edge.requests import Ask
from edge.upstreams import Upstreams
from nearcast.machine import EffectQueue
from nearcast.manifests import is_manifest
from nearcast.manifests.limits import TEXT_BYTES_MAX


class OpenFills:
    """All fills that have been started and not closed."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        epoch_s: float,
        effects: EffectQueue[Effect],
        upstreams: Upstreams,
        accounts: FillAccounts,
    ) -> None:
        self.upstreams = upstreams
        self.reconfigure(config)
        self._deadlines = Deadlines()
        self._epoch_s = epoch_s
        self._effects = effects
        self._accounts = accounts
        self._next_id = 1
        self._open: dict[int, Fill] = {}
        self._by_url: dict[str, list[Fill]] = {}
        self._of_request: dict[int, Fill] = {}
        self._demand: set[int] = set()
        self._prefetches: dict[int, Fill] = {}
        self._planned: dict[int, Fill] = {}
        self._resubmitted: list[Ask] = []

    def reconfigure(self, config: EdgeConfig) -> None:
        """Go by these settings from now on; deadlines that are set stay."""
        self._fills_max = config.http.fills_max
        self._head_patience_s = config.http.connect_timeout_s + config.http.fill_header_timeout_s
        # Progress is told that much late at most, and nobody is to be cut off for that.
        self._body_patience_s = config.http.fill_idle_timeout_s + PROGRESS_S

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Fill]:
        """Oldest first."""
        return iter(self._open.values())

    @property
    def demand_count(self) -> int:
        """Fills that a client wants or wanted; prefetches give way to these."""
        return len(self._demand)

    @property
    def has_prefetches(self) -> bool:
        return bool(self._prefetches)

    def prefetches(self) -> tuple[Fill, ...]:
        """Fills that nobody has asked for yet, oldest first."""
        return tuple(self._prefetches.values())

    def planned(self) -> tuple[Fill, ...]:
        """Fills for a placement plan that nobody has asked for yet, oldest first."""
        return tuple(self._planned.values())

    @property
    def is_full(self) -> bool:
        return len(self._open) >= self._fills_max

    def get(self, fill_id: int) -> Fill | None:
        return self._open.get(fill_id)

    def of_url(self, url: str) -> tuple[Fill, ...]:
        return tuple(self._by_url.get(url, ()))

    def of_request(self, request_id: int) -> Fill | None:
        """The fill that a request waits for or reads."""
        return self._of_request.get(request_id)

    # -- opening

    def start(
        self,
        url: str,
        headers: Headers,
        now_s: float,
        *,
        confirms: HotEntry | None = None,
        prefetch_until_s: float | None = None,
        range_text: str | None = None,
        continues: HotEntry | None = None,
        is_planned: bool = False,
        peer: str = "",
        bytes_max: int | None = None,
        leave_bytes: int | None = None,
        waiting: Sequence[Waiter] = (),
    ) -> Fill:
        """Fetch a URL; with conditions where that may confirm what is stored.
        `prefetch_until_s`: nobody has asked for it, and that is how long it is kept.
        `range_text`: the Range of the part that is wanted. `continues`: only what lies behind
        this part is asked for. `is_planned`: a placement plan wants it, from this `peer` or from
        upstream, up to `bytes_max`, and for now `leave_bytes` of it. `waiting`: who waits
        for it already."""
        conditions = revalidation_headers(confirms.stored.headers) if confirms is not None else ()
        wanted: Headers = (("range", range_text),) if range_text is not None else ()
        held = _held(continues) if continues is not None else None
        if held is not None:
            wanted = rest_headers(held.headers, held.size_bytes)
        fill = Fill(
            self._next_id,
            url,
            headers,
            prefetch_until_s=prefetch_until_s,
            revalidates=confirms.stored.object_id if confirms is not None and conditions else None,
            range_text=range_text,
            continues=held,
            peer=peer,
            is_planned=is_planned,
            bytes_max=bytes_max,
            started_s=now_s,
            requested_wall_s=self._epoch_s + now_s,
        )
        self._next_id += 1
        self._open[fill.fill_id] = fill
        if not peer:
            self.upstreams.started(fill.fill_id, url)
        self.heard(fill, now_s)
        self._by_url.setdefault(url, []).append(fill)
        self._accounts.started(fill)
        if fill.is_prefetch:
            self._prefetches[fill.fill_id] = fill
        elif is_planned:
            self._planned[fill.fill_id] = fill
        else:
            self._demand.add(fill.fill_id)
        self._effects.emit(
            StartFill(
                fill_id=fill.fill_id,
                url=url,
                headers=headers + conditions + wanted,
                priority="prefetch" if fill.is_unasked else "demand",
                continues=held,
                peer=peer,
                leave_bytes=leave_bytes,
            )
        )
        for waiter in waiting:
            self.wait(fill, waiter)
        return fill

    def wait(self, fill: Fill, waiter: Waiter) -> None:
        if fill.first_request_id is None and not waiter.is_collapsed:
            fill.first_request_id = waiter.ask.request_id
        fill.waiting[waiter.ask.request_id] = waiter
        self._of_request[waiter.ask.request_id] = fill

    def read(self, fill: Fill, request_id: int) -> None:
        fill.readers.add(request_id)
        self._of_request[request_id] = fill

    def forget(self, fill: Fill, request_id: int) -> None:
        """The request neither waits for the fill nor reads it any more."""
        fill.waiting.pop(request_id, None)
        fill.readers.discard(request_id)
        self._of_request.pop(request_id, None)

    def take_waiting(self, fill: Fill) -> tuple[Waiter, ...]:
        """Nobody waits for the fill any more; who did, to be answered another way."""
        waiting = tuple(fill.waiting.values())
        for waiter in waiting:
            self.forget(fill, waiter.ask.request_id)
        return waiting

    def resubmit(self, ask: Ask) -> None:
        """The request waited for something that does not answer it: route it again."""
        self._resubmitted.append(ask)

    # -- time

    def heard(self, fill: Fill, now_s: float) -> None:
        """Upstream gave a sign, or is now expected to give one."""
        if fill.is_paused or fill.is_blocked or fill.is_cut:
            self._deadlines.clear(fill.fill_id)
        else:
            is_asked = fill.state == "asked"
            patience_s = self._head_patience_s if is_asked else self._body_patience_s
            self._deadlines.set(fill.fill_id, now_s + patience_s)

    def block(self, fill: Fill, is_blocked: bool, now_s: float) -> None:
        """Whether our own side keeps upstream waiting."""
        fill.is_blocked = is_blocked
        self.heard(fill, now_s)

    def deadline_s(self) -> float | None:
        """When to look for silent ones."""
        return self._deadlines.next_s()

    def take_silent(self, now_s: float) -> list[Fill]:
        """The fills of which nothing was heard for too long."""
        return [self._open[fill_id] for fill_id in self._deadlines.take_overdue(now_s)]

    # -- what is not kept

    def bar(self, fill: Fill, detail: str) -> None:
        """It must not be stored; the first reason stays."""
        fill.bar(detail)
        self.stream_only(fill)

    def stream_only(self, fill: Fill) -> None:
        """Tell the driver to keep no more of it than its readers need, if that is so and it has
        its readers. A manifest is kept until it is whole: it may not be stored, but is read."""
        if fill.is_storable or fill.is_stream_only or fill.state != "coming":
            return
        content_type = get_one(fill.response_headers, "content-type")
        expected_bytes = max(fill.size_bytes or 0, fill.received_bytes)
        if not (
            fill.status == 200
            and expected_bytes <= TEXT_BYTES_MAX
            and is_manifest(content_type, fill.url)
        ):
            fill.is_stream_only = True
            self._effects.emit(StreamOnly(fill_id=fill.fill_id))

    # -- prefetches give way

    def turn_into_demand(self, fill: Fill, now_s: float) -> None:
        fill.is_prefetch = fill.is_unasked = False
        self._prefetches.pop(fill.fill_id, None)
        self._planned.pop(fill.fill_id, None)
        self._demand.add(fill.fill_id)
        self._accounts.joined(fill)
        self._effects.emit(SetFillPriority(fill_id=fill.fill_id, priority="demand"))
        self.resume(fill, now_s)

    def pause(self, fill: Fill, now_s: float) -> None:
        if not fill.is_paused:
            fill.is_paused = True
            self._effects.emit(PauseFill(fill_id=fill.fill_id))
            self.heard(fill, now_s)

    def resume(self, fill: Fill, now_s: float) -> None:
        if fill.is_paused:
            fill.is_paused = False
            self._effects.emit(ResumeFill(fill_id=fill.fill_id))
            self.heard(fill, now_s)

    def allow(self, fill: Fill, leave_bytes: int) -> None:
        """A planned fill may read so much altogether."""
        self._effects.emit(AllowFill(fill_id=fill.fill_id, leave_bytes=leave_bytes))

    # -- closing

    def spend(self, fill: Fill) -> None:
        """Its head has said all; what is still to come does not matter to anyone."""
        fill.state = "spent"
        self._demand.discard(fill.fill_id)

    def cancel(self, fill: Fill, detail: str, now_s: float, *, is_failure: bool = False) -> None:
        """Give up a fill that nobody waits for."""
        self._effects.emit(CancelFill(fill_id=fill.fill_id))
        self.close(fill, "failed" if is_failure else "cancelled", detail, now_s)

    def cut(self, fill: Fill) -> None:
        """Stop it and keep what is here."""
        fill.is_cut = True
        self._deadlines.clear(fill.fill_id)
        self._effects.emit(CutFill(fill_id=fill.fill_id))

    def discard(
        self,
        fill: Fill,
        result: FillResult,
        detail: str,
        now_s: float,
        *,
        text: bytes | None = None,
    ) -> None:
        """Let a fill go that has ended."""
        self._effects.emit(Discard(fill_id=fill.fill_id))
        self.close(fill, result, detail, now_s, text=text)

    def close(
        self,
        fill: Fill,
        result: FillResult,
        detail: str,
        now_s: float,
        *,
        object_id: str | None = None,
        text: bytes | None = None,
    ) -> None:
        """The fill is over. Its readers go on with what the driver holds for them."""
        assert not fill.waiting, f"fill {fill.fill_id} is waited for"
        for request_id in tuple(fill.readers):
            self.forget(fill, request_id)
        del self._open[fill.fill_id]
        self._deadlines.clear(fill.fill_id)
        if not fill.peer:
            self.upstreams.ended(fill.fill_id, fill.url)
        fills = self._by_url[fill.url]
        fills.remove(fill)
        if not fills:
            del self._by_url[fill.url]
        self._demand.discard(fill.fill_id)
        self._prefetches.pop(fill.fill_id, None)
        self._planned.pop(fill.fill_id, None)
        self._accounts.closed(fill, result, detail, now_s, object_id=object_id, text=text)

    def take_resubmitted(self) -> list[Ask]:
        asks, self._resubmitted = self._resubmitted, []
        return asks


def _held(entry: HotEntry) -> Held | None:
    stored = entry.stored
    if stored.part_of_bytes is None:
        return None
    return Held(
        object_id=stored.object_id,
        size_bytes=stored.size_bytes,
        of_bytes=stored.part_of_bytes,
        headers=stored.headers,
    )
