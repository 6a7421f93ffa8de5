"""The status of one edge, gathered from its parts."""

from __future__ import annotations

import msgspec

from edge.config import EdgeConfig
from edge.ledger import Ledger
from edge.open_fills import OpenFills
from edge.residents import Residents
from edge.status import (
    Counters,
    EdgeStatus,
    PlacementFigures,
    SourceFigures,
    TitlesFigures,
    ratio,
)


class Watching(msgspec.Struct, frozen=True, kw_only=True):
    """What the session side and the prefetcher add."""

    title_count: int = 0
    titles_bytes: int = 0
    session_count: int = 0
    viewer_count: int = 0
    model_id: str | None = None
    model_detail: str = ""
    prefetch_threshold: float = 0.0
    prefetch_sources: tuple[SourceFigures, ...] = ()
    titles: TitlesFigures = TitlesFigures()


def snapshot(
    config: EdgeConfig,
    *,
    uptime_s: float,
    is_draining: bool,
    counters: Counters,
    ledger: Ledger,
    open_fills: OpenFills,
    residents: Residents,
    watching: Watching,
    placement: PlacementFigures,
) -> EdgeStatus:
    index = residents.index
    prefetches_in_flight = sum(fill.is_prefetch for fill in open_fills)
    used_bytes = index.prefetch_used_bytes + counters.prefetch_joined_bytes
    answered_count = (
        counters.answers_store
        + counters.answers_stream
        + counters.answers_upstream
        + counters.answers_own
    )
    return EdgeStatus(
        name=config.name,
        upstream=config.upstream_url(),
        services=tuple(service.name for service in config.service_configs()),
        uptime_s=uptime_s,
        is_draining=is_draining,
        request_count=counters.requests,
        answers_store=counters.answers_store,
        answers_stream=counters.answers_stream,
        answers_upstream=counters.answers_upstream,
        answers_own=counters.answers_own,
        stale_served=counters.stale_served,
        revalidation_count=counters.revalidations,
        collapsed_count=counters.collapsed,
        client_bytes=counters.client_bytes,
        resident_bytes_sent=counters.resident_bytes_sent,
        origin_bytes=(
            counters.demand_fill_bytes
            + counters.prefetch_bytes
            + counters.planned_bytes
            + counters.pass_bytes
            - counters.peer_bytes
        ),
        demand_fill_bytes=counters.demand_fill_bytes,
        pass_bytes=counters.pass_bytes,
        peer_bytes=counters.peer_bytes,
        peer_sent_bytes=counters.peer_sent_bytes,
        planned_bytes=counters.planned_bytes,
        hit_ratio=ratio(counters.answers_store, answered_count),
        byte_hit_ratio=ratio(counters.resident_bytes_sent, counters.client_bytes),
        fills_in_flight=len(open_fills),
        prefetches_in_flight=prefetches_in_flight,
        passes_in_flight=ledger.pass_count,
        fill_count=counters.fills_demand + counters.fills_prefetch + counters.fills_planned,
        fills_stored=counters.fills_stored,
        fills_failed=counters.fills_failed,
        fills_cancelled=counters.fills_cancelled,
        upstream_refused=counters.upstream_refused,
        upstream_broken=counters.upstream_broken,
        upstream_timeouts=counters.upstream_timeouts,
        upstream_cut=counters.upstream_cut,
        upstream_retry_count=counters.upstream_retries,
        upstream_spared_count=counters.upstream_spared,
        breaker_opening_count=counters.breaker_openings,
        upstreams_troubled=open_fills.upstreams.troubled_count,
        object_count=len(index),
        object_bytes=index.size_bytes,
        capacity_bytes=index.config.capacity_bytes,
        index_bytes=index.index_bytes,
        memory_bytes=index.size_bytes if config.store is None else index.memory_bytes,
        eviction_count=counters.evictions,
        purge_count=counters.purges,
        purged_count=counters.purged_objects,
        title_count=watching.title_count,
        titles_bytes=watching.titles_bytes,
        manifests_dropped=counters.manifests_dropped,
        manifests_ignored=counters.manifests_ignored,
        session_count=watching.session_count,
        sessions_started=counters.sessions_started,
        viewer_count=watching.viewer_count,
        checkpoint_count=counters.checkpoints,
        prefetch_enabled=config.prefetch.enabled,
        model_id=watching.model_id,
        model_detail=watching.model_detail,
        predictions_asked=counters.predictions_asked,
        predictions_failed=counters.predictions_failed,
        predictions_late=counters.late_answers,
        prefetch_threshold=watching.prefetch_threshold,
        prefetch_sources=watching.prefetch_sources,
        titles=watching.titles,
        prefetch_wanted=dict(counters.prefetch_wanted),
        prefetch_unwanted=counters.prefetch_unwanted,
        prefetch_refused=counters.prefetch_refused,
        prefetch_count=counters.fills_prefetch,
        prefetch_bytes=counters.prefetch_bytes,
        prefetch_used_bytes=used_bytes,
        prefetch_waste_bytes=index.prefetch_wasted_bytes + counters.prefetch_lost_bytes,
        prefetch_resident_bytes=index.prefetched_bytes,
        prefetch_precision=ratio(used_bytes, counters.prefetch_bytes),
        pinned_bytes=index.pinned_bytes,
        placement=placement,
    )
