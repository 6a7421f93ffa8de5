"""The plan of a live origin is that of the simulator, where both were told the same.

A log of viewings goes the live way: as edges' telemetry into a database, out of it into the inputs
of a plan. The simulator is given the log itself.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from nearcast.fleet import EdgeProfile
from nearcast.media import Rendition
from nearcast.placement import EdgePlan
from nearcast.telemetry import Demand, Line, SessionEnded
from origin.catalog import RenditionEntry, SegmentEntry, Title
from origin.control.plan_inputs import PlannedEdge, plan_inputs
from origin.control.told import Told
from origin.drivers.state import ControlStore
from origin.drivers.state.telemetry import take_pieces
from origin.drivers.state.told_rows import ToldRows
from origin.drivers.state.watched_rows import watched_since
from origin.placement.planner import make_plan
from origin.placement.settings import PlanSettings
from origin.placement.summary import Plan
from origin.telemetry.pieces import Piece
from simulation.placement.options import Options
from simulation.placement.planners.nearcast import NearcastPlanner, edge_name
from simulation.placement.residency import DEMAND, HOUR_S, Store
from simulation.placement.trace import Trace, trace_of
from simulation.prefetch.segments import SegmentLog

ITEMS, EPISODES, SEGMENTS, EDGES, DAYS = 24, 4, 60, 3, 4
KBPS = (400.0, 1000.0, 2500.0, 5000.0, 8000.0)
STORAGE_SHARE = 0.08
PLAN_HOUR = 74
SETTINGS = PlanSettings(fill_share=0.005)
GENRES = np.where(np.arange(ITEMS) % 5 == 4, -1, np.arange(ITEMS) % 3)
"""Of every fifth title nobody said one."""


def viewings(count: int = 1_500) -> SegmentLog:
    """Each watched to its end: of those an edge's bytes tell the rendition without a doubt."""
    rng = np.random.default_rng(11)
    weight = 1.0 / np.arange(1, ITEMS + 1)
    start = np.sort(rng.random(count) * DAYS * 86_400.0)
    return SegmentLog(
        start_s=start,
        edge=rng.integers(0, EDGES, count),
        viewer=rng.integers(0, 100, count),
        item=rng.permutation(ITEMS)[rng.choice(ITEMS, count, p=weight / weight.sum())],
        rendition=rng.integers(0, 5, count),
        segments=np.full(count, SEGMENTS),
        title=np.r_[np.zeros(EPISODES, dtype=np.int64), np.arange(1, ITEMS - EPISODES + 1)],
        episode=np.r_[np.arange(EPISODES), np.zeros(ITEMS - EPISODES, dtype=np.int64)],
        episodes=np.r_[np.full(EPISODES, EPISODES), np.ones(ITEMS - EPISODES, dtype=np.int64)],
        item_segments=np.full(ITEMS, SEGMENTS),
        segment_s=4.0,
        launch_s=np.full(ITEMS, np.nan),
        kbps=np.tile(KBPS, (ITEMS, 1)),
    )


def titles() -> list[Title]:
    return [
        Title(
            id=f"{item:06d}",
            name=f"{item:06d}",
            duration_s=SEGMENTS * 4.0,
            created_wall_s=-1.0,  # before anybody reported
            renditions=tuple(rendition(number, kbps) for number, kbps in enumerate(KBPS)),
            series="Harbour" if item < EPISODES else None,
            season_no=1 if item < EPISODES else None,
            episode_no=item + 1 if item < EPISODES else None,
            genre=f"genre {GENRES[item]}" if GENRES[item] >= 0 else None,
        )
        for item in range(ITEMS)
    ]


def rendition(number: int, kbps: float) -> RenditionEntry:
    return RenditionEntry(
        rendition=Rendition(
            id=str(number), kind="video", peak_kbps=kbps, average_kbps=kbps, codecs="avc1.640015"
        ),
        init_size_bytes=0,
        init_crc32c=0,
        segments=tuple(SegmentEntry(at * 4.0, 4.0, int(kbps * 500), 0) for at in range(SEGMENTS)),
    )


