"""When a segment under way is given up."""

import numpy as np
import pytest

from abr.abandon import Progress, late_s, lower_rung

SIZES = np.array([100_000.0, 400_000.0, 1_000_000.0])


def progress(received_bytes: int, *, rung: int = 2, first_bytes: int = 0) -> Progress:
    return Progress(
        rung=rung,
        sent_s=9.9,
        first_s=10.0,
        first_bytes=first_bytes,
        received_bytes=received_bytes,
        size_bytes=float(SIZES[rung]),
    )


def test_segment_in_time_goes_on() -> None:
    # 100 kB/s, 800 kB left: 8 s.
    assert lower_rung(progress(200_000), 12.0, patience_s=8.1, sizes_bytes=SIZES, ttfb_s=0) is None


def test_late_segment_is_replaced_by_the_highest_rung_in_time() -> None:
    found = lower_rung(progress(200_000), 12.0, patience_s=5.0, sizes_bytes=SIZES, ttfb_s=0.1)
    assert found == 1  # 4.1 s
    found = lower_rung(progress(200_000), 12.0, patience_s=3.0, sizes_bytes=SIZES, ttfb_s=0.1)
    assert found == 0  # 1.1 s


def test_nothing_in_time_takes_the_lowest_only_if_it_comes_clearly_sooner() -> None:
    early = lower_rung(progress(200_000), 12.0, patience_s=0.5, sizes_bytes=SIZES, ttfb_s=0.1)
    assert early == 0  # 1.1 s against 8 s
    late = lower_rung(progress(890_000), 18.9, patience_s=0.5, sizes_bytes=SIZES, ttfb_s=0.1)
    assert late is None  # 1.1 s against 1.1 s


def test_lowest_rung_is_never_given_up() -> None:
    slow = progress(1_000, rung=0)
    assert lower_rung(slow, 20.0, patience_s=0.0, sizes_bytes=SIZES, ttfb_s=0.0) is None


@pytest.mark.parametrize("is_shrinking", [True, False])
def test_lateness_is_foreseen_to_the_moment(is_shrinking: bool) -> None:
    halted, now_s, patience_s = progress(500_000), 11.0, 6.0
    due_s = late_s(halted, now_s, patience_s=patience_s, is_shrinking=is_shrinking)
    left_then_s = patience_s - (due_s - now_s if is_shrinking else 0.0)
    assert halted.left_s(due_s) == pytest.approx(left_then_s)


def test_whole_segment_is_never_late() -> None:
    assert late_s(progress(1_000_000), 11.0, patience_s=0.0, is_shrinking=True) == float("inf")
