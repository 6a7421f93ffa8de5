"""From a viewer's requests to what is fetched ahead, through the whole core."""

from __future__ import annotations

import pytest

from edge.config import PrefetchConfig
from edge.config.watching import WindowConfig
from edge.effects import CancelFill, PauseFill, ResumeFill, ServeObject, SetFillPriority, StartFill
from edge.events import Draining, FillFailed, ModelChanged, Predicted, PredictionFailed
from edge.records import CheckpointReached, PrefetchDecided
from predictor.features import FEATURE_COUNT, FEATURE_NAMES
from tests.edge_bench import one
from tests.edge_world import SEGMENT_BYTES, World

PREFETCH = ("prefetch",)
HEAD = PrefetchConfig(head_s=8.0)


def test_half_way_through_the_first_seconds_of_the_next_episode_are_fetched() -> None:
    world = World(prefetch=HEAD)
    world.watch(1, 19.0)
    assert world.prefetched() == []
    world.watch_on(1, 21.0)
    assert world.prefetched() == [
        "/media/e2/manifest.mpd",
        "/media/e2/low/init.mp4",
        "/media/e2/sound/init.mp4",
        "/media/e2/low/1.m4s",
        "/media/e2/sound/1.m4s",
        "/media/e2/low/2.m4s",
        "/media/e2/sound/2.m4s",
    ]


def test_the_rest_follows_at_three_quarters() -> None:
    world = World(prefetch=HEAD)
    world.watch(1, 29.0)
    head_count = len(world.prefetched())
    world.watch_on(1, 31.0)
    assert len(world.prefetched()) == head_count + 2 * 8
    assert world.prefetched()[-1] == "/media/e2/sound/10.m4s"


def test_the_next_episode_is_then_served_from_the_store() -> None:
    world = World()
    world.watch(1, 40.0)
    before = world.core.status(world.now_s)
    for path in ("manifest.mpd", "low/init.mp4", "low/1.m4s", "sound/1.m4s"):
        assert isinstance(world.get(f"/media/e2/{path}")[0], ServeObject)
    after = world.core.status(world.now_s)
    assert after.origin_bytes == before.origin_bytes
    assert after.prefetch_used_bytes > 2 * SEGMENT_BYTES["sound"]
    assert after.prefetch_precision is not None
    assert after.prefetch_resident_bytes == after.prefetch_bytes - after.prefetch_used_bytes


def test_it_is_the_rung_the_viewer_is_on_and_follows_a_switch() -> None:
    world = World(prefetch=HEAD)
    world.watch(1, 25.0, rung="high")
    assert "/media/e2/high/2.m4s" in world.prefetched()
    world.watch_on(1, 35.0, rung="low")
    assert "/media/e2/high/3.m4s" not in world.prefetched()
    assert "/media/e2/low/3.m4s" in world.prefetched()
    assert "/media/e2/low/2.m4s" not in world.prefetched()


def test_nothing_is_fetched_twice_for_two_viewers() -> None:
    world = World()
    world.watch(1, 40.0, client="one")
    world.now_s += 5.0
    world.watch(1, 40.0, client="two")
    paths = [path for _, path in world.fetched]
    assert len(paths) == len(set(paths))


def test_an_hls_viewer_gets_the_hls_successor() -> None:
    world = World(prefetch=HEAD)
    world.begin_s = world.now_s
    for path in ("master.m3u8", "low/playlist.m3u8", "sound/playlist.m3u8", "low/init.mp4"):
        world.get(f"/media/e1/{path}")
    world.watch_on(1, 25.0)
    assert world.prefetched()[:4] == [
        "/media/e2/master.m3u8",
        "/media/e2/low/playlist.m3u8",
        "/media/e2/sound/playlist.m3u8",
        "/media/e2/high/playlist.m3u8",
    ]
    assert world.prefetched()[-1] == "/media/e2/sound/2.m4s"
    assert not [path for path in world.prefetched() if path.endswith(".mpd")]


