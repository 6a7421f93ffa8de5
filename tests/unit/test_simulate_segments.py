"""Segment logs: read, cut into chunks, and replayed with and without foresight."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from nearcast.errors import InputError
from simulation.prefetch.segment_report import files_of, lines
from simulation.prefetch.segment_study import (
    RESIDENCY,
    S3FIFO,
    SegmentRow,
    SegmentStudy,
    study,
)
from simulation.prefetch.segments import (
    RENDITIONS,
    SegmentLog,
    chunks_of,
    demand_of,
    plays_log,
    read_segment_log,
)

CATALOG_HEAD = (
    "item,title,episode,episodes,genre,launch_day,n_seg,seg_s,kbps_0,kbps_1,kbps_2,kbps_3,kbps_4"
)
SESSION_HEAD = "start_s,edge,user,item,rep,first_seg,n_seg"


def small_log(
    sessions: int = 400,
    *,
    items: int = 12,
    seed: int = 1,
    follows: float = 1.0,
    pause_s: float = 14_400.0,
) -> SegmentLog:
    """One edge, one series; viewers read it in order, or jump about, with pauses between."""
    rng = np.random.default_rng(seed)
    viewers = max(1, sessions // items)
    begins = np.sort(rng.uniform(0.0, 5 * 86_400.0, viewers))
    start_s, viewer, item = [], [], []
    for who, begin_s in enumerate(begins):
        episode, at_s = int(rng.integers(0, items)), float(begin_s)
        for _ in range(items):
            start_s.append(at_s)
            viewer.append(who)
            item.append(episode)
            goes_on = rng.random() < follows and episode + 1 < items
            episode = episode + 1 if goes_on else int(rng.integers(0, items))
            at_s += 40 * 4.0 + float(rng.uniform(0.0, pause_s))
    order = np.argsort(start_s, kind="stable")
    count = len(order)
    return SegmentLog(
        start_s=np.array(start_s)[order],
        edge=np.zeros(count, dtype=np.int64),
        viewer=np.array(viewer)[order],
        item=np.array(item)[order],
        rendition=np.full(count, 2, dtype=np.int64),
        segments=np.full(count, 40, dtype=np.int64),
        title=np.zeros(items, dtype=np.int64),
        episode=np.arange(items),
        episodes=np.full(items, items, dtype=np.int64),
        item_segments=np.full(items, 40, dtype=np.int64),
        segment_s=4.0,
        launch_s=np.full(items, np.nan),
        kbps=np.tile(np.array([400.0, 1000.0, 2500.0, 5000.0, 8000.0]), (items, 1)),
    )


def write_log(folder: Path, sessions: list[str]) -> tuple[Path, Path]:
    catalog = folder / "catalog.csv"
    rows = [f"{item},0,{item},2,0,-1,{30 + item},4,400,1000,2500,5000,8000" for item in range(2)]
    catalog.write_text("\n".join([CATALOG_HEAD, *rows]) + "\n")
    log = folder / "sessions.csv"
    log.write_text("\n".join([SESSION_HEAD, *sessions]) + "\n")
    return log, catalog


def test_sessions_are_read_in_order_of_their_start(tmp_path: Path) -> None:
    files = write_log(tmp_path, ["9.5,0,70,1,4,0,31", "2,1,3,0,0,0,1"])
    assert files_of(tmp_path) == files
    log = read_segment_log(*files)
    np.testing.assert_array_equal(log.start_s, [2.0, 9.5])
    np.testing.assert_array_equal(log.item, [0, 1])
    np.testing.assert_array_equal(log.viewer, [0, 1])
    assert log.catalogue_bytes == (30 + 31) * 4 * 16_900 * 125
    plays = plays_log(log)
    np.testing.assert_array_equal(plays.episode, [1, 2])
    np.testing.assert_allclose(plays.watched_s, [4.0, 124.0])


@pytest.mark.parametrize(
    "row",
    [
        "9,0,70,2,4,0,1",
        "9,0,70,1,5,0,1",
        "9,0,70,1,4,0,32",
        "9,0,70,1,4,3,1",
        "9,0,70,1,4,0,0",
        "9,0,70,1,4,0",
        "soon,0,70,1,4,0,1",
        "nan,0,70,1,4,0,1",
    ],
)
def test_a_bad_session_is_named_by_its_line(tmp_path: Path, row: str) -> None:
    with pytest.raises(InputError, match="line 3"):
        read_segment_log(*write_log(tmp_path, ["2,1,3,0,0,0,1", row]))


def test_a_folder_without_a_catalogue_is_named(tmp_path: Path) -> None:
    write_log(tmp_path, ["2,1,3,0,0,0,1"])[1].unlink()
    with pytest.raises(InputError, match=r"no catalog\.csv"):
        files_of(tmp_path)


@pytest.mark.parametrize("segments", [1, 7, 15, 1000])
def test_chunks_make_up_the_catalogue(segments: int) -> None:
    log = small_log(50)
    chunks = chunks_of(log, segments)
    assert int(chunks.sizes_bytes.sum()) == log.catalogue_bytes
    assert len(chunks.sizes_bytes) == int((chunks.count * RENDITIONS).sum())


def test_every_session_asks_for_its_chunks_in_order() -> None:
    log = small_log(30)
    log = msgspec.structs.replace(log, segments=np.resize(np.arange(1, 41), len(log.item)))
    chunks = chunks_of(log, 15)
    demand = demand_of(log, chunks, 0)
    expected = sorted(
        (log.start_s[at] + 60.0 * chunk, at, chunk)
        for at in range(len(log.item))
        for chunk in range(-(-int(log.segments[at]) // 15))
    )
    found = sorted(zip(demand.at_s, demand.session, demand.chunk, strict=True))
    assert [(each[1], each[2]) for each in found] == [(each[1], each[2]) for each in expected]
    assert (np.diff(demand.at_s) >= 0.0).all()
    own = log.item[demand.session]
    np.testing.assert_array_equal(
        demand.number, chunks.first[own] + 2 * chunks.count[own] + demand.chunk
    )


class TestReplay:
    """Needs numba, which compiles once and keeps what it compiled."""

    @pytest.fixture(autouse=True)
    def _compiled(self) -> None:
        pytest.importorskip("numba", reason="these replays are compiled by numba")

    def test_with_room_for_everything_only_the_first_request_misses(self) -> None:
        found = study(small_log(), seed=1, models=(), capacity=1.0, counted_from_s=0.0)
        assert found.row(RESIDENCY).byte_miss_ratio == found.row(S3FIFO).byte_miss_ratio
        log = small_log()
        once = len(np.unique(log.item)) / len(log.item)
        assert found.row(S3FIFO).byte_miss_ratio == pytest.approx(once)

    def test_the_same_seed_gives_the_same_figures(self) -> None:
        log = small_log()
        assert self._run(log, seed=3) == self._run(log, seed=3)
        assert self._run(log, seed=3) != self._run(log, seed=4)

    def test_what_will_be_watched_next_is_there(self) -> None:
        log = small_log(600, pause_s=900.0)  # the rule says within half an hour: it is right
        found = study(log, seed=1, models=("rule",), capacity=0.05, counted_from_s=86_400.0)
        rule = found.row("rule")
        assert rule.byte_miss_ratio < 0.4 * found.row(RESIDENCY).byte_miss_ratio
        assert rule.prefetch_precision is not None
        assert rule.prefetch_precision > 0.85

    def test_a_model_that_is_never_right_is_not_believed(self) -> None:
        log = small_log(1200, follows=0.0, pause_s=900.0)
        found = study(log, seed=1, models=("rule",), capacity=0.02, counted_from_s=2 * 86_400.0)
        rule = found.row("rule")
        assert rule.trust is not None
        assert rule.trust < 0.2
        assert rule.prefetched_ratio < 0.25  # 0.7 of it would follow if it were believed
        assert rule.byte_miss_ratio < 1.02 * found.row(RESIDENCY).byte_miss_ratio

    def _run(self, log: SegmentLog, *, seed: int) -> SegmentStudy:
        found = study(log, seed=seed, models=("rule",), capacity=0.03, counted_from_s=0.0)
        return msgspec.structs.replace(found, seed=0)


def test_the_table_fits_80_columns() -> None:
    row = SegmentRow(
        policy="inverted",
        byte_miss_ratio=0.5,
        to_s3fifo=0.9,
        prefetched_ratio=0.1,
        prefetch_precision=None,
        moved_to_s3fifo=1.1,
        trust=0.5,
    )
    found = SegmentStudy(
        sessions=110_308,
        edges=8,
        chunk_requests=5_000_000,
        chunk_segments=15,
        capacity_bytes=606_000_000_000,
        requested_bytes=113 * 10**12,
        seed=1,
        rows=(row,),
    )
    text = list(lines(found, "cache-traces"))
    assert max(map(len, text)) <= 80
    assert any("inverted" in line and "0.900" in line for line in text)
