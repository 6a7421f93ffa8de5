"""How a model comes to answer, and how it is taken back."""

from __future__ import annotations

import itertools
import math

import msgspec
import pytest

from edge.models.effects import FetchModel, RememberModels, StartModel, StopModel, SwitchModel
from edge.models.events import (
    ModelFetched,
    ModelLost,
    ModelRefused,
    ModelsFound,
    ModelsOffered,
    ModelUnusable,
    Refusal,
    Remembered,
)
from tests.models_bench import DAY_S, ModelsBench, held, honest, inverted, offer


def test_a_new_model_goes_through_every_state_and_the_one_before_retires() -> None:
    bench = ModelsBench()
    bench.begin()
    bench.shadow(offer("m2"))
    bench.watch(199)
    assert bench.active_name == "local"
    bench.watch(1)
    assert bench.active_name == "m2"
    assert sorted(bench.running.values()) == ["local", "m2"]
    bench.watch(200)
    assert list(bench.running.values()) == ["m2"]
    assert bench.states() == [
        ("local", "verified"),
        ("local", "warmed"),
        ("local", "active"),
        ("m2", "fetched"),
        ("m2", "verified"),
        ("m2", "warmed"),
        ("m2", "shadow"),
        ("m2", "active"),
        ("local", "retired"),
    ]
    assert bench.remembered.active == "m2"


def test_a_shadow_that_is_worse_is_refused_and_never_tried_again() -> None:
    bench = ModelsBench()
    bench.begin()
    wrong = offer("m2")
    bench.shadow(wrong, inverted)
    bench.watch(110)  # that is seen long before the shadow's time is over
    assert list(bench.running.values()) == ["local"]
    assert bench.states()[-1] == ("m2", "refused")
    fetches = len([one for one in bench.done if isinstance(one, FetchModel)])
    bench.feed(ModelsOffered(offers=(wrong,)))
    bench.pass_time(10 * 86_400.0)
    assert len([one for one in bench.done if isinstance(one, FetchModel)]) == fetches
    assert [(one.model_id, one.reason) for one in bench.remembered.refused] == [("m2", "worse")]

    again = ModelsBench()
    again.begin(bench.remembered)
    again.feed(ModelsOffered(offers=(wrong,)))
    assert not [one for one in again.done if isinstance(one, FetchModel)]
    again.feed(ModelsOffered(offers=(offer("m2", sha="b"),)))  # put right by its maker
    assert again.last(FetchModel).offer.manifest_sha256 == "b" * 64


def test_a_poorly_calibrated_shadow_is_refused_though_it_ranks_as_well() -> None:
    bench = ModelsBench()
    bench.begin()
    bench.shadow(offer("m2"), lambda truth: truth**3)
    bench.watch(200)
    assert bench.states()[-1] == ("m2", "refused")
    assert bench.active_name == "local"


def test_a_promoted_model_that_turns_wrong_is_swapped_back_at_once() -> None:
    bench = ModelsBench()
    bench.begin()
    bench.shadow(offer("m2"))
    bench.watch(200)
    assert bench.active_name == "m2"
    starts = len([one for one in bench.done if isinstance(one, StartModel)])
    bench.answers["m2"] = inverted
    bench.watch(150)
    assert bench.active_name == "local"
    assert list(bench.running.values()) == ["local"]
    assert len([one for one in bench.done if isinstance(one, StartModel)]) == starts
    assert bench.states()[-2:] == [("m2", "rolled back"), ("local", "active")]
    assert bench.remembered.active is None
    assert bench.remembered.refused[0].reason == "worse"


def test_a_promoted_model_that_turns_slow_is_swapped_back() -> None:
    bench = ModelsBench()
    bench.begin()
    bench.shadow(offer("m2"))
    bench.watch(200)
    bench.took_s["m2"] = 0.2
    bench.watch(20)
    assert bench.active_name == "local"
    assert bench.remembered.refused[0].reason == "slow"


def test_a_slow_machine_is_no_reason_to_go_back() -> None:
    bench = ModelsBench()
    bench.begin()
    bench.shadow(offer("m2"))
    bench.watch(200)
    bench.took_s.update({"m2": 0.2, "local": 0.15})
    bench.watch(150)
    assert bench.active_name == "m2"


def test_a_model_long_settled_that_declines_makes_room_for_the_one_before() -> None:
    bench = ModelsBench(window=300)
    bench.begin()
    bench.shadow(offer("m2"))
    bench.watch(200)
    bench.watch(200)
    bench.watch(300)
    assert list(bench.running.values()) == ["m2"]
    bench.answers["m2"] = inverted
    bench.watch(200)
    assert bench.active is None  # the rule serves while the other one is started
    run = bench.last(StartModel)
    assert (run.folder, run.is_fetched) == ("default", False)
    bench.ready(run.run_id)
    assert bench.active_name == "local"


