"""Planned fetching is held to the plan; the property test has random links."""

import msgspec
import pytest

from nearcast.fill_window import FillClock
from nearcast.placement import EdgePlan, FillWindow

KBPS = 8_000.0  # a million bytes a second


def a_plan(number: int = 1, **changes: object) -> EdgePlan:
    plan = EdgePlan(
        plan_id=f"{number:064x}",
        edge="ams1",
        made_wall_s=1_000.0,
        valid_from_wall_s=1_000.0,
        valid_until_wall_s=2_000.0,
        pinned_bytes_max=10**9,
        fill_bytes_max=10_000_000,
        fill_kbps_max=KBPS,
        windows=(
            FillWindow(from_wall_s=1_100.0, until_wall_s=1_110.0),
            FillWindow(from_wall_s=1_500.0, until_wall_s=1_600.0),
        ),
        files=(),
    )
    return msgspec.structs.replace(plan, **changes)


def following(plan: EdgePlan, spent_bytes: int = 0) -> FillClock:
    clock = FillClock()
    clock.follow(plan, spent_bytes=spent_bytes)
    return clock


def test_nothing_is_granted_without_a_plan_or_outside_its_windows() -> None:
    assert FillClock().take(65_536, 1_105.0) is None
    assert FillClock().next_s(1_105.0) is None
    clock = following(a_plan())
    assert clock.take(65_536, 1_099.0) is None
    assert clock.next_s(1_099.0) == pytest.approx(1_100.0 + 16_384 / 1e6)
    assert clock.take(65_536, 1_101.0) is not None
    assert clock.take(65_536, 1_110.0) is None
    assert clock.next_s(1_601.0) is None


def test_a_second_of_rate_is_all_that_gathers() -> None:
    clock = following(a_plan())
    grant = clock.take(10**9, 1_109.0)
    assert grant is not None
    assert grant.size_bytes == 1_000_000
    assert grant.until_wall_s == 1_110.0
    assert clock.take(65_536, 1_109.0) is None


def test_what_did_not_come_may_be_asked_for_again() -> None:
    clock = following(a_plan())
    grant = clock.take(500_000, 1_101.0)
    assert grant is not None
    clock.settle(grant, 100_000, 1_101.0)
    assert clock.spent_bytes == 100_000
    again = clock.take(10**9, 1_101.0)
    assert again is not None
    assert again.size_bytes == 900_000


def test_what_an_earlier_window_granted_is_no_use_in_a_later_one() -> None:
    clock = following(a_plan())
    grant = clock.take(1_000_000, 1_105.0)
    assert grant is not None
    assert clock.take(65_536, 1_500.0) is None
    clock.settle(grant, 0, 1_500.01)
    assert clock.take(65_536, 1_500.01) is None
    assert clock.take(10_000, 1_500.03) is not None


def test_what_was_spent_before_a_restart_counts() -> None:
    clock = following(a_plan(), spent_bytes=9_950_000)
    assert clock.left_bytes == 50_000
    grant = clock.take(65_536, 1_105.0)
    assert grant is not None
    assert grant.size_bytes == 50_000
    clock.settle(grant, 50_000, 1_105.1)
    assert clock.next_s(1_105.1) is None


def test_getting_the_same_plan_again_changes_nothing() -> None:
    clock = following(a_plan())
    grant = clock.take(65_536, 1_101.0)
    assert grant is not None
    clock.settle(grant, 65_536, 1_101.0)
    clock.follow(a_plan())
    assert clock.spent_bytes == 65_536


def test_a_new_plan_has_bytes_of_its_own_and_the_same_link() -> None:
    clock = following(a_plan())
    grant = clock.take(1_000_000, 1_105.0)
    assert grant is not None
    clock.follow(a_plan(2))
    assert clock.take(65_536, 1_105.0) is None  # what is open still counts against the rate
    clock.settle(grant, 1_000_000, 1_105.5)
    assert clock.spent_bytes == 0  # it was the plan's before


def test_a_file_that_is_begun_should_fit_the_window() -> None:
    clock = following(a_plan())
    assert clock.room_bytes(1_108.0) == 2_000_000
    assert clock.room_bytes(1_510.0) == 10_000_000
    assert clock.room_bytes(1_200.0) == 0


def test_a_clock_set_back_gives_nothing_twice() -> None:
    clock = following(a_plan())
    assert clock.take(1_000_000, 1_109.0) is not None
    assert clock.take(65_536, 1_101.0) is None


def test_windows_end_with_the_plan() -> None:
    clock = following(a_plan(valid_until_wall_s=1_105.0))
    grant = clock.take(65_536, 1_104.0)
    assert grant is not None
    assert grant.until_wall_s == 1_105.0
    assert clock.take(65_536, 1_105.0) is None
