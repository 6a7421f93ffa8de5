"""What a plan changes, why it is so, and whether an edge can follow it."""

import msgspec
import numpy as np
import pytest

from nearcast.errors import InputError
from nearcast.fleet import EdgeProfile, Storage
from origin.control.held import reckon
from origin.placement.diff import diff_plans
from origin.placement.explain import Explained, explain
from origin.placement.files import FileEntry, Files, files_of
from origin.placement.inputs import EdgeInput, PlanInputs
from origin.placement.planner import make_plan
from origin.placement.room import edges_without_room, why_no_room
from origin.placement.settings import PlanSettings
from origin.placement.summary import Plan

MB = 1_000_000
WALL_S = 1_700_006_400.0
VALUES = {"a": 900.0, "b": 500.0, "c": 300.0, "d": 0.0}


def catalogue() -> Files:
    return files_of(
        FileEntry(
            title=name,
            rendition="v",
            manifest=f"/media/{name}/manifest.mpd",
            size_bytes=100 * MB,
            head_bytes=10 * MB,
            head_s=60.0,
        )
        for name in VALUES
    )


def an_edge(name: str, cluster: str = "", **more: object) -> EdgeInput:
    values = np.array(list(VALUES.values())) * MB
    edge = EdgeInput(
        edge=name,
        profile=EdgeProfile(url=f"http://{name}.example", cluster=cluster, capacity_bytes=200 * MB),
        value_bytes=values,
        head_value_bytes=values * 0.1,
        served_bytes=1e9,
        past_served_bytes=1e9,
    )
    return msgspec.structs.replace(edge, **more)


def inputs_of(*edges: EdgeInput, **settings: object) -> PlanInputs:
    wishes = PlanSettings(pinned_share=1.0, fill_share=1.0, churn_share=1.0, spread=0.0)
    return PlanInputs(
        files=catalogue(),
        edges=edges,
        wall_s=WALL_S,
        settings=msgspec.structs.replace(wishes, **settings),
    )


def names(plan: Plan, edge: str) -> list[str]:
    one = plan.edge(edge)
    assert one is not None
    return [file.title for file in one.files]


def why(inputs: PlanInputs, plan: Plan, title: str, edge: str) -> Explained:
    (answer,) = explain(inputs, plan, title, edge=edge)
    return answer


def test_a_plan_holds_what_saves_most() -> None:
    assert names(make_plan(inputs_of(an_edge("one"))), "one") == ["a", "b"]


def test_a_diff_tells_what_comes_goes_and_stays() -> None:
    first_inputs = inputs_of(an_edge("one"))
    first = make_plan(first_inputs)
    values = np.array([900.0, 100.0, 800.0, 0.0]) * MB
    held = reckon(
        first_inputs.files, first.edge("one"), 2, np.zeros(len(first_inputs.files)), None
    ).held
    second = make_plan(
        inputs_of(
            an_edge("one", value_bytes=values, head_value_bytes=values * 0.1, held_bytes=held)
        )
    )
    found = diff_plans(first.edges, second)
    assert (found.before_id, found.plan_id) == (first.plan_id, second.plan_id)
    (edge,) = found.edges
    assert (edge.added_bytes, edge.removed_bytes, edge.kept_bytes) == (100 * MB,) * 3
    assert edge.fill_bytes == 100 * MB
    assert [(one.title, one.change) for one in edge.changes] == [("c", "added"), ("b", "removed")]
    assert edge.value_bytes > edge.value_bytes_before * 1.2
    assert edge.windows == second.edges[0].windows != ()


def test_a_diff_against_nothing_adds_all_and_an_edge_that_left_is_gone() -> None:
    both = make_plan(inputs_of(an_edge("one"), an_edge("two")))
    assert diff_plans((), both).added_bytes == 400 * MB
    one_left = make_plan(inputs_of(an_edge("one")))
    found = {edge.edge: edge for edge in diff_plans(both.edges, one_left).edges}
    assert found["two"].is_gone
    assert found["two"].removed_bytes == 200 * MB
    assert not found["one"].changes


def test_it_is_told_why_a_file_is_there_or_not() -> None:
    inputs = inputs_of(an_edge("one"))
    plan = make_plan(inputs)
    there, not_there, unwanted = (why(inputs, plan, name, "one") for name in ("a", "c", "d"))
    assert there.is_planned
    assert there.runner_up is not None
    assert there.runner_up.title == "c"
    assert "100.0 MB to fetch from the origin" in there.because
    assert not not_there.is_planned
    assert not_there.runner_up is not None
    assert not_there.runner_up.title == "b"
    assert not_there.binding == ("storage",)
    assert "short is storage" in not_there.because
    assert not_there.worth == 3.0 <= not_there.cut_off
    assert "nobody" in unwanted.because


