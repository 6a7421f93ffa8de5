"""The settings of an edge, with ranges; nothing here is read from anywhere but the constructor."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from cache.index import CacheConfig
from nearcast.config import Section
from nearcast.errors import ConfigError

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(gt=0)]

_NAME = re.compile(r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]{0,63}")
"""A token of RFC 8941: it goes into Cache-Status unquoted."""


class HttpConfig(Section, frozen=True, kw_only=True):
    """What RFC 9111 leaves to the cache, and how long it waits for whom."""

    default_freshness_s: NotNegative = 120.0
    """Of responses that have a validator and do not say how long they are fresh, as from a plain
    file server. RFC 9111 section 4.2.2 leaves it to the cache; 0 revalidates each time."""
    stale_if_error_s: NotNegative = 600.0
    """How long past its freshness an object may stand in for an upstream that fails."""
    negative_ttl_s: NotNegative = 2.0
    """How long a 404 or 410 is kept that does not say so itself; other errors are never kept."""
    uncacheable_s: NotNegative = 5.0
    """How long a URL that turned out not to be storable is passed through without queueing."""
    connect_timeout_s: Positive = 3.0
    fill_header_timeout_s: Positive = 5.0
    fill_idle_timeout_s: Positive = 10.0
    """Longest silence of upstream in the middle of a body."""
    header_deadline_s: Positive = 10.0
    """For a client to send its request head."""
    fills_max: Count = 256
    """Fetches at a time; a miss beyond that gets 503."""
    passes_max: Count = 256
    """Requests forwarded without storing at a time; beyond that 503."""
    waiters_max: Count = 10_000
    """Clients on one fetch; those beyond it are passed through."""
    range_wait_bytes_max: Annotated[int, msgspec.Meta(ge=0)] = 4_000_000
    """A Range that starts further ahead than this of what has arrived is passed through instead
    of waiting for the bytes before it."""
    finish_share: Share = 0.5
    """A fill whose last client left goes on when at least this share has arrived."""
    target_length_max: Count = 8192


class SessionsConfig(Section, frozen=True, kw_only=True):
    """Who watches what."""

    idle_s: Positive = 60.0
    """A session is over this long after its last request and after its buffer has played out."""
    count_max: Count = 20_000
    viewers_max: Count = 50_000
    titles_max: Count = 2_000
    segments_max: Count = 1_000_000
    """Of all known titles together: it bounds the memory manifests can take."""
    utc_offset_h: Annotated[float, msgspec.Meta(ge=-14, le=14)] = 0.0
    """Local time of the viewers, for the model."""


class PrefetchConfig(Section, frozen=True, kw_only=True):
    """What is fetched before it is asked for, and at what price.

    Costs are relative to fetching one byte now. See edge/prefetch/value.py.
    """

    enabled: bool = True
    model: str = "default"
    """A model folder, `default` for the shipped one, or `rule` for none."""
    rate_kbps: Positive = 20_000.0
    """Budget on the backhaul, on average. Demand comes first whatever this says."""
    burst_s: Positive = 2.0
    """How much of the budget may be saved up."""
    in_flight_max: Count = 2
    head_s: Positive = 30.0
    """How much of the successor is fetched first."""
    start_s: Positive = 4.0
    """How much of it is fetched at other rungs too that the player may start with."""
    head_at: Share = 0.5
    """Share of an episode after which its successor's first seconds may be fetched."""
    rest_at: Share = 0.75
    """Share of an episode after which the rest of the successor may be fetched."""
    lifetime_s: Positive = 1800.0
    """How long prefetched objects are kept for whoever they were fetched for."""
    capacity_share: Share = 0.3
    """Of the store, for objects nobody has asked for yet."""
    threshold: Share | None = None
    """Least probability; None: from the costs below."""
    cost_now: NotNegative = 1.0
    cost_peak: NotNegative = 1.0
    """Of fetching the byte when it is asked for."""
    startup_value: NotNegative = 1.1
    """What a warm byte is worth to its viewer beyond the fetch it saves."""
    hold_cost_per_h: NotNegative = 0.02
    """Of keeping a byte for an hour: what the coldest resident byte would have earned."""
    answer_wait_s: Positive = 1.0
    """A model's answer later than this is not waited for; the rule decides."""
    retry_s: NotNegative = 60.0
    """How long a URL that failed to prefetch is left alone."""
    plans_max: Count = 2_000
    catalog_refresh_s: Positive = 60.0

    def __post_init__(self) -> None:
        if self.rest_at < self.head_at:
            raise ValueError(
                f"prefetch.rest_at ({self.rest_at}) must not be below prefetch.head_at "
                f"({self.head_at}): the first seconds come first"
            )
        if self.cost_peak + self.startup_value <= 0:
            raise ValueError(
                "prefetch.cost_peak and prefetch.startup_value are both 0: nothing would ever "
                "be worth prefetching; set prefetch.enabled = false instead"
            )


