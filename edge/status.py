"""The figures of one edge: counted in `Counters`, shown as an `EdgeStatus`.

Byte figures follow one rule: bodies only, as they left or arrived. `client_bytes` is everything
that reached clients, `resident_bytes_sent` the part of it that came from the store, `origin_bytes`
everything that came from upstream, prefetches included.
"""

from __future__ import annotations

from collections import Counter

import msgspec


class Counters:
    """Counts that only grow. One object per edge, handed to the parts that count."""

    __slots__ = (
        "answers_own",
        "answers_store",
        "answers_stream",
        "answers_upstream",
        "breaker_openings",
        "checkpoints",
        "client_bytes",
        "collapsed",
        "demand_fill_bytes",
        "evictions",
        "fills_cancelled",
        "fills_demand",
        "fills_failed",
        "fills_planned",
        "fills_prefetch",
        "fills_stored",
        "late_answers",
        "manifests_dropped",
        "manifests_ignored",
        "pass_bytes",
        "peer_bytes",
        "peer_refusals",
        "peer_sent_bytes",
        "planned_bytes",
        "predictions_asked",
        "predictions_failed",
        "prefetch_bytes",
        "prefetch_joined_bytes",
        "prefetch_lost_bytes",
        "prefetch_refused",
        "prefetch_unwanted",
        "prefetch_wanted",
        "purged_objects",
        "purges",
        "requests",
        "resident_bytes_sent",
        "revalidations",
        "sessions_started",
        "stale_served",
        "upstream_broken",
        "upstream_cut",
        "upstream_refused",
        "upstream_retries",
        "upstream_spared",
        "upstream_timeouts",
    )

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)
        self.prefetch_wanted = Counter()

    answers_own: int
    """Short texts of our own: errors, 304, 416."""
    answers_store: int
    answers_stream: int
    """Sent from a fill while it was being fetched."""
    answers_upstream: int
    breaker_openings: int
    checkpoints: int
    client_bytes: int
    collapsed: int
    """Requests that joined a fetch under way."""
    demand_fill_bytes: int
    evictions: int
    fills_cancelled: int
    fills_demand: int
    fills_failed: int
    fills_planned: int
    fills_prefetch: int
    fills_stored: int
    late_answers: int
    """Predictions that came too late or for nobody."""
    manifests_dropped: int
    """Not read, because too many were waiting for it."""
    manifests_ignored: int
    pass_bytes: int
    peer_bytes: int
    """Received from other edges, for whatever."""
    peer_refusals: int
    """Copies of other edges that were not taken."""
    peer_sent_bytes: int
    """Sent to other edges; of no `client_bytes`."""
    planned_bytes: int
    """Received for a placement plan, from wherever, up to the moment demand joined."""
    predictions_asked: int
    predictions_failed: int
    prefetch_bytes: int
    """Received by prefetches, up to the moment demand joined."""
    prefetch_joined_bytes: int
    """Of these, of fetches that demand joined under way."""
    prefetch_lost_bytes: int
    """Of these, of fetches that failed, were cancelled or could not be stored."""
    prefetch_refused: int
    """Prefetches that the store had no room for."""
    prefetch_unwanted: int
    prefetch_wanted: Counter[str]
    """By who foresaw it (edge.prefetch.plans)."""
    purged_objects: int
    """Dropped or made stale."""
    purges: int
    requests: int
    resident_bytes_sent: int
    revalidations: int
    sessions_started: int
    stale_served: int
    upstream_broken: int
    """Fetches that ended before their head, or whose head was no HTTP."""
    upstream_cut: int
    """Bodies that ended too early or too late; never stored."""
    upstream_refused: int
    """Fetches without a connection."""
    upstream_retries: int
    upstream_spared: int
    """Misses answered at once, since upstream was known to be failing."""
    upstream_timeouts: int


class SourceFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How a source of prefetches has done here, of late."""

    source: str
    trust: float
    """What its probabilities are multiplied with."""
    precision: float | None
    """Share of its bytes that were used."""


class TitlesFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How foreseeing titles goes."""

    model_id: str | None = None
    """None: nothing is foreseen; `detail` says why."""
    detail: str = ""
    asked_count: int = 0
    failed_count: int = 0
    head_count: int = 0
    """Titles that any viewer may start soon."""
    taken_shares: dict[str, float] = msgspec.field(default_factory=dict)
    """How often a new title was taken up after a question, by situation."""
    belief: float = 1.0
    """How often it was one that the model had named, over how often that should have been."""


class PlacementFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How following a placement plan goes."""

    plan_id: str = ""
    """Empty: none is followed."""
    state: str = "no plan"
    """In words: what it does now, or what it waits for."""
    file_count: int = 0
    files_held: int = 0
    """Completely."""
    files_given_up: int = 0
    """For now: not to be had, or no room."""
    spent_bytes: int = 0
    """Fetched for this plan."""
    left_bytes: int = 0
    valid_until_wall_s: float = 0.0
    peer_refusals: int = 0
    """Copies of other edges that were not taken: not there, or not what they should be."""


class EdgeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an operator, a dashboard or a comparison asks of an edge, at one moment."""

    name: str
    upstream: str
    """Of the first service."""
    services: tuple[str, ...]
    """Their names."""
    uptime_s: float
    is_draining: bool

    request_count: int
    answers_store: int
    answers_stream: int
    answers_upstream: int
    answers_own: int
    stale_served: int
    revalidation_count: int
    collapsed_count: int

    client_bytes: int
    resident_bytes_sent: int
    origin_bytes: int
    demand_fill_bytes: int
    pass_bytes: int
    peer_bytes: int
    """From other edges: of the bytes received, those that are not of `origin_bytes`."""
    peer_sent_bytes: int
    """To other edges, which are no clients: of none of the figures above."""
    planned_bytes: int
    """For a placement plan, from wherever."""
    hit_ratio: float | None
    byte_hit_ratio: float | None

    fills_in_flight: int
    prefetches_in_flight: int
    passes_in_flight: int
    fill_count: int
    fills_stored: int
    fills_failed: int
    fills_cancelled: int

    upstream_refused: int
    upstream_broken: int
    upstream_timeouts: int
    upstream_cut: int
    upstream_retry_count: int
    upstream_spared_count: int
    breaker_opening_count: int
    upstreams_troubled: int
    """Upstreams that are left alone for now, or being tried again."""

    object_count: int
    object_bytes: int
    capacity_bytes: int
    index_bytes: int
    """RAM that knowing of the objects takes, estimated."""
    memory_bytes: int
    eviction_count: int
    purge_count: int
    purged_count: int

    title_count: int
    titles_bytes: int
    """RAM that knowing of the titles takes, estimated."""
    manifests_dropped: int
    manifests_ignored: int
    session_count: int
    sessions_started: int
    viewer_count: int
    checkpoint_count: int

    prefetch_enabled: bool
    model_id: str | None
    """None: the rule "half watched" serves; `model_detail` says why."""
    model_detail: str
    predictions_asked: int
    predictions_failed: int
    predictions_late: int
    prefetch_threshold: float
    prefetch_sources: tuple[SourceFigures, ...] = ()
    titles: TitlesFigures = TitlesFigures()
    prefetch_wanted: dict[str, int]
    """By who foresaw it: model, rule, observed."""
    prefetch_unwanted: int
    prefetch_refused: int
    prefetch_count: int
    prefetch_bytes: int
    prefetch_used_bytes: int
    prefetch_waste_bytes: int
    prefetch_resident_bytes: int
    """Prefetched and not asked for yet: neither used nor wasted so far."""
    prefetch_precision: float | None
    """Used / prefetched: what is still waiting to be asked for counts against it."""

    pinned_bytes: int = 0
    placement: PlacementFigures = PlacementFigures()


def ratio(part: float, whole: float) -> float | None:
    """None when there was nothing to take a share of."""
    return part / whole if whole else None