def events(log: SegmentLog) -> dict[str, list[Line]]:
    """What each edge had written down when the hour of the plan began."""
    now_s = PLAN_HOUR * HOUR_S
    said: dict[str, list[Line]] = {edge_name(edge): [] for edge in range(EDGES)}
    for at in range(len(log.item)):
        item, kbps = int(log.item[at]), KBPS[int(log.rendition[at])]
        start_s, end_s = float(log.start_s[at]), float(log.start_s[at]) + SEGMENTS * 4.0
        edge = said[edge_name(int(log.edge[at]))]
        if start_s < now_s:
            edge.append(
                Demand(
                    wall_s=start_s,
                    title=f"{item:06d}",
                    rendition=str(int(log.rendition[at])),
                    client_bytes=int(kbps * 500) * SEGMENTS,
                    session_count=1,
                )
            )
        if end_s < now_s:
            edge.append(
                SessionEnded(
                    wall_s=end_s,
                    title=f"{item:06d}",
                    watched_s=SEGMENTS * 4.0,
                    duration_s=SEGMENTS * 4.0,
                    next_title=f"{item + 1:06d}" if item + 1 < EPISODES else "",
                )
            )
    return said


async def told(folder: Path, said: dict[str, list[Line]]) -> Told:
    store = await ControlStore.open("", folder)
    try:
        pieces = [
            Piece(
                edge=edge,
                boot_id="ab" * 8,
                segment_no=0,
                offset_bytes=0,
                size_bytes=100 * len(lines),
                received_wall_s=PLAN_HOUR * HOUR_S,
                events=tuple(lines),
                lines=b"",
                odd={},
            )
            for edge, lines in said.items()
        ]
        verdicts = await take_pieces(store.database, pieces, keeps_raw=False)
        assert [verdict.outcome for verdict in verdicts] == ["taken"] * EDGES
        demand, wanted = await ToldRows().read(store.database, 0.0)
        return Told(
            demand=demand,
            wanted=wanted,
            watched=await watched_since(store.database, 0.0),
        )
    finally:
        await store.close()


def simulated(trace: Trace, capacity_bytes: int) -> Plan:
    planner = NearcastPlanner(trace, capacity_bytes, Options(settings=SETTINGS))
    stores = [
        Store(trace.chunk_segments, trace.segment_bytes, trace.flow_hours) for _ in trace.edges
    ]
    log, size = trace.log, np.array(KBPS) * 500 * SEGMENTS
    for edge, store in enumerate(stores):  # nothing held yet; served was what was reported
        began = (log.edge == edge) & (log.start_s < PLAN_HOUR * HOUR_S)
        store.hourly[0, DEMAND] = size[log.rendition[began]].sum()
    return planner.make(PLAN_HOUR, stores)


def said_of(plan: EdgePlan) -> list[tuple[object, ...]]:
    return [(f.title, f.rendition, f.until_s, f.fetch_until_s, f.size_bytes) for f in plan.files]


def test_the_live_way_and_the_simulator_make_the_same_plan(tmp_path: Path) -> None:
    log = viewings()
    capacity_bytes = int(STORAGE_SHARE * log.catalogue_bytes)
    live = make_plan(
        plan_inputs(
            titles(),
            asyncio.run(told(tmp_path, events(log))),
            [
                PlannedEdge(
                    edge=edge_name(edge),
                    profile=EdgeProfile(url="http://edge", capacity_bytes=capacity_bytes),
                    duty="active",
                    is_up=True,
                    storage=None,
                )
                for edge in range(EDGES)
            ],
            wall_s=PLAN_HOUR * HOUR_S,
            history_days=14,
            settings=SETTINGS,
        )
    )
    ours = simulated(trace_of(log, GENRES), capacity_bytes)
    untold = simulated(trace_of(log, np.full(ITEMS, -1)), capacity_bytes)
    assert untold.summary.plan_id != ours.summary.plan_id  # so tastes do make a difference
    for one, two in zip(live.edges, ours.edges, strict=True):
        assert said_of(one) == said_of(two)
        assert one.windows == two.windows
        assert abs(one.fill_bytes_max - two.fill_bytes_max) <= 1
        values = [file.value_bytes for file in one.files]
        np.testing.assert_allclose(values, [file.value_bytes for file in two.files], rtol=1e-4)
    (first, *_) = live.summary.edges
    assert first.fill_bytes > 0
    assert first.reserved_files > 0