class ServerConfig(Section, frozen=True, kw_only=True):
    """How clients are treated on the socket."""

    connections_max: Count = 4096
    idle_s: Positive = 60.0
    """How long a connection without a request is kept."""
    send_s: Positive = 60.0
    """A client that takes less than a quarter of a megabyte in this time is let go."""
    drain_s: Positive = 10.0
    """For answers under way to finish when the node stops."""
    head_bytes_max: Count = 16_384
    """Of a request line, and of a header field."""


class InferenceConfig(Section, frozen=True, kw_only=True):
    """The process that runs the model."""

    horizon: str = "30min"
    """Which of the model's horizons the planner is told."""
    batch_s: Positive = 0.005
    """How long questions are collected."""
    queue_max: Count = 1024
    """Rows not yet answered; questions beyond that are decided by the rule."""
    restarts_max: Annotated[int, msgspec.Meta(ge=0)] = 5
    """In a row; after that the rule serves until the node is restarted."""
    memory_bytes: Count = 1_000_000_000
    """What the process may allocate (Linux)."""


class EdgeConfig(Section, frozen=True, kw_only=True):
    """One cache node."""

    upstream: str = ""
    """http(s)://host[:port][/prefix]; a request's target is appended to it."""
    name: str = "nearcast"
    """In Cache-Status."""
    listen: str = "127.0.0.1:8081"
    admin_listen: str | None = None
    """Where status and metrics are served; None: on `listen`, to loopback clients only."""
    store: str | None = None
    """Folder of the object store; None: in memory only, and `memory_bytes` is the capacity."""
    capacity_bytes: Count = 10_000_000_000
    memory_bytes: Annotated[int, msgspec.Meta(ge=0)] = 256_000_000
    object_bytes_max: Count = 1_000_000_000
    memory_object_bytes_max: Annotated[int, msgspec.Meta(ge=0)] = 4_000_000
    """Larger objects are served from the store's files; without a store this has no effect."""
    eviction: str = "s3fifo"
    admission: str = "always"
    http: HttpConfig = HttpConfig()
    sessions: SessionsConfig = SessionsConfig()
    prefetch: PrefetchConfig = PrefetchConfig()
    server: ServerConfig = ServerConfig()
    inference: InferenceConfig = InferenceConfig()

    def __post_init__(self) -> None:
        if self.upstream:
            _check_upstream(self.upstream)
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"name {self.name!r} must be a word of letters, digits, - _ . : / "
                "that starts with a letter, at most 64 long"
            )
        if self.store is not None and not self.store:
            raise ValueError("store is empty; name a folder, or leave it out to keep all in memory")
        if self.store is None and self.memory_bytes == 0:
            raise ValueError("without a store, memory_bytes must be above 0")

    def upstream_url(self) -> str:
        """The upstream without a slash at its end. Raises ConfigError when none is set."""
        if not self.upstream:
            raise ConfigError("no upstream is set; give one with --upstream http://host[:port]")
        return self.upstream.rstrip("/")

    def cache(self) -> CacheConfig:
        """The index's settings. Without a store everything is in RAM, so both tiers are one."""
        if self.store is None:
            capacity_bytes = min(self.capacity_bytes, self.memory_bytes)
            return CacheConfig(
                capacity_bytes=capacity_bytes,
                memory_capacity_bytes=capacity_bytes,
                memory_object_bytes_max=capacity_bytes,
                prefetch_share=self.prefetch.capacity_share,
                eviction=self.eviction,
                admission=self.admission,
            )
        return CacheConfig(
            capacity_bytes=self.capacity_bytes,
            memory_capacity_bytes=self.memory_bytes,
            memory_object_bytes_max=self.memory_object_bytes_max,
            prefetch_share=self.prefetch.capacity_share,
            eviction=self.eviction,
            admission=self.admission,
        )


def _check_upstream(upstream: str) -> None:
    try:
        parts = urlsplit(upstream)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"upstream {upstream!r} is no URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(f"upstream {upstream!r}: write it as http://host[:port][/prefix]")
    if parts.query or parts.fragment or parts.username is not None or parts.password is not None:
        raise ValueError(f"upstream {upstream!r} must not hold a query, a fragment or a user")
    if any(character <= " " or character > "~" for character in upstream) or "\\" in upstream:
        raise ValueError(f"upstream {upstream!r} holds a character that no URL has")