def test_with_cmcd_the_position_is_what_the_player_says() -> None:
    world = World()
    world.get("/media/e1/manifest.mpd", sid="s")
    for index in range(8):  # all at once: the player holds it and has shown next to nothing
        world.get(f"/media/e1/low/{index + 1}.m4s", sid="s", buffer_s=index * 4.0)
    assert world.prefetched() == []
    world.get("/media/e1/low/9.m4s", sid="s", buffer_s=8.0)  # 24 s into it
    world.move_to(0.001)
    assert world.prefetched() != []


def test_a_model_decides_when_there_is_one() -> None:
    world = World()
    world.run(ModelChanged(model_id="m1"))
    world.watch(1, 20.5)
    asked = world.predicts[-1]
    assert [len(row) for row in asked.rows] == [FEATURE_COUNT]
    assert asked.rows[0][FEATURE_NAMES.index("progress")] == 0.5
    assert world.prefetched() == []
    world.run(Predicted(prediction_id=asked.prediction_id, probabilities=((0.02, 0.05, 0.4),)))
    assert world.prefetched() == []
    world.watch_on(1, 30.5)
    later = world.predicts[-1]
    assert later.prediction_id != asked.prediction_id
    world.run(Predicted(prediction_id=later.prediction_id, probabilities=((0.9, 0.95, 0.97),)))
    assert world.prefetched()[0] == "/media/e2/manifest.mpd"
    decided = [r for r in world.recorder.records if isinstance(r, PrefetchDecided)]
    assert [(r.by, r.is_wanted, r.probability) for r in decided] == [
        ("model", False, 0.05),
        ("model", True, 0.95),
    ]


@pytest.mark.parametrize("how", ["late", "failed", "nonsense", "gone"])
def test_the_rule_decides_where_the_model_does_not(how: str) -> None:
    world = World()
    world.run(ModelChanged(model_id="m1"))
    world.watch(1, 20.5)
    prediction_id = world.predicts[-1].prediction_id
    if how == "late":
        world.watch_on(1, 22.0)
    elif how == "failed":
        world.run(PredictionFailed(prediction_id=prediction_id, detail="full"))
    elif how == "nonsense":
        world.run(Predicted(prediction_id=prediction_id, probabilities=((0.1, float("nan"), 0.3),)))
    else:
        world.run(ModelChanged(model_id=None, detail="the process ended"))
    assert world.prefetched() != []
    count = len(world.prefetched())
    world.run(Predicted(prediction_id=prediction_id, probabilities=((0.0, 0.0, 0.0),)))
    assert len(world.prefetched()) == count


def test_demand_pauses_a_running_prefetch_at_once_and_it_goes_on_afterwards() -> None:
    world = World()
    world.watch(1, 19.0)
    world.hold = PREFETCH
    world.watch_on(1, 20.5)
    prefetch = next(iter(world.held.values()))
    assert prefetch.priority == "prefetch"
    world.hold = ("prefetch", "demand")
    effects = world.get("/media/e9/low/x")
    assert one(effects, PauseFill).fill_id == prefetch.fill_id
    demand = one(effects, StartFill)
    del world.held[demand.fill_id]
    resumed = [e for event in world.answer(demand) for e in world.run(event)]
    assert one(resumed, ResumeFill).fill_id == prefetch.fill_id


def test_no_prefetch_starts_while_a_client_waits_for_upstream() -> None:
    world = World()
    world.watch(1, 19.0)
    world.hold = ("demand",)
    world.get("/media/e9/low/x")
    world.watch_on(1, 20.5)
    assert world.prefetched() == []
    world.let_go()
    assert world.prefetched() != []