def test_going_back_after_two_registry_models_is_to_the_first() -> None:
    bench = ModelsBench()
    bench.begin()
    bench.shadow(offer("m2", 1))
    bench.watch(200)
    bench.watch(200)
    bench.answers["m3"] = honest
    bench.feed(ModelsOffered(offers=(offer("m2", 1), offer("m3", 2))))
    bench.feed(ModelFetched(held=held(offer("m3", 2))))
    bench.ready(bench.last(StartModel).run_id)
    bench.watch(200)
    bench.watch(200)
    assert list(bench.running.values()) == ["m3"]
    assert bench.remembered.previous == "m2"
    assert set(bench.last(RememberModels).kept) == {"m2", "m3"}
    bench.feed(ModelLost(run_id=bench.active or 0, detail="it ended with status -6", is_final=True))
    assert bench.last(StartModel).folder == "/store/models/m2"


@pytest.mark.parametrize("answer", [math.nan, 1.5])
def test_answers_that_are_no_probabilities_end_a_shadow_and_touch_nothing(answer: float) -> None:
    bench = ModelsBench()
    bench.begin()
    bench.shadow(offer("m2"), lambda _: answer)
    bench.watch(4)
    assert list(bench.running.values()) == ["local"]
    assert bench.remembered.refused[0].reason == "errors"
    assert bench.active_name == "local"


def test_a_candidate_that_dies_is_not_started_again() -> None:
    bench = ModelsBench()
    bench.begin()
    run_id = bench.shadow(offer("m2"))
    assert [one.restarts_max for one in bench.done if isinstance(one, StartModel)] == [5, 0]
    switches = [one for one in bench.done if isinstance(one, SwitchModel)]
    bench.feed(ModelLost(run_id=run_id, detail="killed", is_final=True))
    assert [one for one in bench.done if isinstance(one, SwitchModel)] == switches
    assert bench.remembered.refused[0].reason == "failed"


def test_the_active_model_that_dies_on_probation_is_replaced_without_a_restart() -> None:
    bench = ModelsBench()
    bench.begin()
    bench.shadow(offer("m2"))
    bench.watch(200)
    bench.feed(ModelLost(run_id=bench.active or 0, detail="killed", is_final=False))
    assert bench.active_name == "local"


def test_the_only_model_that_dies_is_switched_to_again_when_it_is_back() -> None:
    bench = ModelsBench()
    bench.begin()
    bench.feed(ModelLost(run_id=1, detail="killed", is_final=False))
    assert 1 in bench.running
    assert not bench.lifecycle.figures(0.0).models[0].is_answering
    bench.ready(1)
    assert bench.lifecycle.figures(0.0).models[0].is_answering
    assert [one for one in bench.done if isinstance(one, SwitchModel)] == [
        SwitchModel(run_id=1),
        SwitchModel(run_id=1),
    ]


@pytest.mark.parametrize("reason", ["unsigned", "untrusted", "truncated", "unreachable", "disk"])
def test_what_may_be_put_right_is_tried_again_later_and_less_and_less_often(
    reason: Refusal,
) -> None:
    bench = ModelsBench(poll_s=100.0)
    bench.begin()
    bench.feed(ModelsOffered(offers=(offer("m2"),)))
    times_s = []
    for _ in range(4):
        times_s.append(bench.now_s)
        fetches = len([one for one in bench.done if isinstance(one, FetchModel)])
        bench.feed(ModelRefused(model_id="m2", reason=reason, detail=""))
        deadline_s = bench.lifecycle.deadline_s(bench.now_s)
        assert deadline_s is not None
        bench.pass_time(deadline_s - bench.now_s + 1e-3)
        assert len([one for one in bench.done if isinstance(one, FetchModel)]) == fetches + 1
    gaps_s = [round(b - a) for a, b in itertools.pairwise(times_s)]
    assert gaps_s == [100, 200, 400]
    assert bench.lifecycle.figures(bench.now_s).refusals == {reason: 4}
    assert bench.remembered.refused == ()


@pytest.mark.parametrize("reason", ["schema", "graph", "golden", "memory"])
def test_what_a_model_is_cannot_be_put_right(reason: Refusal) -> None:
    bench = ModelsBench()
    bench.begin()
    bench.feed(ModelsOffered(offers=(offer("m2"),)))
    bench.feed(ModelFetched(held=held(offer("m2"))))
    bench.feed(ModelUnusable(run_id=2, reason=reason, detail="so"))
    assert bench.remembered.refused[0].reason == reason
    assert bench.active_name == "local"
    assert isinstance(bench.last(StopModel), StopModel)


