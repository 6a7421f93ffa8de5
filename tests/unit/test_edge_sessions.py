"""Sessions, progress and viewers."""

from __future__ import annotations

import pytest

from edge.config import PrefetchConfig, SessionsConfig
from edge.prefetch.budget import Budget
from edge.prefetch.value import threshold
from edge.progress import Progress
from edge.records import CheckpointReached
from edge.viewers import SWEEP_S, Viewer, Viewers, device
from predictor.features import RATE_PRIOR
from tests.edge_world import World


def played(runtime_s: float = 100.0) -> Progress:
    progress = Progress(runtime_s)
    progress.requested(0.0, 4.0, 10.0)
    return progress


def test_without_cmcd_the_picture_runs_until_it_waits_for_more() -> None:
    progress = played()
    assert progress.position_s(12.0) == pytest.approx(2.0)
    assert progress.position_s(50.0) == pytest.approx(4.0)
    progress.requested(4.0, 8.0, 50.0)  # it stalled: the wait does not count as watching
    assert progress.position_s(52.0) == pytest.approx(6.0)
    assert progress.watched_s(52.0) == pytest.approx(6.0)


def test_with_cmcd_the_picture_is_the_buffer_before_the_request() -> None:
    progress = played()
    progress.requested(4.0, 8.0, 10.5, buffer_s=4.0)
    assert progress.position_s(10.5) == pytest.approx(0.0)
    progress.requested(8.0, 12.0, 15.0, buffer_s=3.0)
    assert progress.position_s(15.0) == pytest.approx(5.0)


def test_a_seek_is_not_watched() -> None:
    progress = played()
    progress.requested(80.0, 84.0, 13.0)
    assert progress.position_s(13.0) == pytest.approx(80.0)
    assert progress.watched_s(13.0) == pytest.approx(0.0)
    progress.requested(8.0, 12.0, 14.0)
    assert progress.position_s(14.0) == pytest.approx(8.0)


def test_a_segment_asked_for_again_at_a_better_rung_is_no_seek() -> None:
    progress = played()
    for index in range(1, 6):
        progress.requested(index * 4.0, index * 4.0 + 4.0, 10.0 + index)
    progress.requested(12.0, 16.0, 16.0, buffer_s=18.0)
    assert progress.position_s(16.0) == pytest.approx(6.0)
    assert progress.downloaded_end_s == 24.0


def test_a_paused_picture_stands_still() -> None:
    progress = played()
    progress.requested(4.0, 8.0, 12.0, rate=0.0)
    assert progress.position_s(100.0) == pytest.approx(2.0)
    assert progress.when_s(0.05) is None


def test_the_time_of_a_share_is_when_it_is_reached() -> None:
    progress = Progress(13.7)
    progress.requested(0.0, 13.7, 1.1)
    for share in (0.1, 0.25, 0.5, 0.75, 0.9, 1.0):
        when_s = progress.when_s(share)
        assert when_s is not None
        assert progress.share(when_s) == pytest.approx(share)
    assert progress.share(100.0) == 1.0


def test_every_checkpoint_is_reached_once_and_in_time() -> None:
    world = World(prefetch=PrefetchConfig(enabled=False))
    world.watch(1, 40.0, sid="s")
    world.move_to(400.0)
    reached = [
        (r.share, r.at_s) for r in world.recorder.records if isinstance(r, CheckpointReached)
    ]
    assert [share for share, _ in reached] == [0.10, 0.25, 0.50, 0.75, 0.90, 1.00]
    for share, at_s in reached:
        assert at_s == pytest.approx(share * 40.0, abs=0.2)
    assert world.core.status(400.0).session_count == 0
    assert world.core.deadline_s() == SWEEP_S  # nothing but the hourly look at what is too old


def test_sessions_are_told_apart_by_cmcd_behind_one_address() -> None:
    world = World()
    for sid in ("one", "two", "three"):
        world.get("/media/e1/manifest.mpd", sid=sid)
        world.get("/media/e1/low/1.m4s", sid=sid, buffer_s=0.0)
    status = world.core.status(0.0)
    assert (status.session_count, status.viewer_count) == (3, 3)


def test_a_session_that_follows_another_is_the_same_viewer() -> None:
    world = World()
    world.watch(1, 40.0, sid="first")
    world.watch(2, 25.0, sid="second")
    assert world.core.status(world.now_s).viewer_count == 1
    assert "/media/e3/manifest.mpd" in world.prefetched()


def test_the_oldest_session_makes_room() -> None:
    world = World(sessions=SessionsConfig(count_max=2))
    for sid in ("one", "two", "three"):
        world.get("/media/e1/manifest.mpd", sid=sid)
        world.get("/media/e1/low/1.m4s", sid=sid, buffer_s=0.0)
    assert world.core.status(0.0).session_count == 2


def test_a_viewers_rate_moves_slowly_from_the_prior() -> None:
    viewer = Viewer()
    assert viewer.rate() == pytest.approx(RATE_PRIOR)
    at_s = 0.0
    for no in range(4):
        viewer.begin(f"e{no}", "series", is_next=no > 0, at_s=at_s)
        viewer.seen(f"e{no}", 1.0, at_s + 1000.0)
        at_s += 1010.0
    assert viewer.rate() == pytest.approx((3 + 10 * RATE_PRIOR) / 13)
    assert viewer.series_rate("series") > viewer.rate() > viewer.series_rate("other") - 1e-9
    assert (viewer.run_length, viewer.plays_before) == (4, 3)
    assert viewer.previous_gap_s == pytest.approx(10.0)
    viewer.begin("film", None, is_next=False, at_s=at_s + 4000.0)
    assert (viewer.run_length, viewer.plays_before) == (1, 0)
    assert viewer.rate() == pytest.approx((3 + 10 * RATE_PRIOR) / 14)


def test_viewers_are_bounded_and_their_pseudonyms_keyed() -> None:
    viewers = Viewers(3, b"key")
    for no in range(10):
        viewers.choose(viewers.pseudonym(f"10.0.0.{no}", "tv"), None)
    assert len(viewers) == 3
    assert viewers.pseudonym("10.0.0.1", "tv") != Viewers(3, b"other").pseudonym("10.0.0.1", "tv")
    assert "10.0.0.1" not in viewers.pseudonym("10.0.0.1", "tv")


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        ("Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0)", (True, False)),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0)", (False, True)),
        ("Mozilla/5.0 (X11; Linux x86_64)", (False, False)),
    ],
)
def test_devices_are_told_by_their_user_agent(agent: str, expected: tuple[bool, bool]) -> None:
    assert device((("user-agent", agent),)) == expected


def test_the_default_threshold_is_just_below_even() -> None:
    assert threshold(PrefetchConfig()) == pytest.approx(0.481, abs=0.001)
    assert threshold(PrefetchConfig(startup_value=0.0)) == 1.0
    assert threshold(PrefetchConfig(threshold=0.3)) == 0.3


def test_a_budget_runs_dry_and_fills_up_again() -> None:
    budget = Budget(80.0, 2.0)  # 10 kB/s, 20 kB at once
    budget.charge(19_000, 0.0)
    assert not budget.is_dry(0.0)
    budget.charge(2_000, 0.0)
    assert budget.is_dry(0.0)
    ready_s = budget.ready_s(0.0)
    assert ready_s == pytest.approx(0.6, abs=0.01)
    assert budget.is_dry(ready_s - 0.01)
    assert not budget.is_dry(ready_s)
    assert not budget.is_dry(1000.0)
