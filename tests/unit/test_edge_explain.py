"""Why an object was, is or was not fetched ahead: through the whole core, and in words."""

from __future__ import annotations

import re

from edge.config import PrefetchConfig
from edge.events import ModelChanged, Predicted
from edge.prefetch.explanation import Explanation
from edge.prefetch.wording import WIDTH, lines
from nearcast.record import Record
from tests.edge_world import World

FIRST = "/media/e2/low/1.m4s"


def explain(world: World, path: str) -> Explanation:
    explained = world.core.explain(path, world.now_s)
    assert explained is not None
    return explained


def words(explained: Explanation) -> str:
    told = list(lines(explained))
    assert all(len(line) <= WIDTH for line in told if " " in line.strip())
    return re.sub(r"\s+", " ", " ".join(told))


def test_an_object_that_is_held_says_who_foresaw_it_and_what_it_was_worth() -> None:
    world = World()
    world.run(ModelChanged(model_id="m1"))
    world.watch(1, 20.5)
    asked = world.predicts[-1].prediction_id
    world.run(Predicted(prediction_id=asked, probabilities=((0.7, 0.8, 0.9),)))
    explained = explain(world, FIRST)
    assert (explained.rendition, explained.segment_no, explained.resident) == (
        "low",
        1,
        "prefetched",
    )
    assert [told.state for told in explained.story] == ["queued", "fetching", "held"]
    grounds = explained.grounds
    assert grounds is not None
    assert (grounds.source, grounds.use, grounds.viewer_count) == ("model", "start", 1)
    assert grounds.said == (0.7, 0.8, 0.9)
    assert grounds.chance == 0.8  # within the day that it would be kept
    assert grounds.value == grounds.chance * grounds.gain - grounds.cost > 0
    assert explained.title is not None
    assert explained.title.share == 0.5
    told = words(explained)
    assert "here, not yet asked for" in told
    assert "0.70 within 30min, 0.80 within 24h, 0.90 within 7d" in told


def test_an_object_that_was_used_says_so_and_its_source_is_measured() -> None:
    world = World()
    world.watch(1, 40.0)
    world.get("/media/e2/manifest.mpd")
    world.get(FIRST)
    explained = explain(world, FIRST)
    assert explained.story[-1].state == "used"
    assert explained.resident == "main"
    (measured,) = explained.measured
    assert (measured.source, measured.precision, measured.trust) == ("rule", 1.0, 1.0)


def test_an_object_that_is_not_worth_it_says_by_how_much() -> None:
    world = World()
    world.run(ModelChanged(model_id="m1"))
    world.watch(1, 20.5)
    asked = world.predicts[-1].prediction_id
    world.run(Predicted(prediction_id=asked, probabilities=((0.05, 0.1, 0.1),)))
    explained = explain(world, "/media/e2/manifest.mpd")
    assert explained.story[-1].state == "refused"
    assert explained.resident is None
    grounds = explained.grounds
    assert grounds is not None
    assert grounds.chance < grounds.threshold
    assert "not worth its bytes" in words(explained)


def test_the_runner_up_is_what_would_have_been_fetched_instead() -> None:
    world = World(prefetch=PrefetchConfig(in_flight_max=1))
    world.watch(1, 8.0, rung="low")
    world.watch_on(1, 30.5, rung="high")  # it may begin the next one low as well
    grounds = explain(world, "/media/e2/high/1.m4s").grounds
    assert grounds is not None
    assert grounds.runner_up_url is not None
    assert grounds.runner_up_url.endswith("/media/e2/low/init.mp4")
    assert grounds.runner_up_value is not None
    assert 0 < grounds.runner_up_value < grounds.value
    assert "runner-up" in words(explain(world, "/media/e2/high/1.m4s"))


def test_while_clients_wait_it_says_that_they_come_first() -> None:
    world = World()
    world.watch(1, 19.0)
    world.hold = ("demand",)
    world.get("/media/e9/low/x")
    world.watch_on(1, 20.5)
    explained = explain(world, "/media/e2/manifest.mpd")
    assert explained.waits_for == "clients wait for upstream, and come first"
    assert explained.title is not None


def test_unknown_urls_are_said_to_be_unknown() -> None:
    world = World()
    explained = explain(world, "/media/nothing.bin")
    assert not explained.is_known
    assert "Nothing is known of this URL" in words(explained)
    world.get("/media/e1/manifest.mpd")
    known = explain(world, "/media/e1/low/3.m4s")
    assert known.is_known
    assert (known.resident, known.asked_ago_s, known.grounds) == (None, None, None)
    assert "segment 3 of rendition low" in words(known)


def test_it_remembers_no_more_than_it_may_and_names_no_viewer() -> None:
    world = World(prefetch=PrefetchConfig(explained_max=3))
    world.watch(1, 40.0, client="192.0.2.77", sid="secret-session")
    told = [explain(world, f"/media/e2/{path}") for path in ("manifest.mpd", "low/10.m4s")]
    assert not told[0].story
    assert told[1].story
    text = repr(told) + "".join(repr(one) for one in world.recorder.records if _is_ours(one))
    pseudonyms = {name.split("/")[0] for name in world.core._foresight._sessions._sessions}
    for secret in ("192.0.2.77", "secret-session", *pseudonyms):
        assert secret not in text


def _is_ours(record: Record) -> bool:
    return type(record).__name__.startswith("Prefetch")
