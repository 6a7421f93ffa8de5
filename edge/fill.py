"""One fetch from upstream, and who waits for it.

    asked    StartFill is out, no head yet: everyone who wants the URL may wait
    coming   the head is here: who fits (Vary, Range) is answered at once and reads while it grows
    spent    a 304 did the work; only the end of the exchange is still to come

`is_prefetch` means that nobody has asked for it so far; it ends for good with the first waiter, and
so does `is_unasked`, which is also said of what a placement plan has fetched. A fill that failed
before its head may be followed by one more for the same waiters (`is_retry`).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from cache.http.conditional import if_range_holds
from cache.http.headers import Headers, get_one
from cache.http.parts import Part, strong_etag
from cache.http.ranges import parse_range, select_range
from cache.http.vary import secondary_key, vary_names
from edge.effects import Held
from edge.forwarding import PERSONAL, varying_headers
from edge.records import FillResult
from edge.requests import Ask
from edge.tags import tags_of
from nearcast.media import ByteRange

FillState = Literal["asked", "coming", "spent"]
Fit = Literal["fits", "other variant", "personal", "too far"]
"""other variant: ask upstream again. personal: it depends on a field that is not forwarded for
shared answers. too far: its Range starts long after what has arrived."""

SIZE_UNKNOWN = 1 << 62


class Waiter(msgspec.Struct, frozen=True, kw_only=True):
    """A request that waits for a fill. `fwd` is why it was not a hit, as in Cache-Status."""

    ask: Ask
    fwd: str
    is_collapsed: bool = False


class FillOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a fill ended, for those who learn from it. `text` is that of a manifest; `was_barred`:
    the answer must not be stored; `was_joined`: it began as a prefetch and ended as demand."""

    fill_id: int
    url: str
    was_prefetch: bool
    was_planned: bool
    was_barred: bool
    was_joined: bool
    result: FillResult
    received_bytes: int
    took_s: float
    object_id: str | None = None
    text: bytes | None = None
    planned_bytes: int = 0
    """Received for a plan while no client had asked."""
    detail: str = ""
    peer: str = ""
    """The edge it came from instead of upstream."""