def test_a_withdrawn_model_is_left_for_the_one_before_and_may_come_back() -> None:
    bench = ModelsBench()
    bench.begin()
    bench.shadow(offer("m2"))
    bench.watch(200)
    bench.watch(200)
    bench.feed(ModelsOffered(offers=()))
    bench.ready(bench.last(StartModel).run_id)
    assert bench.active_name == "local"
    assert bench.remembered.refused == ()
    assert bench.lifecycle.figures(bench.now_s).rollbacks == {"withdrawn": 1}


def test_after_a_restart_the_model_of_the_registry_goes_on_unless_another_local_one_is_set() -> (
    None
):
    m2 = offer("m2")
    bench = ModelsBench()
    bench.begin(Remembered(local="default", active="m2"), m2)
    assert bench.active_name == "m2"
    other = ModelsBench()
    other.feed(
        ModelsFound(
            local="default",
            held=(held(m2),),
            remembered=Remembered(local="/models/mine", active="m2"),
        )
    )
    assert other.last(StartModel).folder == "default"


def test_without_any_model_the_first_that_is_good_serves_at_once() -> None:
    bench = ModelsBench()
    bench.feed(ModelsFound(local="default"))
    bench.feed(ModelUnusable(run_id=1, reason="unusable", detail="no onnxruntime"))
    assert bench.last(SwitchModel).run_id is None
    assert "no onnxruntime" in bench.last(SwitchModel).detail
    bench.shadow(offer("m2"))
    assert bench.active_name == "m2"


def test_of_whom_nothing_is_known_stays_a_shadow_however_long_it_takes() -> None:
    bench = ModelsBench(shadow_s_max=1000.0, quiet_outcomes=100)
    bench.begin()
    bench.shadow(offer("m2"))
    for _ in range(20):
        bench.pass_time(1000.0)
        deadline_s = bench.lifecycle.deadline_s(bench.now_s)
        assert deadline_s is None or deadline_s > bench.now_s
    bench.watch(90)
    assert bench.active_name == "local"
    figures = bench.lifecycle.figures(bench.now_s)
    assert (figures.compared_count, figures.decides_count) == (90, 100)


def test_on_a_quiet_node_fewer_outcomes_decide_once_time_is_over() -> None:
    bench = ModelsBench(shadow_s_max=3.5 * DAY_S, quiet_outcomes=100)
    bench.begin()
    bench.shadow(offer("m2"))
    bench.watch(60)
    bench.watch(60)
    assert bench.active_name == "local"
    bench.pass_time(2 * DAY_S)
    assert bench.active_name == "m2"
    bench.pass_time(30 * DAY_S)  # the one before is not let go for nothing
    assert sorted(bench.running.values()) == ["local", "m2"]
    bench.watch(60)
    bench.watch(60)
    assert list(bench.running.values()) == ["m2"]


def test_who_says_so_lets_time_alone_decide() -> None:
    bench = ModelsBench(shadow_s_max=1000.0, quiet_outcomes=0)
    bench.begin()
    bench.shadow(offer("m2"))
    bench.pass_time(999.0)
    assert bench.active_name == "local"
    bench.pass_time(1.0)
    assert bench.active_name == "m2"
    bench.pass_time(1000.0)
    assert list(bench.running.values()) == ["m2"]


@pytest.mark.parametrize("horizon_index", [0, 1])
def test_a_shadow_that_is_wrong_about_one_horizon_is_refused(horizon_index: int) -> None:
    def wrong(truth: float) -> tuple[float, ...]:
        return tuple(1.0 - truth if index == horizon_index else truth for index in range(3))

    bench = ModelsBench()
    bench.begin()
    bench.shadow(offer("m2"), wrong)
    bench.watch(200)
    assert bench.active_name == "local"
    assert bench.remembered.refused[0].reason == "worse"


def test_what_a_model_says_of_the_week_is_found_out_after_a_week() -> None:
    bench = ModelsBench()
    bench.begin()
    bench.shadow(offer("m2"), lambda truth: (truth, truth, 1.0 - truth))
    bench.watch(200)
    bench.watch(200)
    assert bench.active_name == "m2"
    for _ in range(6):
        bench.pass_time(DAY_S)
    assert bench.remembered.refused[0].reason == "worse"
    assert "7 d" in bench.remembered.refused[0].detail


@pytest.mark.parametrize("said", [0.01, 0.05, 0.1, 0.95, 0.99])
def test_the_only_model_is_given_up_when_it_never_was_any_good(said: float) -> None:
    """Half of the viewers go on."""
    bench = ModelsBench()
    bench.answers["local"] = lambda _: said
    bench.begin()
    bench.watch(199)
    assert bench.active_name == "local"
    bench.watch(201)
    assert bench.active_name is None
    assert bench.lifecycle.figures(bench.now_s).rollbacks == {"worse": 1}
    assert "log-loss" in bench.last(SwitchModel).detail


