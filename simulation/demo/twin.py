"""The demo's evening as a scenario: the same titles byte for byte, links, viewers and settings."""

from __future__ import annotations

from collections.abc import Iterable

from nearcast.errors import InputError
from origin.catalog import RenditionDetail, RenditionEntry, SegmentEntry, Title, TitleDetail
from simulation.demo.plan import SIDES, DemoPlan
from simulation.scenario import EdgeSpec, Scenario, TitleSpec


def twin_scenario(plan: DemoPlan, titles: Iterable[Title], seed: int) -> Scenario:
    """What `run_live` plays, for the virtual clock; the world is given `titles` beside it."""
    return Scenario(
        seed=seed,
        titles=tuple(TitleSpec(id=title.id, duration_s=title.duration_s) for title in titles),
        edges=tuple(
            EdgeSpec(name=side, backhaul=plan.backhaul, settings={"prefetch.enabled": side == "on"})
            for side in SIDES
        ),
        viewers=plan.viewers,
    )


def twin_title(detail: TitleDetail) -> Title:
    """A title as a running origin describes it at /v1/titles/<id>, as the simulated origin holds
    it: sizes, no bytes."""
    entry = detail.title
    return Title(
        id=entry.id,
        name=entry.name,
        duration_s=entry.duration_s,
        created_wall_s=detail.created_wall_s,
        renditions=tuple(_rendition(each) for each in detail.renditions),
        series=entry.series,
        season_no=entry.season_no,
        episode_no=entry.episode_no,
        edition_no=detail.edition_no,
    )


def _rendition(detail: RenditionDetail) -> RenditionEntry:
    inits = [file for file in detail.files if file.duration_s is None]
    if len(inits) != 1:
        raise InputError(f"rendition {detail.rendition.id} has {len(inits)} init segments, not one")
    return RenditionEntry(
        rendition=detail.rendition,
        init_size_bytes=inits[0].size_bytes,
        init_crc32c=int(inits[0].crc32c, 16),
        segments=tuple(
            SegmentEntry(
                file.start_s or 0.0, file.duration_s, file.size_bytes, int(file.crc32c, 16)
            )
            for file in detail.files
            if file.duration_s is not None
        ),
    )
