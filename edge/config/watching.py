"""The sections [sessions], [prefetch] and [inference]: who watches what, and what comes next."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec

from edge.config.ranges import Count, NotNegative, Positive, Share
from nearcast.config import Section
from predictor.features import HISTORY_S


class SessionsConfig(Section, frozen=True, kw_only=True):
    """Who watches what."""

    idle_s: Positive = 60.0
    """A session is over this long after its last request and after its buffer has played out."""
    count_max: Count = 20_000
    viewers_max: Count = 50_000
    history_s: Positive = HISTORY_S
    """What viewers watched longer ago is forgotten. Models learn from rates over the default."""
    pseudonym_key_file: str | None = None
    """Where the key of the viewers' pseudonyms is kept, made when it is not there; None: a new one
    with each start, in memory alone."""
    titles_max: Count = 2_000
    titles_bytes_max: Count = 64_000_000
    """What all known titles together may take in memory; those used longest ago make room."""
    time_zone: str | None = None
    """In which the viewers live, such as `Europe/Berlin`: for the model, and for the windows of
    `[prefetch]`."""
    utc_offset_h: Annotated[float, msgspec.Meta(ge=-14, le=14)] | None = None
    """Instead, of their clocks to UTC, all the year; None: of `time_zone`, or 0 without that."""

    def __post_init__(self) -> None:
        if self.time_zone is not None and self.utc_offset_h is not None:
            raise ValueError(
                "time_zone and utc_offset_h exclude each other: keep time_zone, which knows summer"
            )


_CLOCK: Final = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)")
_S_PER_MIN: Final = 60.0
_MIN_PER_H: Final = 60


class WindowConfig(Section, frozen=True, kw_only=True):
    """Some hours of the day with a tariff of their own."""

    hours: str
    """`HH:MM-HH:MM`, local time of the viewers (`sessions.time_zone`); may pass midnight."""
    rate_factor: NotNegative = 1.0
    """Of `prefetch.rate_kbps`; 0: nothing is prefetched then."""
    cost_now: NotNegative | None = None
    """Of fetching a byte then, instead of `prefetch.cost_now`."""

    def __post_init__(self) -> None:
        self.span_s()

    def span_s(self) -> tuple[float, float]:
        """Begin and end, in seconds after midnight."""
        found = _CLOCK.fullmatch(self.hours)
        numbers = [int(text) for text in found.groups()] if found is not None else []
        clocks = zip(numbers[0::2], numbers[1::2], strict=True)
        minutes = [hour * _MIN_PER_H + minute for hour, minute in clocks]
        if (
            not minutes
            or max(minutes) > 24 * _MIN_PER_H
            or max(numbers[1::2]) >= _MIN_PER_H
            or minutes[0] == minutes[1]
        ):
            raise ValueError(f"hours are two different times as in 22:00-06:30, got {self.hours!r}")
        return minutes[0] * _S_PER_MIN, minutes[1] * _S_PER_MIN


class SeriesConfig(Section, frozen=True, kw_only=True):
    """How the manifests of a series are called, where no catalogue says what follows what."""

    pattern: str
    """A regular expression for the whole path of a manifest as it is fetched from upstream. Its
    group `episode` holds the number; `season` and `series` may be there."""

    def __post_init__(self) -> None:
        try:
            groups = re.compile(self.pattern).groupindex
        except re.error as error:
            raise ValueError(
                f"pattern {self.pattern!r} is no regular expression: {error}"
            ) from None
        if "episode" not in groups or not set(groups) <= {"episode", "season", "series"}:
            raise ValueError(
                f"pattern {self.pattern!r} needs the group (?P<episode>[0-9]+), and may have "
                "(?P<season>...) and (?P<series>...)"
            )


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
    bytes_per_day: Count | None = None
    """No more than this between two local midnights; None: as much as the rate allows."""
    windows: tuple[WindowConfig, ...] = ()
    """Hours with another rate or price; of several that hold the first counts."""
    in_flight_max: Count = 2
    head_s: Positive = 30.0
    """How much of the successor is fetched first."""
    start_s: Positive = 4.0
    """How much of it a start-up waits for; fetched at other rungs too that the player may start
    with."""
    head_at: Share = 0.5
    """Share of an episode after which its successor's first seconds may be fetched."""
    rest_at: Share = 0.75
    """Share of an episode after which the rest of the successor may be fetched."""
    in_session_s: NotNegative = 8.0
    """How far ahead of its player a title is fetched while it is watched; 0: not at all."""
    lifetime_s: Positive = 86_400.0
    """How long prefetched objects are kept for whoever they were fetched for: of those who do not
    go on at once, most do so within a day. With `eviction = "expected"` as long as they are worth
    it."""
    capacity_share: Share = 0.3
    """Of the store, for objects nobody has asked for yet."""
    threshold: Share | None = None
    """Least probability; None: from the costs below."""
    cost_now: NotNegative = 1.0
    cost_peak: NotNegative = 1.0
    """Of fetching the byte when it is asked for."""
    startup_value: NotNegative = 1.1
    """What a warm byte of the first `head_s` is worth to its viewer beyond the fetch it saves."""
    stall_value: NotNegative = 1.1
    """What a warm byte after that is worth, while the backhaul is quick; up to twice as much where
    it hardly carries the picture."""
    hold_cost_per_h: NotNegative = 0.0005
    """Of keeping a byte for an hour, until it has been measured what evicted bytes would have
    earned."""
    answer_wait_s: Positive = 1.0
    """A model's answer later than this is not waited for; the rule decides."""
    retry_s: NotNegative = 60.0
    """How long a URL that failed to prefetch is left alone."""
    series: tuple[SeriesConfig, ...] = ()
    """What follows what by the names of manifests, for origins without a catalogue."""
    observed_min: Annotated[int, msgspec.Meta(ge=0)] = 5
    """Where nothing else says what follows a title: so many viewers must have gone on to the same
    one before it is foreseen; 0: it never is."""
    plans_max: Count = 2_000
    explained_max: Count = 4_000
    """Objects of which is remembered why they were fetched or not."""
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
