"""The replay of plans over a viewing log: simulation/placement."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from nearcast.errors import ConfigError, InputError
from origin.placement.settings import PlanSettings
from simulation.cli import app
from simulation.placement.options import Options
from simulation.placement.planners import PLANNERS
from simulation.placement.planners.nearcast import NearcastPlanner
from simulation.placement.replay import replay
from simulation.placement.residency import DEMAND, FILL, HIT, HOUR_S, Store
from simulation.placement.study import study
from simulation.placement.trace import Trace, read_trace, trace_of
from simulation.prefetch.segments import SegmentLog

PUBLIC = Path(__file__).parents[3] / "shared" / "cache-traces"


def small_log(seed: int = 1, *, days: int = 6, sessions: int = 3000, edges: int = 2) -> SegmentLog:
    """Films and one series of four; each film's popularity its own, evenings fuller than nights."""
    rng = np.random.default_rng(seed)
    items = 40
    weight = 1.0 / np.arange(1, items + 1)
    hour = rng.choice(24, sessions, p=(hours := np.r_[[1.0] * 17, [6.0] * 7]) / hours.sum())
    start = rng.integers(0, days, sessions) * 86_400.0 + (hour + rng.random(sessions)) * HOUR_S
    order = np.argsort(start, kind="stable")
    item = rng.choice(items, sessions, p=weight / weight.sum())
    length = np.full(items, 300)
    stays = rng.random(sessions) < 0.6
    return SegmentLog(
        start_s=start[order],
        edge=rng.integers(0, edges, sessions)[order],
        viewer=rng.integers(0, 200, sessions)[order],
        item=item[order],
        rendition=rng.integers(0, 5, sessions)[order],
        segments=np.where(stays, 300, rng.integers(1, 300, sessions))[order],
        title=np.r_[np.zeros(4, dtype=np.int64), np.arange(1, items - 3)],
        episode=np.r_[np.arange(4), np.zeros(items - 4, dtype=np.int64)],
        episodes=np.r_[np.full(4, 4), np.ones(items - 4, dtype=np.int64)],
        item_segments=length,
        segment_s=4.0,
        launch_s=np.full(items, np.nan),
        kbps=np.tile([400.0, 1000.0, 2500.0, 5000.0, 8000.0], (items, 1)),
    )


def trace(seed: int = 1, **sizes: int) -> Trace:
    log = small_log(seed, **sizes)
    return trace_of(log, np.arange(len(log.title)) % 3)