def test_a_demand_joins_the_prefetch_of_the_same_url() -> None:
    world = World(prefetch=PrefetchConfig(in_flight_max=1))
    world.watch(1, 19.0)
    world.hold = PREFETCH
    world.watch_on(1, 20.5)
    prefetch = next(iter(world.held.values()))
    effects = world.get(prefetch.url.removeprefix("http://origin:8000/base"))
    assert not [e for e in effects if isinstance(e, StartFill)]
    joined = one(effects, SetFillPriority)
    assert (joined.fill_id, joined.priority) == (prefetch.fill_id, "demand")
    world.let_go()
    status = world.core.status(world.now_s)
    assert status.collapsed_count == 1
    assert status.prefetch_waste_bytes == 0


def test_draining_ends_all_prefetching() -> None:
    world = World()
    world.watch(1, 19.0)
    world.hold = PREFETCH
    world.watch_on(1, 20.5)
    running = set(world.held)
    cancelled = {e.fill_id for e in world.run(Draining()) if isinstance(e, CancelFill)}
    assert cancelled == running != set()
    world.hold = ()
    world.watch_on(1, 40.0)
    assert len(world.prefetched()) == len(running)


def test_prefetching_can_be_switched_off() -> None:
    world = World(prefetch=PrefetchConfig(enabled=False))
    world.watch(1, 40.0)
    assert world.prefetched() == []
    reached = [r.share for r in world.recorder.records if isinstance(r, CheckpointReached)]
    assert reached == [0.10, 0.25, 0.50, 0.75, 0.90, 1.00]


def test_a_viewer_who_leaves_gets_nothing_more() -> None:
    world = World(prefetch=HEAD)
    world.watch(1, 19.0)
    world.hold = PREFETCH
    world.watch_on(1, 22.0)
    world.move_to(300.0)  # silent, played out, idle
    world.hold = ()
    count = len(world.prefetched())
    world.let_go()
    assert len(world.prefetched()) == count


def test_a_prefetch_that_nobody_uses_is_waste_when_its_time_is_over() -> None:
    world = World(prefetch=PrefetchConfig(head_s=8.0, lifetime_s=100.0))
    world.watch(1, 22.0)
    fetched_bytes = world.core.status(world.now_s).prefetch_bytes
    world.move_to(1000.0)
    status = world.core.status(world.now_s)
    assert status.prefetch_waste_bytes == fetched_bytes > 0
    assert status.prefetch_precision == 0.0


def test_a_failed_prefetch_is_left_alone_for_a_while() -> None:
    world = World(prefetch=PrefetchConfig(in_flight_max=1))
    world.watch(1, 19.0)
    world.hold = PREFETCH
    world.watch_on(1, 20.5)
    fill_id, _ = world.held.popitem()
    world.hold = ()
    world.run(FillFailed(fill_id=fill_id, cause="broken", detail=""))
    world.watch_on(1, 40.0)
    assert world.prefetched() == ["/media/e2/manifest.mpd"]


def test_the_last_episode_has_nothing_after_it() -> None:
    world = World()
    world.watch(3, 40.0)
    assert world.prefetched() == []


def test_the_budget_is_kept_on_average() -> None:
    # 80 kbit/s are 10 kB/s; 2 s of burst. Low and sound take 6.5 kB/s of play.
    world = World(prefetch=PrefetchConfig(rate_kbps=80.0, burst_s=2.0, in_flight_max=1))
    world.watch(1, 20.0)
    begin_s = world.now_s
    for step in range(1, 30):
        world.watch_on(1, 20.0 + step * 0.5)
        spent_bytes = world.core.status(world.now_s).prefetch_bytes
        allowed_bytes = 20_000 + (world.now_s - begin_s) * 10_000 + SEGMENT_BYTES["low"]
        assert spent_bytes <= allowed_bytes
    assert world.prefetched() != []


def test_the_rung_that_a_viewer_starts_with_is_fetched_too() -> None:
    world = World(prefetch=PrefetchConfig(head_s=30.0, start_s=4.0))
    world.watch(1, 8.0, rung="low")
    world.watch_on(1, 40.0, rung="high")  # it started low, and climbed
    first = world.prefetched()
    assert "/media/e2/high/2.m4s" in first
    assert "/media/e2/low/1.m4s" in first
    assert "/media/e2/low/2.m4s" not in first


