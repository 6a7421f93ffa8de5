"""From edges' reports to what a plan is made from."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from nearcast.fleet import Storage
from origin.control.held import reckon
from origin.control.ladder import Ladder, titles_of
from origin.control.plan_inputs import plan_inputs
from origin.control.watching import watched_parts
from origin.placement.explain import explain
from origin.placement.inputs import PlanInputs
from origin.placement.planner import make_plan
from origin.placement.settings import PlanSettings
from origin.telemetry.watched import WatchedTitle
from tests.plan_world import (
    NOW_S,
    edge,
    hour,
    inputs_of,
    row,
    title,
    told,
    value,
)


def test_what_is_watched_is_worth_its_bytes_at_the_edge_that_watches() -> None:
    said = told(
        *(row(back, "a", "film", "high", 40_000_000, 1) for back in range(48)),
        *(row(back, "a", "film", "audio-nl", 2_000_000, 0) for back in range(48)),
        *(row(back, "b", "other", "high", 40_000_000, 1) for back in range(48)),
    )
    inputs = inputs_of([title("film"), title("other")], said, ["a", "b"])
    assert value(inputs, "a", "film", "high") > 4 * value(inputs, "a", "film", "low")
    assert value(inputs, "a", "film", "high") > 2 * value(inputs, "b", "film", "high")
    # A viewing takes one sound; the one that was taken is what is expected.
    assert value(inputs, "a", "film", "audio-nl") > 0
    assert value(inputs, "a", "film", "audio-en") == 0
    lengths = value(inputs, "a", "film", "high") / 40e6 + value(inputs, "a", "film", "low") / 10e6
    assert value(inputs, "a", "film", "audio-nl") == pytest.approx(lengths * 2e6, rel=1e-3)
    (first, second) = inputs.edges
    assert first.past_served_bytes == 48 * 42_000_000
    assert second.past_served_bytes == 48 * 40_000_000


def test_a_viewing_is_spread_over_the_rungs_by_their_bytes() -> None:
    said = told(
        *(row(back, "a", "film", "low", 7_500_000, 1) for back in range(30)),
        *(row(back, "a", "film", "high", 10_000_000, 0) for back in range(30)),
    )
    inputs = inputs_of([title("film")], said, ["a"])
    low = value(inputs, "a", "film", "low") / 10e6
    high = value(inputs, "a", "film", "high") / 40e6
    assert low / (low + high) == pytest.approx(0.75, abs=0.1)


def test_who_is_half_through_makes_the_next_episode_worth_more() -> None:
    series = [title(f"e{number}", "Harbour", number) for number in (1, 2, 3)]
    rows = [row(back, "a", "e1", "high", 40_000_000, 2) for back in range(1, 60)]
    without = inputs_of(series, told(*rows), ["a"])
    pending = tuple((hour(back), "a", "e2", 2) for back in range(1, 60))
    then = inputs_of(series, told(*rows, wanted=pending), ["a"])
    assert value(then, "a", "e2", "high") >= value(without, "a", "e2", "high")
    assert value(then, "a", "e2", "high") > value(then, "a", "e3", "high")


def test_nothing_reported_gives_a_plan_that_fetches_nothing() -> None:
    inputs = inputs_of([title("film")], told(), ["a"])
    assert make_plan(inputs).summary.edges[0].fill_bytes == 0


def test_an_edge_that_has_just_joined_is_planned_what_is_popular() -> None:
    titles = [title("film"), title("other")]
    said = told(*(row(back, "a", "film", "high", 40_000_000, 4) for back in range(1, 80)))

    def joined(days_ago: float) -> PlanInputs:
        new = msgspec.structs.replace(edge("b"), enrolled_wall_s=NOW_S - days_ago * 86_400.0)
        settings = PlanSettings(windows=("00:00-24:00",), fill_share=1.0)
        return plan_inputs(
            titles, said, [edge("a"), new], wall_s=NOW_S, history_days=14, settings=settings
        )

    fresh = joined(0.0)
    plan = make_plan(fresh)
    own = plan.edge("b")
    assert own is not None
    (film,) = (file for file in own.files if (file.title, file.rendition) == ("film", "high"))
    assert film.fetch_until_s is None
    assert value(fresh, "b", "film", "high") > 5 * value(fresh, "b", "other", "high")
    (why,) = explain(fresh, plan, "film", rendition="high", edge="b")
    assert "100% of what is expected of it is taken from what other edges" in why.because
    (why,) = explain(fresh, plan, "film", rendition="high", edge="a")
    assert "new" not in why.because
    # And what it is not asked for in its first days is less and less expected of it.
    worth = [value(joined(days), "b", "film", "high") for days in (0.0, 1.0, 2.5)]
    assert worth[0] > 2.5 * worth[1] > 2.5 * 2.5 * worth[2] > 0


def test_an_edge_counts_for_no_more_than_its_link_carries() -> None:
    link_bytes = 125_000_000 * 3_600  # an hour at 1 Gbit/s
    titles = [title("film"), title("other")]

    def said(factor: int) -> PlanInputs:
        rows = [row(1, "a", "film", "high", factor * link_bytes // 4, 4 * factor)]
        rows += [row(1, "a", "other", "high", factor * link_bytes // 4, 4 * factor)]
        rows += [row(1, "b", "film", "high", 40_000_000, 1)]
        return inputs_of(titles, told(*rows), ["a", "b"])

    honest, lying = said(2), said(2_000)
    assert honest.edges[0].past_served_bytes == link_bytes
    assert [edge.past_served_bytes for edge in lying.edges] == [
        edge.past_served_bytes for edge in honest.edges
    ]
    for name in ("a", "b"):
        assert value(lying, name, "film", "high") == value(honest, name, "film", "high")


def test_reports_of_strangers_count_for_nothing() -> None:
    said = told(
        row(1, "gone", "film", "high", 40_000_000, 5),
        row(1, "a", "elsewhere", "high", 40_000_000, 5),
        row(1, "a", "film", "nothing", 40_000_000, 5),
        row(2, "a", "film", "high", 40_000_000, 5),
    )
    inputs = inputs_of([title("film")], said, ["a"])
    assert np.isfinite(inputs.edges[0].value_bytes).all()
    assert inputs.edges[0].past_served_bytes == 3 * 40_000_000


def test_the_same_reports_make_the_same_plan() -> None:
    said = told(*(row(back, "a", "film", "high", 40_000_000, 1) for back in range(48)))
    made = [make_plan(inputs_of([title("film"), title("x")], said, ["a"])) for _ in range(2)]
    assert made[0].plan_id == made[1].plan_id
    assert made[0].summary.edges[0].files > 0


def names_of(inputs: PlanInputs) -> dict[str, set[tuple[str, str]]]:
    return {
        one.edge: {(file.title, file.rendition) for file in one.files}
        for one in make_plan(inputs).edges
    }


def sized(inputs: PlanInputs, **capacity_bytes: int) -> PlanInputs:
    edges = tuple(
        msgspec.structs.replace(
            one,
            profile=msgspec.structs.replace(
                one.profile, capacity_bytes=capacity_bytes.get(one.edge, 10**9)
            ),
        )
        for one in inputs.edges
    )
    return msgspec.structs.replace(inputs, edges=edges)


def test_a_new_installation_places_the_one_title_that_was_played() -> None:
    said = told(row(0, "a", "film", "high", 40_000_000, 1))
    found = names_of(inputs_of([title("film"), title("other")], said, ["a"]))
    assert ("film", "high") in found["a"]


def test_one_title_alone_is_placed_where_it_is_watched() -> None:
    said = told(*(row(back, "a", "film", "high", 40_000_000, 1) for back in range(80)))
    found = names_of(inputs_of([title("film")], said, ["a", "b"]))
    assert ("film", "high") in found["a"]
    assert found["b"] == set()


def test_a_store_larger_than_the_catalogue_takes_what_is_wanted_and_keeps_the_budget() -> None:
    said = told(*(row(back, "a", "film", "high", 40_000_000, 1) for back in range(30)))
    plan = make_plan(sized(inputs_of([title("film"), title("x")], said, ["a"]), a=10**13))
    (one,) = plan.summary.edges
    assert 0 < one.stored_bytes + one.reserved_bytes <= 2 * 54_000_000
    assert one.fill_bytes <= plan.summary.fill_bytes_max


def test_of_two_edges_the_small_one_holds_what_is_worth_most_there() -> None:
    titles = [title(f"film{number}") for number in range(8)]
    said = told(
        *(
            row(back, name, f"film{number}", "high", 40_000_000, 8 - number)
            for back in range(40)
            for name in ("large", "small")
            for number in range(8)
        )
    )
    inputs = sized(inputs_of(titles, said, ["large", "small"]), large=10**12, small=50_000_000)
    found = names_of(inputs)
    assert ("film0", "high") in found["small"]
    assert len(found["small"]) < len(found["large"])
    assert {name for name, _ in found["large"]} == {one.id for one in titles}


def test_an_edge_at_which_nobody_views_for_days_costs_nothing() -> None:
    said = told(*(row(back, "a", "film", "high", 40_000_000, 1) for back in range(80)))
    summary = {
        one.edge: one
        for one in make_plan(inputs_of([title("film")], said, ["a", "idle"])).summary.edges
    }
    assert summary["idle"].fill_bytes == 0
    assert summary["a"].files > 0


def test_what_viewers_pulled_of_a_reserved_place_counts_as_held() -> None:
    said = told(*(row(back, "a", "film", "high", 20_000_000, 1) for back in range(1, 30)))
    none = PlanSettings(windows=("00:00-24:00",), fill_share=0.0)
    first_inputs = msgspec.structs.replace(inputs_of([title("film")], said, ["a"]), settings=none)
    (first,) = make_plan(first_inputs).edges
    (place,) = [file for file in first.files if file.rendition == "high"]
    assert place.fetch_until_s == 0.0
    pulled = np.where(np.array(first_inputs.files.renditions) == "high", 15_000_000.0, 0.0)
    held = reckon(first_inputs.files, first, len(first.files), pulled, None).held
    assert held.sum() == 15_000_000
    (second,) = make_plan(
        msgspec.structs.replace(
            first_inputs,
            edges=(msgspec.structs.replace(first_inputs.edges[0], held_bytes=held),),
        )
    ).edges
    (place,) = [file for file in second.files if file.rendition == "high"]
    assert place.held_bytes == 15_000_000
    emptied = Storage(capacity_bytes=10**9, used_bytes=0)
    assert reckon(first_inputs.files, first, len(first.files), pulled, emptied).held.sum() == 0


def test_the_mean_of_what_was_watched_makes_the_curve() -> None:
    known = titles_of([title("film")], Ladder([title("film")]), 0)
    half = WatchedTitle(title="film", session_count=10, watched_s=7_500.0, duration_s=10_000.0)
    found = watched_parts(known, {"film": 0}, [half])
    assert found[0].sum() == 0.0
    assert found[1].sum() == pytest.approx(10.0)
    assert found[1][-1] == pytest.approx(5.0 + 5.0 / 20)
