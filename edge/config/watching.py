"""The sections [sessions], [prefetch] and [inference]: who watches what, and what comes next."""

from __future__ import annotations

from typing import Annotated

import msgspec

from edge.config.ranges import Count, NotNegative, Positive, Share
from nearcast.config import Section


class SessionsConfig(Section, frozen=True, kw_only=True):
    """Who watches what."""

    idle_s: Positive = 60.0
    """A session is over this long after its last request and after its buffer has played out."""
    count_max: Count = 20_000
    viewers_max: Count = 50_000
    titles_max: Count = 2_000
    titles_bytes_max: Count = 64_000_000
    """What all known titles together may take in memory; those used longest ago make room."""
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


class InferenceConfig(Section, frozen=True, kw_only=True):
    """The process that runs the model."""

    batch_s: Positive = 0.005
    """How long questions are collected."""
    queue_max: Count = 1024
    """Rows not yet answered; questions beyond that are decided by the rule."""
    restarts_max: Annotated[int, msgspec.Meta(ge=0)] = 5
    """In a row; after that the rule serves until the node is restarted."""
    memory_bytes: Count = 1_000_000_000
    """What the process may allocate (Linux)."""