class Fill:
    """An open fill. The record of facts; what follows from them is decided in
    `edge.responses` and `edge.fill_course`."""

    def __init__(
        self,
        fill_id: int,
        url: str,
        headers: Headers,
        *,
        prefetch_until_s: float | None,
        revalidates: str | None,
        range_text: str | None,
        continues: Held | None,
        peer: str,
        is_planned: bool,
        bytes_max: int | None,
        started_s: float,
        requested_wall_s: float,
    ) -> None:
        self.fill_id = fill_id
        self.url = url
        self.headers = headers
        """Sent upstream, conditions aside; Vary is judged by these."""
        self.is_prefetch = prefetch_until_s is not None
        self.was_prefetch = self.is_prefetch
        self.prefetch_until_s = prefetch_until_s
        self.peer = peer
        """The edge it comes from instead of upstream; empty: upstream."""
        self.is_planned = is_planned
        """A placement plan wants it: it is pinned, whoever else joins."""
        self.is_unasked = self.is_prefetch or is_planned
        """No client has asked for it so far."""
        self.bytes_max = bytes_max
        """What it may take while nobody has asked; None: any size."""
        self.revalidates = revalidates
        """The object that a 304 would confirm."""
        self.started_s = started_s
        self.requested_wall_s = requested_wall_s
        self.state: FillState = "asked"
        self.is_paused = False
        """By us, since demand comes first."""
        self.is_blocked = False
        """Our side does not read on: its readers or the disk are behind."""
        self.is_retry = False
        self.is_outdated = False
        """It was purged under way: it is for those who asked before, and for nobody else."""
        self.purged_tags: set[str] = set()
        """Purged while it had no head, and therefore no tags."""
        self.is_stream_only = False
        """The driver keeps no more of it than its readers need."""
        self.range_text = range_text
        """The Range that it asks for; None: the whole."""
        self.continues = continues
        """What is held of it already, if only the rest was asked for."""
        self.is_cut = False
        """It was told to stop where it is."""
        self.part: Part | None = None
        """What it brings, when that is a part."""
        self.first_request_id: int | None = None
        """Of who asked for it, if anyone had."""
        self.waiting: dict[int, Waiter] = {}
        self.readers: set[int] = set()
        self.status = 0
        self.response_headers: Headers = ()
        self.response_wall_s = 0.0
        self.vary: Headers = ()
        self.size_bytes: int | None = None
        self.received_bytes = 0
        self.prefetch_bytes = 0
        """Of these, before anyone asked."""
        self.is_storable = True
        """Until something speaks against it."""
        self.detail = ""
        """What did."""

    @property
    def demand_count(self) -> int:
        return len(self.waiting) + len(self.readers)

    @property
    def is_personal(self) -> bool:
        """Upstream was told who asks: unless it may be stored, the answer is for nobody else."""
        return any(name in PERSONAL for name, _ in self.headers)

    def bar(self, detail: str) -> None:
        """It must not be stored; the first reason stays."""
        if self.is_storable:
            self.is_storable = False
            self.detail = detail

    def is_purged(self, headers: Headers) -> bool:
        """Whether a response with these fields, begun when this was, is outdated by a purge."""
        return self.is_outdated or not self.purged_tags.isdisjoint(tags_of(headers))

    def share(self) -> float:
        """How much of it is here; 0 when its size is not known."""
        return self.received_bytes / self.size_bytes if self.size_bytes else 0.0

    def is_open_to(self, ask: Ask, range_wait_bytes_max: int) -> bool:
        """Whether a new request may wait for this fill or read from it."""
        if self.is_outdated or self.purged_tags or self.is_cut:
            return False
        if self.state == "asked":
            if self.range_text is not None:
                return get_one(ask.headers, "range") == self.range_text
            return not is_range_far(ask, range_wait_bytes_max, None)
        return (
            self.state == "coming"
            and self.is_storable
            and (self.part is None or self.holds(ask))
            and self.fit(ask, range_wait_bytes_max) == "fits"
        )

    def is_worth_keeping(self, bytes_min: int) -> bool:
        """Whether what has come so far should be kept though the rest will not be fetched: it can
        be gone on from only with a strong entity tag."""
        held_bytes = self.continues.size_bytes if self.continues is not None else 0
        return (
            self.state == "coming"
            and self.is_storable
            and self.received_bytes > held_bytes  # else what is held will do
            and self.status in (200, 206)
            and self.size_bytes is not None
            and self.received_bytes >= bytes_min
            and strong_etag(self.response_headers) is not None
        )

    def holds(self, ask: Ask) -> bool:
        """Whether the part that is coming has the range that a request wants."""
        if self.part is None:
            return False
        selection = select_range(ask.method, ask.headers, self.response_headers, self.part.of_bytes)
        return isinstance(selection, ByteRange) and self.part.holds(selection)

    def fit(self, ask: Ask, range_wait_bytes_max: int) -> Fit:
        """Whether the response that is coming answers this request."""
        names = vary_names(self.response_headers)
        if names is None:  # Vary: * answers the request that it was fetched for, and no other
            return "fits" if ask.request_id == self.first_request_id else "personal"
        if names and ask.service.forwarding.is_varied_by_unsent(names, ask.headers):
            return "personal"
        if self.status == 206 and not self.holds(ask):
            # Upstream brought something else than was asked for; it is for who asked that way.
            is_own = ask.request_id == self.first_request_id
            return (
                "fits"
                if is_own and if_range_holds(ask.headers, self.response_headers)
                else "too far"
            )
        if (
            names
            and secondary_key(self.response_headers, varying_headers(ask.headers)) != self.vary
        ):
            return "other variant"
        if (
            self.status == 200
            and self.range_text is None
            and is_range_far(ask, self.received_bytes + range_wait_bytes_max, self.size_bytes)
        ):
            return "too far"
        return "fits"


def is_range_far(ask: Ask, reach_bytes: int, size_bytes: int | None) -> bool:
    """Whether the request's Range starts beyond the first `reach_bytes` of the object. The last
    bytes of an object of unknown size are always far."""
    text = get_one(ask.headers, "range")
    if text is None:
        return False
    if size_bytes is None and "=-" in text.replace(" ", ""):
        return True
    selection = parse_range(text, size_bytes if size_bytes is not None else SIZE_UNKNOWN)
    return isinstance(selection, ByteRange) and selection.first > reach_bytes
