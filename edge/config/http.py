"""The section [http]: what is kept for how long, and who is waited for."""

from __future__ import annotations

from typing import Annotated

import msgspec

from edge.config.ranges import Count, NotNegative, Positive, Share
from nearcast.config import Section


class HttpConfig(Section, frozen=True, kw_only=True):
    """What RFC 9111 leaves to the cache, and how long it waits for whom."""

    default_freshness_s: NotNegative = 120.0
    """Of responses that have a validator and do not say how long they are fresh, as from a plain
    file server. RFC 9111 section 4.2.2 leaves it to the cache; 0 revalidates each time."""
    stale_if_error_s: NotNegative = 600.0
    """How long past its freshness an object may stand in for an upstream that fails."""
    negative_ttl_s: NotNegative = 2.0
    """How long a 404 or 410 is kept that does not say so itself; other errors are never kept."""
    heuristic_fraction: Share = 0.0
    """Share of the time since Last-Modified for which a response is fresh that does not say so
    itself, in place of the two above (RFC 9111, 4.2.2). 0: off."""
    heuristic_s_max: NotNegative = 86_400.0
    store_set_cookie: bool = False
    """Keep answers with Set-Cookie that name a lifetime, though neither `public` nor s-maxage."""
    store_any_status: bool = False
    """Keep errors and unknown statuses too, if they name a lifetime: one client's odd request can
    then make a refusal stick for all."""
    uncacheable_s: NotNegative = 5.0
    """How long a URL that turned out not to be storable is passed through without queueing."""
    connect_timeout_s: Positive = 3.0
    fill_header_timeout_s: Positive = 5.0
    fill_idle_timeout_s: Positive = 10.0
    """Longest silence of upstream in the middle of a body."""
    fills_max: Count = 256
    """Fetches at a time; a miss beyond that gets 503."""
    passes_max: Count = 256
    """Requests forwarded without storing at a time; beyond that 503."""
    waiters_max: Count = 10_000
    """Clients on one fetch; those beyond it are passed through."""
    range_wait_bytes_max: Annotated[int, msgspec.Meta(ge=0)] = 4_000_000
    """A Range that starts further ahead than this of what has arrived is passed through instead
    of waiting for the bytes before it."""
    retry_budget_share: Share = 0.1
    """Of the fetches, how many more may be spent on trying again what failed before its head."""
    error_ttl_s: Annotated[float, msgspec.Meta(ge=0, le=5)] = 1.0
    """How long a URL that upstream answered with 500, 502, 503 or 504 is not asked for again."""
    breaker_failures: Annotated[int, msgspec.Meta(ge=0)] = 10
    """Failures in a row after which an upstream is left alone for a while; 0: never."""
    breaker_open_s: Positive = 1.0
    """For how long at first; it doubles with each failed probe."""
    breaker_open_s_max: Positive = 30.0
    finish_share: Share = 0.5
    """A fill whose last client left goes on when at least this share has arrived."""
    keep_cut_bytes_min: Annotated[int, msgspec.Meta(gt=0)] = 1_000_000
    """Below that share, so many bytes or more are kept as the beginning of the object, if it has a
    strong entity tag: who wants it later gets the rest fetched alone."""