def test_a_cluster_holds_a_file_once_and_says_where() -> None:
    inputs = inputs_of(an_edge("one", "k"), an_edge("two", "k"))
    plan = make_plan(inputs)
    assert sorted(names(plan, "one") + names(plan, "two")) == ["a", "b", "c"]
    answers = explain(inputs, plan, "a")
    (there,) = [one for one in answers if one.is_planned]
    (elsewhere,) = [one for one in answers if not one.is_planned]
    assert elsewhere.holders == (there.edge,)
    assert f"{there.edge} of the same cluster is to fetch it" in elsewhere.because
    held = msgspec.structs.replace(
        inputs,
        edges=tuple(
            msgspec.structs.replace(edge, held_bytes=np.array([100 * MB, 0, 0, 0]))
            if edge.edge == there.edge
            else edge
            for edge in inputs.edges
        ),
    )
    later = why(held, plan, "a", elsewhere.edge)
    assert f"{there.edge} of the same cluster has it" in later.because
    assert elsewhere.site_expected_bytes == pytest.approx(1800.0 * MB)


def test_what_a_peer_holds_is_fetched_from_it() -> None:
    held = np.array([100 * MB, 0, 0, 0])
    leaving = an_edge("one", "k", duty="draining", held_bytes=held)
    plan = make_plan(inputs_of(leaving, an_edge("two", "k")))
    two = plan.edge("two")
    assert two is not None
    assert names(plan, "one") == ["a"]  # it stays until the operator removes it
    assert {file.title: file.from_edges for file in two.files}["a"] == ("one",)
    assert [peer.url for peer in two.peers] == ["http://one.example"]


def test_of_a_region_one_cluster_goes_ahead() -> None:
    def in_region(name: str) -> EdgeInput:
        edge = an_edge(name)
        return msgspec.structs.replace(
            edge, profile=msgspec.structs.replace(edge.profile, region="north")
        )

    plan = make_plan(inputs_of(in_region("one"), in_region("two"), in_region("three")))
    sources = [
        {file.title: len(file.from_edges) for file in one.files if file.title == "a"}["a"]
        for one in plan.edges
    ]
    assert sorted(sources) == [0, 1, 1]


def test_a_full_disk_is_given_nothing_to_fetch_and_refuses_a_plan_that_does() -> None:
    failing = Storage(capacity_bytes=200 * MB, is_failing=True)
    held = np.array([0, 0, 100 * MB, 0])
    inputs = inputs_of(an_edge("one", storage=failing, held_bytes=held))
    plan = make_plan(inputs)
    assert names(plan, "one") == ["c"]
    assert plan.edges[0].fill_bytes_max == 0
    assert "takes no writes" in plan.summary.edges[0].refusal
    assert "takes no writes" in why(inputs, plan, "a", "one").because
    assert why_no_room(plan.edges[0], failing) == ""
    before = make_plan(inputs_of(an_edge("one")))
    (reason,) = edges_without_room(before, {"one": failing})
    assert reason.startswith("one: its disk takes no writes")
    (reason,) = edges_without_room(before, {"one": Storage(capacity_bytes=50 * MB)})
    assert "make a new plan" in reason


def test_an_unknown_title_or_edge_is_said_to_be() -> None:
    inputs = inputs_of(an_edge("one"))
    plan = make_plan(inputs)
    with pytest.raises(InputError, match="no file 'x v'"):
        explain(inputs, plan, "x", rendition="v")
    with pytest.raises(InputError, match="no edge 'nine'"):
        explain(inputs, plan, "a", edge="nine")


def test_there_are_bytes_for_the_manifests_of_what_is_fetched() -> None:
    (one,) = make_plan(inputs_of(an_edge("one"))).edges
    assert 200 * MB + 2 * 16_000 <= one.fill_bytes_max <= 201 * MB


def test_what_is_left_of_a_small_common_budget_is_spent() -> None:
    edges = [an_edge(name, past_served_bytes=0.0) for name in ("one", "two", "three")]
    plan = make_plan(inputs_of(*edges, fill_share=0.15))  # 450 MB; each wants two files of 100
    assert sum(edge.fill_bytes for edge in plan.summary.edges) == 400 * MB


def test_plans_do_not_spend_the_fill_budget_anew() -> None:
    def fetched(past: float) -> int:
        edge = an_edge("one", past_filled_bytes=past, past_served_bytes=0.0)
        return make_plan(inputs_of(edge, fill_share=0.25)).summary.edges[0].fill_bytes

    assert fetched(0.0) == 200 * MB
    assert fetched(100.0 * MB) == 100 * MB  # of 150 MB, one file
    assert fetched(250.0 * MB) == 0