def hits_by_hand(log: SegmentLog, edge: int, capacity_bytes: float) -> tuple[float, float]:
    """LRU over chunks of 15 segments, each held as far as it was asked for, the slow way."""
    events = []
    for at in np.flatnonzero(log.edge == edge):
        for chunk in range(-(-int(log.segments[at]) // 15)):
            asked = min(15, int(log.segments[at]) - chunk * 15)
            key = (int(log.item[at]), int(log.rendition[at]), chunk)
            events.append((log.start_s[at] + chunk * 60.0, key, asked))
    events.sort(key=lambda event: event[0])
    held: dict[tuple[int, int, int], int] = {}
    used = hit = total = 0.0
    for _, key, asked in events:
        size = log.kbps[key[0], key[1]] * 500.0
        had = held.pop(key, 0)
        total += asked * size
        hit += min(asked, had) * size
        held[key] = max(asked, had)
        used += max(asked - had, 0) * size
        while used > capacity_bytes:
            oldest = next(iter(held))
            used -= held.pop(oldest) * log.kbps[oldest[0], oldest[1]] * 500.0
    return hit, total


def test_lru_hits_what_lru_by_hand_hits() -> None:
    log = small_log(sessions=600)
    capacity = 0.1 * log.catalogue_bytes
    found = replay(
        trace_of(log, np.zeros(40, dtype=np.int64)),
        PLANNERS.get("lru")(trace(), capacity, Options()),
        capacity_bytes=capacity,
    )
    for edge in range(2):
        hit, total = hits_by_hand(log, edge, capacity)
        assert found[edge, :, DEMAND].sum() == pytest.approx(total)
        assert found[edge, :, HIT].sum() == pytest.approx(hit)


def test_what_flows_after_the_last_start_counts_in_its_own_hours() -> None:
    log = small_log(sessions=600)
    late = np.arange(600) >= 500
    end_s = float(log.start_s.max())
    log = msgspec.structs.replace(  # a hundred viewings that begin just before the log ends
        log,
        start_s=np.where(late, end_s, log.start_s),
        segments=np.where(late, 300, log.segments),
    )
    made = trace_of(log, np.zeros(40, dtype=np.int64))
    found = study(made, planners=["lru"], storage_share=1.0, warmup_days=1, options=Options()).row(
        "lru"
    )
    hourly = np.zeros(made.hours + 1)
    missed = np.zeros_like(hourly)
    held: set[tuple[int, int, int, int]] = set()
    for at in range(600):
        for segment in range(int(log.segments[at])):
            # Of all that is asked for nothing is evicted here, so what is missed is what is new.
            key = (int(log.edge[at]), int(log.item[at]), int(log.rendition[at]), segment)
            hour = int((log.start_s[at] + segment // 15 * 60.0) // HOUR_S)
            size = log.kbps[log.item[at], log.rendition[at]] * 500.0
            hourly[hour] += size
            missed[hour] += size * (key not in held)
            held.add(key)
    assert hourly[-1] > 0  # it does go on
    assert found.worst_hour_ratio == pytest.approx(missed[24:].max() / hourly[24:].max())
    assert len(found.day_hit_ratios) == made.days - 1


def test_a_plan_does_not_depend_on_which_were_made_before() -> None:
    made = trace(days=4, sessions=1500)
    plans = []
    for hours in ((60,), (26, 30, 50, 60)):
        planner = NearcastPlanner(made, 0.05 * made.log.catalogue_bytes, Options())
        stores = [Store(made.chunk_segments, made.segment_bytes, made.flow_hours)] * 2
        plans.append([planner.make(hour, stores).plan_id for hour in hours][-1])
    assert plans[0] == plans[1]


@pytest.mark.parametrize("seed", range(3))
def test_fills_keep_to_window_rate_and_share(seed: int) -> None:
    settings = PlanSettings(windows=("23:00-03:00",), fill_kbps=40_000.0, fill_share=0.05)
    log = trace(seed, days=4, sessions=1400)
    capacity = 0.05 * log.log.catalogue_bytes
    found = replay(
        log,
        PLANNERS.get("nearcast")(log, capacity, Options(settings=settings, every_hours=4)),
        capacity_bytes=capacity,
    )
    hour_of_day = np.arange(log.flow_hours) % 24
    fills = found[:, :, FILL]
    assert fills.sum() > 0
    assert (fills[:, (hour_of_day >= 3) & (hour_of_day < 23)] == 0).all()
    # A chunk counts in the hour in which it was complete: one may have begun in the hour before.
    assert fills.max() <= settings.fill_kbps * 125.0 * HOUR_S + log.chunk_bytes.max()
    # An account: of what was served until then, and is expected to be in the next day and a half.
    for hour in range(24, log.hours):
        served = found[:, :hour, DEMAND].sum()
        day = found[:, max(0, hour - 24) : hour, DEMAND].sum()
        assert fills[:, : hour + 1].sum() <= 0.05 * (served + 3.0 * day) + 1.0


def test_a_plan_beats_lru_where_demand_is_steady_and_the_oracle_beats_both() -> None:
    found = study(
        trace(sessions=4000),
        planners=["lru", "nearcast", "oracle"],
        storage_share=0.05,
        warmup_days=2,
        options=Options(every_hours=24),
    )
    lru, ours, oracle = (row.byte_hit_ratio for row in found.rows)
    assert lru + 0.05 < ours < oracle
    assert found.row("nearcast").fill_ratio <= 0.10


def test_a_forecast_knows_nothing_of_what_comes_after_it() -> None:
    log = small_log(days=4, sessions=1500)
    later = log.start_s >= 2 * 86_400.0 + 2 * HOUR_S
    changed = msgspec.structs.replace(
        log,
        item=np.where(later, 39 - log.item, log.item),
        segments=np.where(later, 7, log.segments),
    )
    plans = []
    for each in (log, changed):
        made = trace_of(each, np.zeros(40, dtype=np.int64))
        planner = NearcastPlanner(made, 0.05 * log.catalogue_bytes, Options())
        stores = [
            Store(made.chunk_segments, made.segment_bytes, made.flow_hours) for _ in made.edges
        ]
        plans.append(planner.make(50, stores))
    assert sum(edge.fill_bytes for edge in plans[0].summary.edges) > 0
    assert plans[0].plan_id == plans[1].plan_id


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    log = small_log(days=3, sessions=600)
    sessions, catalog = tmp_path / "sessions.csv", tmp_path / "catalog.csv"
    rows = zip(
        log.start_s, log.edge, log.viewer, log.item, log.rendition, log.segments, strict=True
    )
    sessions.write_text(
        "start_s,edge,user,item,rep,first_seg,n_seg\n"
        + "".join(f"{s},{e},{u},{i},{r},0,{n}\n" for s, e, u, i, r, n in rows)
    )
    catalog.write_text(
        "item,title,episode,episodes,genre,launch_day,n_seg,seg_s,kbps_0,kbps_1,kbps_2,kbps_3,kbps_4\n"
        + "".join(
            f"{i},{log.title[i]},{log.episode[i]},{log.episodes[i]},{i % 3},-1,300,4,"
            "400,1000,2500,5000,8000\n"
            for i in range(40)
        )
    )
    return sessions, catalog


def arguments(files: tuple[Path, Path], *more: str) -> list[str]:
    return ["placement", "--sessions", str(files[0]), "--catalog", str(files[1]), *more]


def test_the_command_prints_a_row_for_each_planner_on_80_columns(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "rows.json"
    more = ("--planners", "lru,nearcast", "--warmup-days", "1", "--json", str(out))
    found = CliRunner().invoke(app, arguments(files, *more, "--plan-every", "24"))
    assert found.exit_code == 0, found.output
    assert all(len(line) <= 80 for line in found.output.splitlines())
    rows = msgspec.json.decode(out.read_bytes())["rows"]
    assert [row["planner"] for row in rows] == ["lru", "nearcast"]
    for row in rows:
        assert 0.0 < row["byte_hit_ratio"] < 1.0
        assert {"fill_ratio", "worst_hour_ratio"} <= row.keys()


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (("--storage", "0%"), "above 0%"),
        (("--storage", "5"), "write a share"),
        (("--planners", "lru,magic"), "magic"),
        (("--windows", "2-8"), "02:00-08:00"),
        (("--windows", "05:00-25:00"), "05:00-25:00"),
        (("--plan-every", "5"), "divide 24"),
        (("--without", "luck"), "luck"),
    ],
)
def test_a_bad_option_is_named(files: tuple[Path, Path], more: tuple[str, ...], what: str) -> None:
    found = CliRunner().invoke(app, arguments(files, *more))
    assert isinstance(found.exception, ConfigError)
    assert what in str(found.exception)


def test_a_log_of_the_warm_up_alone_is_refused(files: tuple[Path, Path]) -> None:
    found = CliRunner().invoke(app, arguments(files, "--warmup-days", "3"))
    assert isinstance(found.exception, InputError)
    assert "smaller --warmup-days" in str(found.exception)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("start_s,edge,user,item,rep,first_seg,n_seg\n", "holds no sessions"),
        ("start_s,edge,user,item,rep,first_seg\n1,0,0,0,0,0\n", "lacks the columns n_seg"),
        ("start_s,edge,user,item,rep,first_seg,n_seg\n1,0,0,99,0,0,5\n", "line 2"),
        ("start_s,edge,user,item,rep,first_seg,n_seg\n-5,0,0,1,0,0,5\n", "start_s"),
        ("start_s,edge,user,item,rep,first_seg,n_seg\n1e9,0,0,1,0,0,5\n", "not from 1970"),
        ("start_s,edge,user,item,rep,first_seg,n_seg\n1e300,0,0,1,0,0,5\n", "not from 1970"),
    ],
)
def test_bad_logs_are_refused_with_a_reason(files: tuple[Path, Path], text: str, what: str) -> None:
    files[0].write_text(text)
    with pytest.raises(InputError, match=what):
        read_trace(*files)


def test_a_catalogue_of_rates_that_are_none_is_refused(files: tuple[Path, Path]) -> None:
    files[1].write_text(files[1].read_text().replace(",400,", ",-500,", 1))
    with pytest.raises(InputError, match="item 0"):
        read_trace(*files)


def test_the_public_log_gives_the_published_baselines_and_the_goal() -> None:
    names = PUBLIC / "sessions.csv.xz", PUBLIC / "catalog.csv.xz"
    if not all(name.is_file() for name in names):
        pytest.skip("the public log is not here")
    found = study(
        read_trace(*names),
        planners=["lru", "hybrid", "oracle", "nearcast"],
        storage_share=0.05,
        warmup_days=4,
        options=Options(every_hours=24),
    )
    lru, hybrid, oracle, ours = found.rows
    assert (lru.byte_hit_ratio, lru.worst_hour_ratio) == pytest.approx((0.399, 0.621), abs=0.001)
    assert (hybrid.byte_hit_ratio, hybrid.fill_ratio) == pytest.approx((0.475, 0.066), abs=0.004)
    assert hybrid.worst_hour_ratio == pytest.approx(0.555, abs=0.003)
    assert oracle.byte_hit_ratio == pytest.approx(0.710, abs=0.001)
    assert (oracle.fill_ratio, oracle.worst_hour_ratio) == pytest.approx((0.237, 0.385), abs=0.005)
    assert ours.byte_hit_ratio >= 0.52  # with a plan a day
    assert ours.worst_hour_ratio <= 0.53
    assert ours.worst_flow_ratio <= 0.53
    assert ours.fill_ratio <= 0.10
