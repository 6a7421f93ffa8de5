"""From what viewers took up to beginnings fetched ahead, through the whole core."""

from __future__ import annotations

import pytest

from edge.config import PrefetchConfig, TitlesConfig
from edge.effects import CancelFill, ServeObject
from edge.events import CatalogLearned, ForgetViewer, ModelChanged, Predicted
from edge.prefetch.wording import lines
from edge.titles.events import NotRecommended, TitlesModelChanged
from tests.edge_world import CATALOG_URL, World, episode_catalog
from tests.titles_world import Cinema

LOW_START = [
    "manifest.mpd",
    "low/init.mp4",
    "sound/init.mp4",
    "low/1.m4s",
    "sound/1.m4s",
]


def start_of(film: str) -> list[str]:
    return [f"/media/{film}/{name}" for name in LOW_START]


def test_towards_the_end_of_a_film_the_beginning_of_the_likeliest_is_fetched() -> None:
    world = Cinema()
    world.watch(1, 31.0)
    assert world.asked[-1].history == ("e1",)
    assert world.prefetched() == []
    world.say(e3=0.9, e2=0.01)
    assert world.prefetched() == start_of("e3")
    world.watch_on(1, 40.0)
    for path in LOW_START:
        assert isinstance(world.get(f"/media/e3/{path}")[0], ServeObject)
    (source,) = world.core.status(world.now_s).prefetch_sources
    assert (source.source, source.precision) == ("titles", 1.0)


def test_what_is_surer_is_fetched_further_and_no_further_than_the_head() -> None:
    world = Cinema(prefetch=PrefetchConfig(head_s=8.0, startup_value=9.0))
    world.watch(1, 31.0)
    world.say(e3=1.0)
    assert world.prefetched() == [*start_of("e3"), "/media/e3/low/2.m4s", "/media/e3/sound/2.m4s"]


def test_what_is_unlikely_for_one_viewer_is_fetched_for_several() -> None:
    world = Cinema()
    for client in ("one", "two", "three"):
        assert world.prefetched() == []
        world.watch(1, 31.0, client=client)
        world.say(e3=0.3)  # 0.14 of viewers take up anything: 0.042, then 0.082, 0.121
        world.move_to(world.now_s + 2.0)
    assert world.prefetched() == start_of("e3")


def test_a_sitting_begins_with_a_question_and_the_next_title_without() -> None:
    world = Cinema()
    world.watch(1, 3.0)
    assert world.asked == []
    world.watch_on(1, 5.0)  # a tenth of it
    assert [one.history for one in world.asked] == [("e1",)]
    world.watch_on(1, 40.0)
    asked = len(world.asked)
    world.watch(2, 10.0)
    assert len(world.asked) == asked
    world.watch_on(2, 31.0)
    assert world.asked[-1].history == ("e1", "e2")


def test_who_goes_on_to_the_successor_is_not_asked_about_and_who_will_not_is() -> None:
    world = Cinema()
    world.run(CatalogLearned(base_url=CATALOG_URL, catalog=episode_catalog()))
    world.run(TitlesModelChanged(model_id="t1", titles=("series:Series", "series:Other")))
    world.run(ModelChanged(model_id="m1"))
    world.watch(1, 31.0)
    before = len(world.asked)  # of the sitting
    first = world.predicts[-1].prediction_id
    world.run(Predicted(prediction_id=first, probabilities=((0.9, 0.95, 0.97),)))
    assert len(world.asked) == before
    world.watch_on(1, 36.5)
    later = world.predicts[-1].prediction_id
    assert later != first
    world.run(Predicted(prediction_id=later, probabilities=((0.05, 0.3, 0.4),)))
    assert len(world.asked) == before + 1
    assert world.asked[-1].history == ("series:Series",)


def test_without_a_model_nothing_is_asked_and_nothing_foreseen() -> None:
    world = Cinema(titles=TitlesConfig())
    world.watch(1, 40.0)
    assert world.asked == []
    world = Cinema()
    world.run(TitlesModelChanged(model_id=None, detail="gone"))
    world.watch(1, 40.0)
    assert world.asked == []
    assert world.titles().detail == "gone"


def test_unanswered_questions_are_bounded_and_a_failed_one_makes_room() -> None:
    world = Cinema(titles=TitlesConfig(model="model", pending_max=1))
    world.watch(1, 5.0)
    world.watch_on(1, 31.0)
    assert len(world.asked) == 1
    world.run(NotRecommended(question_id=world.asked[0].question_id, detail="lost"))
    world.watch_on(1, 36.5)
    assert len(world.asked) == 2
    assert (world.titles().asked_count, world.titles().failed_count) == (2, 1)