def test_a_model_no_better_than_the_share_alone_may_go_on() -> None:
    bench = ModelsBench()
    bench.answers["local"] = lambda _: 0.55
    bench.begin()
    for _ in range(20):
        bench.watch(100)
    assert bench.active_name == "local"


def test_of_two_that_are_no_good_neither_stays() -> None:
    bench = ModelsBench()
    bench.answers["local"] = lambda _: 0.02
    bench.begin()
    bench.shadow(offer("m2"), lambda _: 0.02)
    bench.watch(200)
    bench.watch(200)
    assert bench.active_name is None
    assert not bench.running


def test_an_older_model_is_left_alone() -> None:
    bench = ModelsBench()
    bench.begin()
    bench.shadow(offer("m2", 5))
    bench.watch(200)
    bench.watch(200)
    fetches = len([one for one in bench.done if isinstance(one, FetchModel)])
    bench.feed(ModelsOffered(offers=(offer("m2", 5), offer("m1", 4))))
    assert len([one for one in bench.done if isinstance(one, FetchModel)]) == fetches


def test_a_model_of_another_kind_is_left_alone() -> None:
    bench = ModelsBench()
    bench.begin()
    other = msgspec.structs.replace(offer("m2"), kind="recommend")
    bench.feed(ModelsOffered(offers=(other,)))
    bench.pass_time(DAY_S)
    assert not [one for one in bench.done if isinstance(one, FetchModel)]


def test_the_active_model_that_dies_once_does_not_hand_over_to_an_unproven_one() -> None:
    bench = ModelsBench()
    bench.begin()
    bench.shadow(offer("m2"))
    bench.feed(ModelLost(run_id=1, detail="killed", is_final=False))
    assert sorted(bench.running.values()) == ["local", "m2"]
    bench.ready(1)
    assert bench.active_name == "local"
    bench.feed(ModelLost(run_id=1, detail="killed", is_final=True))
    assert bench.active_name == "m2"  # but when there is no other


def test_a_candidate_that_is_still_loading_makes_room_for_the_model_to_go_back_to() -> None:
    bench = ModelsBench()
    bench.begin()
    bench.shadow(offer("m2", 1))
    bench.watch(200)
    bench.watch(200)
    bench.answers["m3"] = honest
    bench.feed(ModelsOffered(offers=(offer("m2", 1), offer("m3", 2))))
    bench.feed(ModelFetched(held=held(offer("m3", 2))))
    bench.feed(ModelLost(run_id=bench.active or 0, detail="killed", is_final=True))
    assert list(bench.running.values()) == ["local"]
    bench.ready(bench.last(StartModel).run_id)
    assert bench.active_name == "local"
    assert bench.last(FetchModel).offer.model_id == "m3"


def test_a_model_that_is_not_what_it_was_listed_as_is_refused() -> None:
    bench = ModelsBench()
    bench.begin()
    bench.feed(ModelsOffered(offers=(offer("m2"),)))
    bench.feed(ModelFetched(held=held(offer("m2"))))
    bench.running[2] = "m7"
    bench.ready(2)
    assert bench.lifecycle.figures(0.0).refusals == {"changed": 1}


def test_an_active_model_that_errs_is_given_up_while_a_shadow_runs_too() -> None:
    bench = ModelsBench()
    bench.begin()
    bench.shadow(offer("m2"))
    bench.answers["local"] = lambda _: math.nan
    bench.watch(4)
    assert bench.active_name == "m2"
    assert list(bench.running.values()) == ["m2"]
    assert bench.lifecycle.figures(bench.now_s).rollbacks == {"errors": 1}


def test_a_model_that_is_slow_on_its_golden_rows_never_answers() -> None:
    bench = ModelsBench()
    bench.begin()
    bench.feed(ModelsOffered(offers=(offer("m2"),)))
    bench.feed(ModelFetched(held=held(offer("m2"))))
    bench.ready(2, warm_s=1.0)
    assert list(bench.running.values()) == ["local"]
    assert bench.lifecycle.figures(0.0).refusals == {"slow": 1}


def test_a_slow_shadow_is_found_out_before_anything_is_known_of_what_it_said() -> None:
    bench = ModelsBench()
    bench.begin()
    bench.took_s["m2"] = 0.2
    bench.shadow(offer("m2"))
    bench.ask(110)
    assert list(bench.running.values()) == ["local"]
    assert bench.lifecycle.figures(0.0).refusals == {"slow": 1}
