"""The core of an edge that lost its disk, and the planner: its pins are fetched again."""

from __future__ import annotations

import msgspec

from nearcast import held_digest
from nearcast.fleet import EdgeProfile, Storage
from nearcast.media import Rendition
from nearcast.placement import EdgePlan
from origin.catalog import RenditionEntry, SegmentEntry, Title
from origin.control.held import Word
from origin.control.plan_inputs import PlannedEdge, plan_inputs
from origin.control.told import Told
from origin.placement.planner import make_plan
from origin.placement.settings import PlanSettings
from origin.placement.summary import Plan
from origin.telemetry.demand import demand_columns, wanted_columns
from tests.edge_world import SEGMENT_BYTES, SEGMENT_COUNT, SEGMENT_S
from tests.placed_world import PlacedWorld

HOUR_S = 3_600
PINNED = "/media/e1/low/1.m4s"


def title(name: str) -> Title:
    """As the edge's upstream has it."""

    def rendition(rung: str, size_bytes: int) -> RenditionEntry:
        is_sound = rung == "sound"
        return RenditionEntry(
            rendition=Rendition(
                id=rung,
                kind="audio" if is_sound else "video",
                codecs="mp4a.40.2" if is_sound else "avc1.64001f",
                peak_kbps=size_bytes * 8 / 1000 / SEGMENT_S,
                average_kbps=size_bytes * 8 / 1000 / SEGMENT_S,
            ),
            init_size_bytes=size_bytes,
            init_crc32c=0,
            segments=tuple(
                SegmentEntry(no * SEGMENT_S, SEGMENT_S, size_bytes, 0)
                for no in range(SEGMENT_COUNT)
            ),
        )

    return Title(
        id=name,
        name=name,
        duration_s=SEGMENT_S * SEGMENT_COUNT,
        created_wall_s=0.0,
        renditions=tuple(rendition(rung, size) for rung, size in SEGMENT_BYTES.items()),
    )


def next_plan(world: PlacedWorld, plan: EdgePlan | None, word: Word | None) -> Plan:
    """Of an edge whose viewers watch `e1` at the lowest rung, each hour."""
    hour = int(world.wall_s // HOUR_S) * HOUR_S
    size = SEGMENT_BYTES["low"] * SEGMENT_COUNT
    rows = [
        (hour - back * HOUR_S, "edge", "e1", "low", 4 * size, 0, size, 0, 4) for back in range(80)
    ]
    status = world.core.status(world.now_s)
    edge = PlannedEdge(
        edge="edge",
        profile=EdgeProfile(url="http://192.0.2.1:80", capacity_bytes=10**9),
        duty="active",
        is_up=True,
        # Full of what its viewers pulled meanwhile.
        storage=Storage(capacity_bytes=10**9, used_bytes=900_000_000),
        plan=plan,
        plan_files_held=status.placement.files_held,
        word=word,
    )
    inputs = plan_inputs(
        [title("e1"), title("e3")],
        Told(demand=demand_columns(rows), wanted=wanted_columns([])),
        [edge],
        wall_s=world.wall_s,
        history_days=14,
        settings=PlanSettings(windows=("00:00-24:00",), fill_share=1.0),
    )
    return make_plan(inputs)


def said_by(world: PlacedWorld) -> Word:
    """As it stands in the edge's heartbeats."""
    for _ in range(3):  # all titles are looked at, in turn
        _, titles = world.core.held_titles()
    return Word(
        pinned_bytes=world.core.status(world.now_s).pinned_bytes, titles=held_digest.unpack(titles)
    )


def watch(world: PlacedWorld, name: str) -> None:
    world.get(f"/media/{name}/manifest.mpd")
    for path in ("init.mp4", *(f"{no}.m4s" for no in range(1, SEGMENT_COUNT + 1))):
        world.get(f"/media/{name}/low/{path}")


def test_an_edge_that_lost_its_disk_is_planned_and_fetches_its_pins_again() -> None:
    before = PlacedWorld(store="/nowhere")
    (first,) = next_plan(before, None, None).edges
    before.follow(first)
    assert PINNED in before.paths()
    # As long as it has them, nothing of it is planned to be fetched.
    kept = next_plan(before, first, said_by(before))
    assert kept.summary.edges[0].fill_bytes == 0
    assert kept.summary.edges[0].missing_bytes == 0

    # A new disk, and no window of the old plan is left; viewers take another title.
    after = PlacedWorld(store="/nowhere")
    after.follow(msgspec.structs.replace(kept.edges[0], windows=()))
    watch(after, "e3")
    assert PINNED not in after.paths()
    assert next_plan(after, kept.edges[0], None).summary.edges[0].fill_bytes == 0, "if not asked"
    again = next_plan(after, kept.edges[0], said_by(after))
    assert again.summary.edges[0].missing_bytes > 0
    after.follow(again.edges[0])
    assert PINNED in after.paths()
    assert said_by(after).pinned_bytes == said_by(before).pinned_bytes