def test_a_rung_that_others_start_with_is_learnt() -> None:
    world = World(prefetch=PrefetchConfig(head_s=8.0, start_s=4.0))
    for no in range(6):  # all watch high, and begin the next title low
        client = f"viewer {no}"
        world.watch(1, 40.0, rung="high", client=client)
        world.watch(2, 2.0, rung="low", client=client)
        world.move_to(world.now_s + 500.0)
    world.watch(2, 40.0, rung="high", client="another")
    assert "/media/e3/low/1.m4s" in world.prefetched()
    assert "/media/e3/low/2.m4s" not in world.prefetched()


def test_a_rung_that_nobody_starts_with_is_not_fetched() -> None:
    world = World(prefetch=PrefetchConfig(head_s=8.0, start_s=4.0))
    world.watch(1, 40.0, rung="high")
    assert not [path for path in world.prefetched() if "/low/" in path]


def test_with_little_hope_only_the_first_seconds_are_fetched() -> None:
    world = World()
    world.run(ModelChanged(model_id="m1"))
    world.watch(1, 20.5)
    prediction_id = world.predicts[-1].prediction_id
    world.run(Predicted(prediction_id=prediction_id, probabilities=((0.3, 0.3, 0.3),)))
    assert world.prefetched()[-2:] == ["/media/e2/low/1.m4s", "/media/e2/sound/1.m4s"]


def test_a_fetch_that_is_not_worth_it_any_more_is_given_up() -> None:
    world = World()
    world.run(ModelChanged(model_id="m1"))
    world.watch(1, 20.5)
    world.hold = PREFETCH
    first = world.predicts[-1].prediction_id
    world.run(Predicted(prediction_id=first, probabilities=((0.6, 0.7, 0.8),)))
    running = set(world.held)
    assert running
    world.watch_on(1, 30.5)
    later = world.predicts[-1].prediction_id
    effects = world.run(Predicted(prediction_id=later, probabilities=((0.01, 0.02, 0.03),)))
    effects += world.move_to(world.now_s + 0.5)
    assert {e.fill_id for e in effects if isinstance(e, CancelFill)} == running
    world.move_to(world.now_s + 0.5)
    explained = world.core.explain("/media/e2/manifest.mpd", world.now_s)
    assert explained is not None
    assert explained.story[-1].state == "refused"
    assert "dropped" in [told.state for told in explained.story]


def test_a_forecast_that_wavers_a_little_stops_nothing() -> None:
    world = World(prefetch=PrefetchConfig(head_s=8.0, start_s=4.0))
    world.run(ModelChanged(model_id="m1"))
    world.watch(1, 20.5)
    world.hold = PREFETCH
    first = world.predicts[-1].prediction_id
    world.run(Predicted(prediction_id=first, probabilities=((0.35, 0.4, 0.5),)))
    running = set(world.held)
    assert running
    world.watch_on(1, 30.5)
    later = world.predicts[-1].prediction_id  # from just above the threshold to just below it
    effects = world.run(Predicted(prediction_id=later, probabilities=((0.28, 0.3, 0.4),)))
    effects += world.move_to(world.now_s + 0.5)
    assert not [e for e in effects if isinstance(e, CancelFill)]


def test_closed_hours_are_waited_for_and_then_it_goes_on_by_itself() -> None:
    window = WindowConfig(hours="00:00-00:01", rate_factor=0.0)
    world = World(prefetch=PrefetchConfig(head_s=8.0, windows=(window,)))  # it is midnight
    world.watch(1, 40.0)
    world.move_to(59.9)
    assert world.prefetched() == []
    explained = world.core.explain("/media/e2/manifest.mpd", world.now_s)
    assert explained is not None
    assert explained.budget == "nothing is prefetched at this hour"
    world.move_to(60.1)
    assert "/media/e2/low/1.m4s" in world.prefetched()