def test_plans_end_when_the_viewer_chooses_or_the_time_is_over() -> None:
    world = Cinema()
    world.hold = ("prefetch",)
    world.watch(1, 31.0)
    world.say(e3=0.9)
    assert world.titles().head_count == 1
    effects = world.move_to(world.now_s + 2_000.0)
    assert [one for one in effects if isinstance(one, CancelFill)]
    assert world.titles().head_count == 0
    world.watch(2, 40.0)
    world.say(e3=0.9)
    world.move_to(world.now_s + 2.0)
    assert world.titles().head_count == 1
    world.watch(1, 5.0)
    world.move_to(world.now_s + 2.0)
    assert world.titles().head_count == 0


def test_a_forgotten_viewer_leaves_no_history_and_no_plan() -> None:
    world = Cinema()
    world.hold = ("prefetch",)
    world.watch(1, 31.0)
    world.say(e3=0.9)
    world.run(ForgetViewer(forget_id=1, client="c"))
    world.move_to(world.now_s + 2.0)
    assert world.titles().head_count == 0
    world.watch(2, 31.0)
    assert world.asked[-1].history == ("e2",)


def test_an_answer_that_comes_when_the_viewer_has_chosen_moves_nothing() -> None:
    world = Cinema()
    world.watch(1, 31.0)
    asked = world.asked[-1]
    world.watch_on(1, 40.0)
    world.watch(2, 2.0)
    world.asked.append(asked)
    world.say(e3=0.9)
    assert world.prefetched() == []


def test_how_often_viewers_take_up_anything_is_learnt() -> None:
    world = Cinema()
    guess = world.titles().taken_shares["over"]
    for number in range(40):
        world.watch(1, 36.5, client=f"c{number}")
    world.move_to(world.now_s + 2_000.0)
    nobody = world.titles().taken_shares["over"]
    assert nobody < guess / 2
    for number in range(40, 80):
        world.watch(1, 36.5, client=f"c{number}")
        world.watch(2, 5.0, client=f"c{number}")
    assert world.titles().taken_shares["over"] > nobody


def test_a_model_that_names_what_nobody_takes_up_is_found_out_by_a_few_viewers() -> None:
    world = Cinema()
    for number in range(20):
        world.watch(1, 36.5, client=f"c{number}")
        world.say(e3=0.8)
        world.watch(2 if number < 10 else 3, 5.0, client=f"c{number}")
        if number == 9:
            assert world.titles().belief == pytest.approx(10 / (10 + 10 * 0.8))
    assert world.titles().belief == pytest.approx((10 + 10) / (10 + 20 * 0.8))


def test_a_process_that_is_replaced_is_believed_as_before_and_another_model_anew() -> None:
    world = Cinema()
    world.watch(1, 36.5)
    world.say(e3=0.8)
    world.watch(2, 5.0)
    believed = world.titles().belief
    assert believed < 1.0
    world.run(TitlesModelChanged(model_id=None, detail="it died"))
    world.run(TitlesModelChanged(model_id="t1", titles=("e1", "e2", "e3")))
    assert world.titles().belief == believed
    world.run(TitlesModelChanged(model_id="t2", titles=("e1", "e2", "e3")))
    assert world.titles().belief == 1.0


def test_bytes_that_nobody_asked_for_count_against_the_source() -> None:
    # So slow a budget that a few heads are a great part of what may be wasted before doubt.
    settings = PrefetchConfig(
        head_s=4.0, startup_value=9.0, lifetime_s=60.0, rate_kbps=8.0, burst_s=300.0
    )
    world = Cinema(prefetch=settings)
    for number in range(6):
        world.watch(1, 31.0, client=f"c{number}")
        world.say(e3=1.0)
        world.move_to(world.now_s + 400.0)
    (source,) = world.core.status(world.now_s).prefetch_sources
    assert source.source == "titles"
    assert source.precision == 0.0
    assert source.trust < 0.95


def test_it_is_off_unless_a_model_is_named() -> None:
    world = World()
    world.watch(1, 40.0)
    titles = world.core.status(world.now_s).titles
    assert (titles.model_id, titles.asked_count) == (None, 0)
    assert titles.detail == "titles.model is empty"


@pytest.mark.parametrize("rung", ["low", "high"])
def test_it_is_the_rung_that_the_viewer_began_with(rung: str) -> None:
    world = Cinema()
    world.watch(1, 10.0, rung=rung)
    world.watch_on(1, 31.0, rung="low")
    world.say(e3=0.9)
    assert f"/media/e3/{rung}/1.m4s" in world.prefetched()


def test_an_explanation_says_that_anybody_may_take_it_up() -> None:
    world = Cinema()
    world.watch(1, 31.0)
    world.say(e3=0.9)
    explained = world.core.explain("/media/e3/low/1.m4s", world.now_s)
    assert explained is not None
    assert explained.grounds is not None
    assert explained.grounds.chance == pytest.approx(0.9 * 0.14)
    text = " ".join(" ".join(lines(explained)).split())
    assert "by the recommender 0.0 s ago: 0.13 that any viewer takes it up" in text
    assert "0.126 for whoever may take it up" in text
