"""What the operator wants: limits of device and of data."""

from __future__ import annotations

import numpy as np
import pytest

from abr.controllers.nearcast.wishes import DataCap, usable_rungs
from abr.view import HISTORY, HORIZON, Floats, History, View

LADDER_KBPS = np.array([500.0, 1000.0, 2000.0, 4000.0])
SEGMENT_S = 4.0
CAP_KBPS = 1500.0


def seen(bytes_of: list[list[float]]) -> History:
    """Transfers of these sizes, newest last, all of 2 s."""
    n = len(bytes_of)
    sizes = np.full((n, HISTORY), np.nan)
    for row, each in enumerate(bytes_of):
        kept = each[-HISTORY:]
        sizes[row, HISTORY - len(kept) :] = kept
    took_s = np.where(np.isnan(sizes), np.nan, 2.0)
    return History(
        kbps=sizes * 8 / 2000,
        bytes=sizes,
        duration_s=took_s,
        ttfb_s=took_s * 0,
        gap_s=took_s * 0,
        is_hit=np.zeros((n, HISTORY), dtype=np.bool_),
    )


def view_of(index: list[int], bytes_of: list[list[float]], segment_count: int = 75) -> View:
    n = len(index)
    at = np.array(index)
    some: Floats = np.full(n, 10.0)
    sizes = np.broadcast_to(LADDER_KBPS * 1000 * SEGMENT_S, (n, HORIZON, LADDER_KBPS.size))
    return View(
        session=np.arange(n),
        ladder_kbps=LADDER_KBPS,
        buffer_s=some,
        buffer_limit_s=some + 15,
        durations_s=np.full((n, HORIZON), SEGMENT_S),
        sizes_bits=sizes,
        segment_index=at,
        segments_left=segment_count - at,
        estimate_kbps=some * 1000,
        ttfb_s=some * 0,
        history=seen(bytes_of),
        gap_s=some * 0,
        last_rung=np.zeros(n, dtype=np.int64),
        is_startup=at == 0,
        is_stalled=np.zeros(n, dtype=np.bool_),
    )


def bytes_at(rung: int) -> float:
    return float(LADDER_KBPS[rung] * SEGMENT_S * 125)


@pytest.mark.parametrize(
    ("limit_kbps", "count"), [(0.0, 4), (100.0, 1), (500.0, 1), (2500.0, 3), (4000.0, 4)]
)
def test_device_shows_so_many_rungs_and_always_the_lowest(limit_kbps: float, count: int) -> None:
    assert usable_rungs(LADDER_KBPS, limit_kbps) == count


def test_no_cap_is_off() -> None:
    assert not DataCap(0.0, 1).is_on
    assert DataCap(1.0, 1).is_on


def fetched_at_the_cap(cap: DataCap, segment_count: int) -> list[int]:
    """The rungs of a session that always takes the highest it may."""
    taken: list[int] = []
    for index in range(segment_count):
        view = view_of([index], [[bytes_at(rung) for rung in taken]], segment_count)
        taken.append(int(cap.highest(view)[0]))
    return taken


@pytest.mark.parametrize("segment_count", [15, 75, 300])
def test_greedy_session_ends_with_its_mean_under_the_cap(segment_count: int) -> None:
    taken = fetched_at_the_cap(DataCap(CAP_KBPS, 1), segment_count)
    mean_kbps = LADDER_KBPS[taken].mean()
    assert mean_kbps <= CAP_KBPS
    # Nor is much of it wasted: no more than the step to the next rung, once.
    assert mean_kbps > CAP_KBPS - 4000.0 / segment_count - 20.0


def test_data_borrowed_early_is_given_back_bit_by_bit() -> None:
    taken = fetched_at_the_cap(DataCap(CAP_KBPS, 1), 75)
    rates_kbps = LADDER_KBPS[taken]
    assert rates_kbps[:8].mean() > 1.4 * CAP_KBPS
    assert rates_kbps[-15:].mean() > 0.8 * CAP_KBPS


def test_segment_given_up_counts_by_what_came_of_it() -> None:
    plain, wasteful = DataCap(CAP_KBPS, 1), DataCap(CAP_KBPS, 1)
    few = [bytes_at(0)] * 5
    for cap in (plain, wasteful):
        cap.highest(view_of([5], [few]))
    assert plain.highest(view_of([6], [[*few, bytes_at(0)]])).tolist() == [3]
    came = [*few, 5.0 * bytes_at(3), bytes_at(0)]  # given up, and fetched at the lowest
    assert wasteful.highest(view_of([6], [came])).tolist() == [0]


def test_asked_again_for_the_same_segment_counts_nothing_twice() -> None:
    once, again = DataCap(CAP_KBPS, 1), DataCap(CAP_KBPS, 1)
    came: list[float] = []
    for index in range(12):
        view = view_of([index], [came])
        for _ in range(3):
            rung = int(again.highest(view)[0])
        assert rung == int(once.highest(view)[0])
        came = [*came, bytes_at(rung)]


def test_equal_transfers_are_counted_one_by_one() -> None:
    cap = DataCap(CAP_KBPS, 1)
    rungs = [int(cap.highest(view_of([i], [[bytes_at(2)] * i], 200))[0]) for i in range(60)]
    # 2000 kbit/s of 1500: what may be ahead is used up, and stays so.
    assert rungs[0] == 3
    assert rungs[-1] == 0


def test_sessions_have_data_of_their_own() -> None:
    cap = DataCap(CAP_KBPS, 2)
    for index in range(30):
        view = view_of([index, index], [[bytes_at(0)] * index, [bytes_at(3)] * index])
        highest = cap.highest(view)
    assert highest.tolist() == [3, 0]
    alone = cap.highest(
        view_of([30, 30], [[bytes_at(0)] * 30, [bytes_at(3)] * 30]).take(np.array([1]))
    )
    assert alone.tolist() == [0]
