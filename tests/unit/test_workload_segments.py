import itertools
from pathlib import Path

import numpy as np
import pytest

from predictor.logs.plays import PlaysLog
from simulation.replay.requests import read_requests
from simulation.workload.catalogue import CatalogueSpec
from simulation.workload.generated import generate
from simulation.workload.segments import (
    RUNGS_KBPS,
    SEGMENT_S,
    SegmentRequests,
    segment_requests,
    write_segments,
)


@pytest.fixture(scope="module")
def log() -> PlaysLog:
    return generate(seed=4, viewers=60, days=3.0, catalogue=CatalogueSpec(title_count=200))


@pytest.fixture(scope="module")
def windows(log: PlaysLog) -> list[SegmentRequests]:
    return list(segment_requests(log, 4))


def joined(windows: list[SegmentRequests], name: str) -> np.ndarray:
    return np.concatenate([getattr(window, name) for window in windows])


def test_windows_follow_each_other_in_time(windows: list[SegmentRequests]) -> None:
    assert len(windows) > 10
    t_s = joined(windows, "t_s")
    assert (np.diff(t_s) >= 0).all()


def test_each_play_asks_for_as_many_segments_as_it_lasts(
    log: PlaysLog, windows: list[SegmentRequests]
) -> None:
    expected = np.bincount(log.title, np.ceil(log.watched_s / SEGMENT_S))
    found = np.bincount(joined(windows, "title"), minlength=len(expected))
    np.testing.assert_array_equal(found, expected)


def test_a_segment_has_one_size_at_each_rung(windows: list[SegmentRequests]) -> None:
    names = ("title", "rung", "segment_no", "size_bytes")
    rows = np.stack([joined(windows, name) for name in names], axis=1)
    objects = np.unique(rows[:, :3], axis=0)
    assert len(np.unique(rows, axis=0)) == len(objects) < len(rows)
    for rung, rate_kbps in enumerate(RUNGS_KBPS):
        sizes = rows[rows[:, 1] == rung, 3]
        assert sizes.mean() == pytest.approx(rate_kbps * 125 * SEGMENT_S, rel=0.1)


def test_an_episode_left_is_taken_up_where_it_was_left(
    log: PlaysLog, windows: list[SegmentRequests]
) -> None:
    order = np.lexsort((log.start_s, log.title, log.viewer))
    pairs = [
        (a, b)
        for a, b in itertools.pairwise(order)
        if log.viewer[a] == log.viewer[b]
        and log.title[a] == log.title[b]
        and log.watched_s[a] + log.watched_s[b] < 0.9 * log.runtime_s[a]
    ]
    assert pairs
    t_s, title, number = (joined(windows, name) for name in ("t_s", "title", "segment_no"))
    for a, b in pairs[:20]:
        begins = (title == log.title[b]) & (np.abs(t_s - log.start_s[b]) < 1e-6)
        assert number[begins].min() == int(log.watched_s[a] / SEGMENT_S) + 1


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_the_file_is_one_for_the_cache_replay(tmp_path: Path, log: PlaysLog, ending: str) -> None:
    few = log.take(np.arange(8))
    path = tmp_path / f"segments.{ending}"
    count = write_segments(path, few, 4)
    requests = read_requests(path)
    assert len(requests.objects) == count == int(np.ceil(few.watched_s / SEGMENT_S).sum())
    assert requests.keys[0].split("/")[1:] in [[f"v{rate:g}", "1"] for rate in RUNGS_KBPS]
