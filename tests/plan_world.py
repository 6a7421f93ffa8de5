"""What a plan is made from, in small: titles of a few files, edges, and what was told of them."""

from __future__ import annotations

from nearcast.fleet import EdgeProfile, Storage
from nearcast.media import Rendition
from origin.catalog import RenditionEntry, SegmentEntry, Title
from origin.control.plan_inputs import PlannedEdge, plan_inputs
from origin.control.told import Told
from origin.placement.inputs import PlanInputs
from origin.placement.settings import PlanSettings
from origin.telemetry.demand import DemandRow, demand_columns, wanted_columns

HOUR_S = 3_600
NOW_S = 500_000 * HOUR_S + 1_800.0


def rendition(name: str, size_bytes: int) -> RenditionEntry:
    is_sound = name.startswith("audio")
    made = Rendition(
        id=name,
        kind="audio" if is_sound else "video",
        peak_kbps=size_bytes / 125_000.0,
        average_kbps=size_bytes / 125_000.0,
        codecs="mp4a.40.2" if is_sound else "avc1.640015",
    )
    part = size_bytes // 100
    return RenditionEntry(
        rendition=made,
        init_size_bytes=0,
        init_crc32c=0,
        segments=tuple(SegmentEntry(index * 10.0, 10.0, part, 0) for index in range(100)),
    )


def title(name: str, series: str | None = None, episode_no: int | None = None) -> Title:
    return Title(
        id=name,
        name=name,
        duration_s=1_000.0,
        created_wall_s=0.0,
        renditions=(
            rendition("low", 10_000_000),
            rendition("high", 40_000_000),
            rendition("audio-en", 2_000_000),
            rendition("audio-nl", 2_000_000),
        ),
        series=series,
        season_no=None if series is None else 1,
        episode_no=episode_no,
    )


def edge(name: str) -> PlannedEdge:
    return PlannedEdge(
        edge=name,
        profile=EdgeProfile(url="http://192.0.2.1:80", capacity_bytes=10**9),
        duty="active",
        is_up=True,
        storage=Storage(capacity_bytes=10**9),
    )


def told(*rows: DemandRow, wanted: tuple[tuple[int, str, str, int], ...] = ()) -> Told:
    return Told(demand=demand_columns(rows), wanted=wanted_columns(wanted))


def inputs_of(titles: list[Title], said: Told, edges: list[str]) -> PlanInputs:
    return plan_inputs(
        titles,
        said,
        [edge(name) for name in edges],
        wall_s=NOW_S,
        history_days=14,
        settings=PlanSettings(windows=("00:00-24:00",)),
    )


def value(inputs: PlanInputs, edge_name: str, title_id: str, rendition_id: str) -> float:
    (found,) = (one for one in inputs.edges if one.edge == edge_name)
    return float(found.value_bytes[inputs.files.rows()[title_id, rendition_id]])


def hour(back: int) -> int:
    return (500_000 - back) * HOUR_S


def row(back: int, at: str, name: str, which: str, size_bytes: int, count: int) -> DemandRow:
    return hour(back), at, name, which, size_bytes, 0, size_bytes, 0, count
