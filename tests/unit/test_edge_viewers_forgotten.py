"""What is known of viewers goes: with time, and when somebody asks for it."""

from __future__ import annotations

import pytest

from edge.config import SessionsConfig
from edge.effects import ViewerForgotten
from edge.events import ForgetViewer, ModelChanged
from edge.viewers import SWEEP_S, Viewer, Viewers
from tests.edge_bench import one
from tests.edge_world import World

DAY_S = 86_400.0


def finish(viewer: Viewer, number: int, at_s: float, *, is_next: bool) -> None:
    """Watch an episode to its end."""
    url = f"http://o/e{number}"
    viewer.begin(url, "series", is_next=is_next, at_s=at_s)
    viewer.seen(url, 1.0, at_s + 60.0)
    viewer.end()


def test_history_older_than_the_limit_counts_no_more() -> None:
    viewer, fresh = Viewer(30 * DAY_S), Viewer(30 * DAY_S)
    for number in range(20):
        finish(viewer, number, number * 100.0, is_next=True)
    assert viewer.rate() > fresh.rate()
    assert viewer.series_rate("series") > fresh.series_rate("series")
    finish(viewer, 50, 14 * DAY_S, is_next=False)
    assert viewer.rate() > fresh.rate()
    finish(viewer, 51, 31 * DAY_S, is_next=False)
    finish(viewer, 52, 46 * DAY_S, is_next=False)  # by now the oldest stretch is gone
    assert viewer.rate() < fresh.rate()


def test_a_stretch_goes_once_and_all_goes_after_a_long_absence() -> None:
    viewer, fresh = Viewer(30 * DAY_S), Viewer(30 * DAY_S)
    for number in range(20):
        finish(viewer, number, number * 100.0, is_next=True)
    finish(viewer, 50, 16 * DAY_S, is_next=True)
    finish(viewer, 51, 17 * DAY_S, is_next=True)
    assert viewer.rate() > fresh.rate()  # what was watched on the first day is 17 days old
    viewer.begin("http://o/e99", "series", is_next=True, at_s=100 * DAY_S)
    assert viewer.rate() == fresh.rate()
    assert viewer.series_rate("series") == fresh.series_rate("series")


def test_who_has_not_watched_for_long_is_let_go() -> None:
    viewers = Viewers(100, b"key", history_s=DAY_S)
    gone, watching, late = (viewers.choose(viewers.pseudonym(name, "tv"), None) for name in "abc")
    for viewer in (gone, watching, late):
        viewer.begin("http://o/e1", None, is_next=False, at_s=0.0)
    gone.end()
    late.end()
    late.seen("http://o/e1", 0.5, DAY_S)
    viewers.advance(0.0)
    deadline_s = viewers.deadline_s()
    assert deadline_s == SWEEP_S
    viewers.advance(DAY_S + SWEEP_S)
    assert len(viewers) == 2
    assert viewers.choose(viewers.pseudonym("a", "tv"), None) is not gone
    assert viewers.choose(viewers.pseudonym("c", "tv"), None) is late


@pytest.mark.parametrize(
    ("client", "agent", "left"),
    [("10.0.0.1", None, 1), ("10.0.0.1", "tv", 2), ("10.0.0.9", None, 3)],
)
def test_forgetting_is_by_address_or_by_one_device_there(
    client: str, agent: str | None, left: int
) -> None:
    viewers = Viewers(100, b"key")
    for address, device in (("10.0.0.1", "tv"), ("10.0.0.1", "phone"), ("10.0.0.10", "tv")):
        viewers.choose(viewers.pseudonym(address, device), None)
    assert len(viewers.forget(client, agent)) == 3 - left
    assert len(viewers) == left


def test_a_forgotten_viewer_leaves_nothing_in_the_core() -> None:
    world = World()
    world.run(ModelChanged(model_id="m1"))
    world.watch(1, 39.0, client="10.0.0.1")
    world.move_to(world.now_s + 1.0)
    world.watch(1, 25.0, client="10.0.0.2")
    before = world.core.status(world.now_s)
    assert (before.viewer_count, before.session_count) == (2, 2)
    assert world.core.models(world.now_s).pending_count >= 3
    done = one(world.run(ForgetViewer(forget_id=9, client="10.0.0.1")), ViewerForgotten)
    assert (done.forget_id, done.viewer_count, done.session_count) == (9, 1, 1)
    assert done.question_count >= 2
    after = world.core.status(world.now_s)
    assert (after.viewer_count, after.session_count) == (1, 1)
    world.watch_on(1, 35.0, client="10.0.0.2")  # the others are served and foreseen as before
    assert world.prefetched() or world.predicts
    again = one(world.run(ForgetViewer(forget_id=10, client="10.0.0.1")), ViewerForgotten)
    assert (again.viewer_count, again.session_count, again.question_count) == (0, 0, 0)


def test_history_is_kept_for_a_month_unless_told_otherwise() -> None:
    assert SessionsConfig().history_s == 30 * DAY_S
