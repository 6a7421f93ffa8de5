"""The demo's evening as a scenario: the same titles byte for byte, links, viewers and settings."""

from __future__ import annotations

from collections.abc import Iterable

from origin.catalog import RenditionDetail, RenditionEntry, SegmentEntry, Title, TitleDetail
from simulation.demo.plan import AUTOPLAY_GAP_S, LAST_MILE_DELAY_MS, DemoPlan
from simulation.links import LinkShape
from simulation.scenario import EdgeSpec, Scenario, TitleSpec, ViewerSpec


def twin_scenario(plan: DemoPlan, titles: Iterable[Title], seed: int) -> Scenario:
    """What `run_live` plays, for the virtual clock; the world is given `titles` beside it."""
    backhaul = LinkShape(rate_kbps=plan.backhaul.rate_kbps, delay_ms=plan.backhaul.delay_ms)
    return Scenario(
        seed=seed,
        titles=tuple(TitleSpec(id=title.id, duration_s=title.duration_s) for title in titles),
        edges=tuple(
            EdgeSpec(name=side, backhaul=backhaul, settings={"prefetch.enabled": side == "on"})
            for side in ("off", "on")
        ),
        viewers=tuple(
            ViewerSpec(
                id=viewer.id,
                titles=viewer.titles,
                last_mile=LinkShape(
                    trace=viewer.last_mile,
                    offset_s=viewer.offset_s,
                    delay_ms=LAST_MILE_DELAY_MS[viewer.last_mile],
                ),
                start_s=viewer.start_s,
                gap_s=AUTOPLAY_GAP_S,
                leaves_after_s=viewer.leaves_after_s,
                protocol=viewer.protocol,
            )
            for viewer in plan.viewers
        ),
    )


def twin_title(detail: TitleDetail) -> Title:
    """The title that the origin described, as the simulated origin holds it: sizes, no bytes."""
    entry = detail.title
    return Title(
        id=entry.id,
        name=entry.name,
        duration_s=entry.duration_s,
        created_wall_s=detail.created_wall_s,
        renditions=tuple(_rendition(rendition) for rendition in detail.renditions),
        series=entry.series,
        season_no=entry.season_no,
        episode_no=entry.episode_no,
        edition_no=detail.edition_no,
    )


def _rendition(detail: RenditionDetail) -> RenditionEntry:
    init, *segments = detail.files
    return RenditionEntry(
        rendition=detail.rendition,
        init_size_bytes=init.size_bytes,
        init_crc32c=int(init.crc32c, 16),
        segments=tuple(
            SegmentEntry(
                start_s=segment.start_s or 0.0,
                duration_s=segment.duration_s or 0.0,
                size_bytes=segment.size_bytes,
                crc32c=int(segment.crc32c, 16),
            )
            for segment in segments
        ),
    )
