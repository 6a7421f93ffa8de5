"""When the clock makes a plan, and which plans can be put in force."""

from __future__ import annotations

from typing import Any

import pytest

from nearcast.fleet import EdgeProfile, Storage
from nearcast.placement import EdgePlan, FillWindow
from origin.control.plan_checks import REASONS_SHOWN_MAX, why_not_apply
from origin.control.plan_times import REPLAN_S, KnownPlan, is_due, may_try_wall_s
from origin.placement.room import room_of
from origin.placement.settings import PlanSettings
from origin.placement.summary import Plan, PlanSummary

NOW_S = 1_800_000_000.0
HOUR_S = 3_600.0
EDGES = frozenset({"ams-1", "ber-1"})


def known(made_wall_s: float, **fields: Any) -> KnownPlan:
    given = {"valid_until_wall_s": made_wall_s + 36 * HOUR_S, "edges": EDGES, "file_count": 9}
    return KnownPlan(made_wall_s=made_wall_s, **{**given, **fields})


def due(*plans: KnownPlan, edges: frozenset[str] = EDGES, applies: bool = True) -> bool:
    return is_due(plans, edges=edges, wall_s=NOW_S, interval_s=6 * HOUR_S, applies=applies)


def test_the_first_plan_is_due_at_once_and_the_next_after_the_interval() -> None:
    assert due()
    assert not due(known(NOW_S - 5 * HOUR_S))
    assert due(known(NOW_S - 6 * HOUR_S))


def test_a_plan_somebody_put_in_force_counts_as_one_of_the_clocks() -> None:
    assert not due(known(NOW_S - 9 * HOUR_S), known(NOW_S - HOUR_S))
    assert due(known(NOW_S - 9 * HOUR_S), known(NOW_S - 7 * HOUR_S))


def test_edges_that_come_or_go_an_empty_plan_and_a_refused_one_bring_the_next_sooner() -> None:
    assert due(known(NOW_S - HOUR_S), edges=EDGES | {"par-1"})
    assert due(known(NOW_S - HOUR_S, file_count=0))
    assert due(known(NOW_S - HOUR_S, is_proposed=True))
    assert not due(known(NOW_S - HOUR_S, is_proposed=True), applies=False)
    overtaken = known(NOW_S - HOUR_S, is_proposed=True)
    by_another = known(NOW_S - HOUR_S - 9.0, applied_wall_s=NOW_S - HOUR_S + 1.0)
    assert not due(overtaken, by_another)
    just_now = known(NOW_S - REPLAN_S + 1, is_proposed=True, file_count=0, edges=frozenset())
    assert not due(just_now)


def test_a_plan_of_a_clock_that_was_ahead_stops_no_other() -> None:
    ahead = known(NOW_S + 9 * HOUR_S)
    assert due(ahead)
    assert due(ahead, known(NOW_S - 7 * HOUR_S))
    assert not due(ahead, known(NOW_S - HOUR_S))
    assert not due(known(NOW_S + 60.0)), "origins' clocks differ by seconds"


def test_a_plan_of_short_validity_is_followed_before_it_ends() -> None:
    made_wall_s = NOW_S - 2 * HOUR_S
    assert due(known(made_wall_s, valid_until_wall_s=made_wall_s + 4 * HOUR_S))
    assert not due(known(made_wall_s, valid_until_wall_s=made_wall_s + 5 * HOUR_S))


def test_failures_are_tried_again_ever_later_up_to_the_interval() -> None:
    pauses_s = [may_try_wall_s(NOW_S, count, 6 * HOUR_S) - NOW_S for count in range(2_000)]
    assert pauses_s[:4] == [300.0, 600.0, 1_200.0, 2_400.0]
    assert set(pauses_s[7:]) == {6 * HOUR_S}
    assert may_try_wall_s(NOW_S, 5, 1.0) - NOW_S == REPLAN_S


def plan(*edges: str) -> Plan:
    window = FillWindow(from_wall_s=NOW_S, until_wall_s=NOW_S + HOUR_S)
    summary = PlanSummary(
        plan_id="ab", made_wall_s=NOW_S, valid_from_wall_s=NOW_S,
        valid_until_wall_s=NOW_S + HOUR_S, settings=PlanSettings(), file_count=0,
        fill_bytes_max=0, fill_price=0.0, edges=(),
    )  # fmt: skip
    plans = tuple(
        EdgePlan(
            plan_id="ab", edge=edge, made_wall_s=NOW_S, valid_from_wall_s=NOW_S,
            valid_until_wall_s=NOW_S + HOUR_S, pinned_bytes_max=90, fill_bytes_max=10,
            fill_kbps_max=1.0, windows=(window,), files=(),
        )
        for edge in edges
    )  # fmt: skip
    return Plan(edges=plans, summary=summary)


def test_a_plan_that_is_over_or_has_no_room_is_not_put_in_force() -> None:
    roomy, failing = Storage(capacity_bytes=100), Storage(capacity_bytes=100, is_failing=True)
    assert why_not_apply(plan("ams-1"), {"ams-1": roomy}, NOW_S) is None
    assert why_not_apply(plan("ams-1"), {"other": failing}, NOW_S) is None
    over = why_not_apply(plan("ams-1"), {}, NOW_S + HOUR_S)
    assert over is not None
    assert over.reason == "expired"
    no_room = why_not_apply(plan("ams-1", "ber-1"), {"ams-1": roomy, "ber-1": failing}, NOW_S)
    assert no_room is not None
    assert no_room.reason == "no_room"
    assert "ber-1" in no_room.detail
    assert "ams-1" not in no_room.detail


@pytest.mark.parametrize(
    ("promised", "said", "is_refused"),
    [(90, 100, False), (80, 100, True), (100, 80, True), (80, None, True), (90, None, False)],
)
def test_an_edge_has_no_more_room_than_its_profile_and_its_disk(
    promised: int, said: int | None, is_refused: bool
) -> None:
    profile = EdgeProfile(url="http://192.0.2.1:80", capacity_bytes=promised)
    room = room_of(profile, None if said is None else Storage(capacity_bytes=said))
    assert (why_not_apply(plan("ams-1"), {"ams-1": room}, NOW_S) is not None) == is_refused


@pytest.mark.parametrize("count", [REASONS_SHOWN_MAX, REASONS_SHOWN_MAX + 3])
def test_of_many_edges_without_room_a_few_are_named(count: int) -> None:
    names = [f"e{no}" for no in range(count)]
    storages = {name: Storage(capacity_bytes=1) for name in names}
    no = why_not_apply(plan(*names), storages, NOW_S)
    assert no is not None
    assert ("and 3 edges more" in no.detail) == (count > REASONS_SHOWN_MAX)
