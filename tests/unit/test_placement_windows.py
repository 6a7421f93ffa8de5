"""Local hours become windows of absolute time."""

import pytest

from nearcast.local_time import UTC, fixed
from nearcast.placement import FillWindow
from nearcast.units import DAY_S, HOUR_S
from origin.placement.windows import WINDOWS_MAX, fill_windows, open_s, parse_window

MIDNIGHT_S = 1_700_006_400.0  # 00:00 UTC


def hours(*pairs: tuple[float, float]) -> tuple[FillWindow, ...]:
    return tuple(
        FillWindow(from_wall_s=MIDNIGHT_S + a * HOUR_S, until_wall_s=MIDNIGHT_S + b * HOUR_S)
        for a, b in pairs
    )


def during(texts: list[str], offset_h: float, start_h: float, end_h: float) -> object:
    return fill_windows(
        texts, fixed(offset_h), MIDNIGHT_S + start_h * HOUR_S, MIDNIGHT_S + end_h * HOUR_S
    )


def test_the_base_is_midnight() -> None:
    assert MIDNIGHT_S % DAY_S == 0


def test_each_day_has_its_window() -> None:
    assert during(["02:00-08:00"], 0.0, 0, 48) == hours((2, 8), (26, 32))


def test_windows_are_local_to_the_edge() -> None:
    assert during(["02:00-08:00"], 2.0, 0, 24) == hours((0, 6))
    assert during(["02:00-08:00"], -3.5, 0, 24) == hours((5.5, 11.5))


def test_a_window_goes_over_midnight() -> None:
    assert during(["22:30-06:00"], 0.0, 0, 24) == hours((0, 6), (22.5, 24))


def test_what_is_open_when_the_plan_begins_or_ends_is_cut() -> None:
    assert during(["02:00-08:00"], 0.0, 5, 27) == hours((5, 8), (26, 27))


def test_windows_that_touch_are_one() -> None:
    assert during(["02:00-05:00", "04:00-06:00", "06:00-07:00"], 0.0, 0, 24) == hours((2, 7))
    assert during(["00:00-24:00"], 1.0, 0, 72) == hours((0, 72))


def test_there_are_no_more_than_a_plan_may_have() -> None:
    found = fill_windows(["02:00-08:00"], UTC, MIDNIGHT_S, MIDNIGHT_S + 100 * DAY_S)
    assert len(found) == WINDOWS_MAX
    assert open_s(found) == WINDOWS_MAX * 6 * HOUR_S


@pytest.mark.parametrize("text", ["", "2-8", "02:00", "25:00-08:00", "02:60-08:00", "02:00-24:30"])
def test_what_is_no_window_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match=":"):
        parse_window(text)
