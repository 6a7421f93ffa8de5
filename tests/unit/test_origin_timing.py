from __future__ import annotations

from fractions import Fraction

import pytest

from origin.catalog import VIDEO_HZ
from origin.packaging.timing import Boundaries, Placed


def place(times_s: list[float], segment_s: float = 2.0) -> tuple[Boundaries, list[Placed]]:
    boundaries = Boundaries(segment_s)
    placed = [p for t in times_s for p in boundaries.place(round(t * VIDEO_HZ))]
    return boundaries, placed


@pytest.mark.parametrize("rate", [10, 12.5, 25, Fraction(179, 6), Fraction(30000, 1001), 60])
def test_segments_start_with_the_first_picture_of_each_period(rate: Fraction | float) -> None:
    times = [float(index / Fraction(rate)) for index in range(round(20 * rate))]

    boundaries, placed = place(times)

    assert len(placed) == len(times)
    assert not any(p.is_repeat for p in placed)
    for number, start in enumerate(boundaries.starts):
        assert 0 <= start / VIDEO_HZ - 2 * number <= float(1 / Fraction(rate))


def test_times_rounded_to_a_millisecond_do_not_lose_a_period() -> None:
    boundaries, _ = place([round(index / 30, 3) - 0.001 * (index % 2) for index in range(300)])

    assert len(boundaries.starts) == 5


def test_a_frozen_picture_is_repeated_where_a_segment_would_be_missing() -> None:
    boundaries, placed = place([0.0, 0.04, 9.0, 9.04])

    assert [start / VIDEO_HZ for start in boundaries.starts] == [0, 2, 4, 6, 8]
    assert [p.is_repeat for p in placed] == [False, False, True, True, True, True, False, False]
    assert [p.pts for p in placed] == sorted({p.pts for p in placed})


def test_holding_the_last_picture_fills_segments_up_to_the_end() -> None:
    boundaries, _ = place([0.0, 1.0])
    interval = VIDEO_HZ // 25

    held = list(boundaries.hold(VIDEO_HZ, 7 * VIDEO_HZ, interval))

    assert [start / VIDEO_HZ for start in boundaries.starts] == [0, 2, 4, 6]
    assert held[-1].pts == 7 * VIDEO_HZ - interval
    assert not held[-1].is_start


def test_a_single_picture_is_a_segment() -> None:
    boundaries, placed = place([0.0])

    assert boundaries.starts == [0]
    assert placed == [Placed(0, is_start=True, is_repeat=False)]
