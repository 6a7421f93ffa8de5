"""The player on a virtual clock and a link of constant rate: exact start-up and stall arithmetic,
and what it does when things go wrong."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from abr import events as ev
from abr.config import AbandonConfig, PlayerConfig, RetryConfig
from abr.controllers import ControllerSettings
from abr.controllers.hybrid import HybridParams
from abr.controllers.throughput import ThroughputParams
from abr.records import PlaybackChanged
from abr.report import SessionReport
from abr.viewer import PlayItem
from nearcast.cmcd import from_request, to_query
from nearcast.record import ListRecorder
from tests.abr_world import BASE, MPD, World, presentation, viewer

# One rung of 1000 kbit/s in segments of 2 s: 250 000 bytes each.
PLAIN = PlayerConfig(
    controller="throughput",
    startup_buffer_s=0.0,
    rebuffer_s=2.0,
    abandon=AbandonConfig(is_on=False),
)
LADDER = (500.0, 1000.0, 4000.0)
# Names the rung to fetch a late segment at, and takes high ones at once.
CLIMBING = PlayerConfig(
    controller="hybrid",
    controllers=ControllerSettings(hybrid=HybridParams(up_buffer_s=0.0)),
    startup_buffer_s=0.0,
    buffer_s_max=8.0,
)


def only_session(world: World) -> SessionReport:
    (session,) = world.core.report().sessions
    return session


def segments_sent(world: World, prefix: str = "v") -> list[str]:
    return [
        request.url.removeprefix(BASE + "/")
        for _, request in world.sent
        if request.kind == "segment" and f"/{prefix}" in request.url
    ]


def test_fast_link_start_up_is_the_sum_of_its_parts() -> None:
    world = World(viewer(config=PLAIN), presentation(), rate_kbps=8000.0, latency_s=0.1)
    world.run()
    session = only_session(world)
    # Manifest, then init (1 byte) and segment (250 kB at 1 MB/s) together: two latencies.
    assert session.startup_s == pytest.approx(0.2 + 1e-6 + 0.25)
    assert session.stalled_s == 0.0
    assert session.played_s == pytest.approx(20.0)
    assert session.ended == "finished"
    assert world.now_s == pytest.approx(0.45 + 20.0, abs=1e-4)
    assert session.received_bytes == pytest.approx(10 * 250_000, rel=0.01)


def test_slow_link_stalls_exactly_as_long_as_the_data_is_late() -> None:
    # 800 kbit/s: a segment of 2 s takes 2.5 s, so each one is 0.5 s late.
    world = World(viewer(config=PLAIN), presentation(count=4), rate_kbps=800.0)
    world.run()
    session = only_session(world)
    assert session.startup_s == pytest.approx(2.5, abs=1e-4)
    assert session.stalled_s == pytest.approx(3 * 0.5, abs=1e-4)
    assert session.stall_count == 3
    assert session.played_s == pytest.approx(8.0)


def test_rebuffer_goal_turns_many_short_stalls_into_fewer() -> None:
    config = PlayerConfig(
        controller="throughput", startup_buffer_s=0.0, rebuffer_s=4.0, abandon=PLAIN.abandon
    )
    world = World(viewer(config=config), presentation(count=5), rate_kbps=800.0)
    world.run()
    session = only_session(world)
    # Dry at 4.5 s with the second segment at 5.0; goes on with the third at 7.5, and the fourth and
    # fifth (10.0, 12.5) come while 4 s play: dry at 11.5 + 2 = 13.5 never.
    assert session.stall_count == 1
    assert session.stalled_s == pytest.approx(3.0, abs=1e-4)


def test_start_up_waits_for_the_goal() -> None:
    config = PlayerConfig(controller="throughput", startup_buffer_s=5.0, abandon=PLAIN.abandon)
    world = World(viewer(config=config), presentation(), rate_kbps=2000.0)
    world.run()
    assert only_session(world).startup_s == pytest.approx(3.0, abs=1e-4)


def test_start_up_goal_above_the_buffer_limit_does_not_wait_for_ever() -> None:
    config = PlayerConfig(
        controller="throughput", startup_buffer_s=60.0, buffer_s_max=9.0, abandon=PLAIN.abandon
    )
    world = World(viewer(config=config), presentation(), rate_kbps=2000.0)
    world.run()
    session = only_session(world)
    assert session.startup_s == pytest.approx(4.0, abs=1e-4)
    assert session.ended == "finished"


def test_full_buffer_asks_for_the_next_segment_when_it_fits() -> None:
    config = PlayerConfig(
        controller="throughput", startup_buffer_s=0.0, buffer_s_max=6.0, abandon=PLAIN.abandon
    )
    world = World(viewer(config=config), presentation(), rate_kbps=1e6)
    world.run()
    times = [at_s for at_s, request in world.sent if request.kind == "segment"]
    # Three fit at once; from then on one each 2 s of playback, which began at once.
    assert times[:3] == pytest.approx([0.0, 0.0, 0.0], abs=0.02)
    assert times[3:] == pytest.approx([2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0], abs=0.02)


def test_segments_longer_than_the_buffer_limit_still_play_without_stalls() -> None:
    config = PlayerConfig(
        controller="throughput", startup_buffer_s=0.0, buffer_s_max=5.0, abandon=PLAIN.abandon
    )
    title = presentation(count=4, duration_s=12.0)
    world = World(viewer(config=config), title, rate_kbps=4000.0)
    world.run()
    assert only_session(world).stalled_s == 0.0
    assert only_session(world).ended == "finished"


def test_playback_needs_both_tracks() -> None:
    title = presentation(audio_kbps=1000.0, count=3)
    world = World(viewer(config=PLAIN), title, rate_kbps=4000.0)
    world.run()
    session = only_session(world)
    assert session.startup_s == pytest.approx(1.0, abs=1e-3)  # 500 kB at 500 kB/s
    assert session.segment_count == 3


def test_audio_does_not_run_ahead_of_slow_video() -> None:
    title = presentation((1000.0,), audio_kbps=64.0, count=5)
    world = World(viewer(config=PLAIN), title, rate_kbps=900.0)
    world.run()
    order = [request.url for _, request in world.sent if request.kind == "segment"]
    seen: dict[str, int] = {"v": 0, "a": 0}
    for url in order:
        seen["a" if "/a0/" in url else "v"] += 1
        assert seen["a"] <= seen["v"] + 1


def test_first_title_starts_on_the_lowest_rung_and_climbs() -> None:
    world = World(viewer(), presentation(LADDER), rate_kbps=20_000.0, latency_s=0.02)
    world.run()
    sent = segments_sent(world)
    assert sent[0] == "v0/1.m4s"
    assert sent[1] == "v2/2.m4s"
    assert only_session(world).switch_count == 1


def test_next_title_starts_where_the_last_one_ended() -> None:
    items = (PlayItem(url=MPD), PlayItem(url=MPD, is_next_episode=True, gap_s=1.5))
    world = World(viewer(*items), presentation(LADDER), rate_kbps=20_000.0)
    world.run()
    first, second = world.core.report().sessions
    assert segments_sent(world)[10] == "v2/1.m4s"
    assert (first.is_next_episode, second.is_next_episode) == (False, True)
    assert (first.session_id, second.session_id) == ("v-1", "v-2")
    assert second.switch_count == 0
    starts = [at_s for at_s, request in world.sent if request.kind == "manifest"]
    assert first.startup_s is not None
    assert starts[1] == pytest.approx(starts[0] + first.startup_s + first.played_s + 1.5)
    ids = [request.request_id for _, request in world.sent]
    assert len(set(ids)) == len(ids)


def test_viewer_leaves_after_what_was_planned() -> None:
    world = World(viewer(PlayItem(url=MPD, watch_s=5.0), config=PLAIN), presentation())
    world.run()
    session = only_session(world)
    assert session.ended == "left"
    assert session.played_s == pytest.approx(5.0)
    assert session.segment_count == 3
    assert world.ended == [ev.SessionEnded(reason="left")]


def test_leaving_cancels_what_is_under_way_and_ends_the_plan() -> None:
    items = (PlayItem(url=MPD), PlayItem(url=MPD))
    core = viewer(*items, config=PLAIN)
    world = World(core, presentation(audio_kbps=64.0), rate_kbps=500.0)
    world.run(until_s=1.0)
    world.feed(ev.Leave())
    assert core.is_done
    assert core.deadline_s() is None
    assert len(world.cancelled) == 1
    assert only_session(world).startup_s is None
    assert [each.reason for each in world.ended] == ["left"]


def test_drop_of_the_rate_abandons_the_segment_before_playback_runs_dry() -> None:
    config = CLIMBING
    title = presentation(LADDER, count=20)
    dropping = World(viewer(config=config), title, rate_kbps=lambda t: 9000.0 if t < 9 else 700.0)
    dropping.run()
    stubborn = World(
        viewer(config=msgspec.structs.replace(config, abandon=AbandonConfig(is_on=False))),
        title,
        rate_kbps=lambda t: 9000.0 if t < 9 else 700.0,
    )
    stubborn.run()
    saved, lost = only_session(dropping), only_session(stubborn)
    assert saved.abandon_count >= 1
    assert saved.stalled_s < 0.2
    assert lost.stalled_s > 2.0


def test_outage_in_the_middle_of_a_segment_is_noticed_without_any_bytes() -> None:
    config = CLIMBING

    def rate(now_s: float) -> float:
        return 0.0 if 10.2 <= now_s < 17.2 else 6000.0

    world = World(viewer(config=config), presentation(LADDER, count=12), rate_kbps=rate)
    world.run()
    cancels = [record for record in world.cancelled if record]
    assert cancels
    assert only_session(world).abandon_count >= 1
    assert only_session(world).ended == "finished"


def test_abandonments_of_one_segment_are_bounded() -> None:
    config = msgspec.structs.replace(
        CLIMBING, abandon=AbandonConfig(count_max=1), request_timeout_s=1000.0
    )
    ladder = (500.0, 1000.0, 2000.0, 4000.0)
    world = World(
        viewer(config=config),
        presentation(ladder, count=12),
        rate_kbps=lambda t: 9000.0 if t < 9 else 300.0,
    )
    world.run()
    sent = segments_sent(world)
    numbers = [name.split("/")[1] for name in sent]
    assert max(numbers.count(number) for number in numbers) == 2


def test_failed_segment_is_tried_again_with_growing_waits() -> None:
    failures = {f"{BASE}/v0/2.m4s": 3}

    def fail(request: ev.SendRequest) -> ev.ResponseFailed | None:
        if failures.get(request.url, 0) == 0:
            return None
        failures[request.url] -= 1
        return ev.ResponseFailed(request_id=request.request_id, detail="cut off")

    world = World(viewer(config=PLAIN), presentation(), rate_kbps=8000.0, failure=fail)
    world.run()
    tries = [at_s for at_s, request in world.sent if request.url.endswith("v0/2.m4s")]
    waits = [b - a for a, b in itertools.pairwise(tries)]
    assert waits == pytest.approx([0.5, 1.0, 2.0])
    session = only_session(world)
    assert session.ended == "finished"
    assert session.stalled_s == pytest.approx(3.5 + 0.25 - 2.0, abs=1e-4)


def test_rung_that_is_missing_is_avoided_for_its_neighbour() -> None:
    def fail(request: ev.SendRequest) -> ev.ResponseFailed | None:
        if "/v2/" not in request.url or request.kind == "init":
            return None
        return ev.ResponseFailed(request_id=request.request_id, detail="HTTP 404", status=404)

    world = World(
        viewer(config=PLAIN), presentation(LADDER, count=6), rate_kbps=20_000.0, failure=fail
    )
    world.run()
    assert segments_sent(world)[:4] == ["v0/1.m4s", "v2/2.m4s", "v1/2.m4s", "v1/3.m4s"]
    assert only_session(world).ended == "finished"


def test_what_is_buffered_is_played_before_giving_up() -> None:
    def fail(request: ev.SendRequest) -> ev.ResponseFailed | None:
        number = (
            int(request.url.rsplit("/", 1)[1].split(".")[0])
            if "/v0/" in request.url and (request.kind == "segment")
            else 0
        )
        if number < 7:
            return None
        return ev.ResponseFailed(request_id=request.request_id, detail="HTTP 502", status=502)

    config = PlayerConfig(
        controller="throughput", startup_buffer_s=0.0, retry=RetryConfig(count_max=2)
    )
    world = World(viewer(config=config), presentation(), rate_kbps=8000.0, failure=fail)
    world.run()
    session = only_session(world)
    assert session.ended == "failed"
    assert session.played_s == pytest.approx(12.0)
    assert "/v0/7.m4s: HTTP 502" in session.detail


def test_request_that_brings_nothing_is_given_up_and_repeated() -> None:
    config = PlayerConfig(
        controller="throughput", startup_buffer_s=0.0, request_timeout_s=3.0, abandon=PLAIN.abandon
    )
    world = World(
        viewer(config=config), presentation(), rate_kbps=lambda t: 0.0 if 0.4 <= t < 5 else 8000.0
    )
    world.run()
    session = only_session(world)
    assert session.ended == "finished"
    assert len(world.cancelled) == 1
    assert session.stall_count == 1


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (503, 3), (None, 3)])
def test_manifest_that_cannot_be_had_fails_after_its_tries(status: int | None, tries: int) -> None:
    def fail(request: ev.SendRequest) -> ev.ResponseFailed | None:
        return ev.ResponseFailed(request_id=request.request_id, detail="no", status=status)

    world = World(viewer(config=PLAIN), presentation(), failure=fail)
    world.run()
    assert len(world.sent) == tries
    session = only_session(world)
    assert (session.ended, session.startup_s) == ("failed", None)


def test_failed_title_ends_the_viewing() -> None:
    def fail(request: ev.SendRequest) -> ev.ResponseFailed | None:
        return ev.ResponseFailed(request_id=request.request_id, detail="no", status=404)

    core = viewer(PlayItem(url=MPD), PlayItem(url=MPD), config=PLAIN)
    world = World(core, presentation(), failure=fail)
    world.run()
    assert len(core.report().sessions) == 1


def test_edge_hits_are_counted_and_the_start_is_known() -> None:
    def status(url: str) -> str | None:
        return "edge; hit" if "/1.m4s" in url or "/2.m4s" in url else "edge; fwd=miss"

    title = presentation(audio_kbps=64.0, count=4)
    world = World(viewer(config=PLAIN), title, cache_status=status)
    world.run()
    session = only_session(world)
    assert session.started_from_edge is True
    assert session.edge_hit_count == 4
    assert session.response_count == 1 + 2 + 8
    assert session.hit_bytes == 2 * (250_000 + 16_000)
    without = World(viewer(config=PLAIN), title)
    without.run()
    assert only_session(without).started_from_edge is None
    half = World(
        viewer(config=PLAIN),
        title,
        cache_status=lambda url: "edge; hit" if "/v0/" in url else "edge; fwd=miss",
    )
    half.run()
    assert only_session(half).started_from_edge is False


def watch_two(*, hold_hits_min: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The rungs of a second title that the edge holds at v1, when the backhaul gives 1300 kbit/s
    and the last mile 9000."""
    monkeypatch.setattr("abr.selection.HOLD_HITS_MIN", hold_hits_min)
    items = (PlayItem(url=MPD), PlayItem(url=MPD, is_next_episode=True))

    def is_hit(url: str) -> bool:
        return bool(world.ended) and "/v2/" not in url and "/v0/" not in url

    # Trusted less, the low buffer at the start carries v0 only.
    cautious = ControllerSettings(throughput=ThroughputParams(low_buffer_safety_first=0.7))
    world = World(
        viewer(*items, config=msgspec.structs.replace(PLAIN, controllers=cautious)),
        presentation(LADDER, count=8),
        rate_kbps=9000.0,
        flow_kbps=lambda url: 9000.0 if is_hit(url) else 1300.0,
        cache_status=lambda url: "edge; hit" if is_hit(url) else "edge; fwd=miss",
    )
    world.run()
    return [name.split("/")[0] for name in segments_sent(world)[8:]]


def test_rung_is_held_while_the_edge_delivers_it_and_hits_alone_climb_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert watch_two(hold_hits_min=2, monkeypatch=monkeypatch) == ["v1"] * 8
    # Without it the low buffer at the start would ask for v0, which the edge does not have.
    assert watch_two(hold_hits_min=99, monkeypatch=monkeypatch)[:2] == ["v1", "v0"]


def test_cmcd_says_what_is_asked_for() -> None:
    title = presentation(LADDER, audio_kbps=64.0, count=4)
    world = World(viewer(config=PLAIN), title, rate_kbps=1500.0, latency_s=0.05)
    world.run()
    by_url = {request.url: request for _, request in world.sent}
    manifest = by_url[MPD].cmcd
    assert (manifest.object_type, manifest.session_id, manifest.is_startup) == ("m", "v-1", True)
    first = by_url[f"{BASE}/v0/1.m4s"].cmcd
    assert (first.object_type, first.stream_format, first.stream_type) == ("v", "d", "v")
    assert (first.bitrate_kbps, first.top_bitrate_kbps, first.duration_s) == (500.0, 4000.0, 2.0)
    assert first.next_object == "2.m4s"
    assert first.throughput_kbps is None
    assert first.is_startup
    audio = by_url[f"{BASE}/a0/3.m4s"].cmcd
    assert audio.object_type == "a"
    assert not audio.is_startup
    assert audio.buffer_s is not None
    assert audio.throughput_kbps is not None
    assert by_url[f"{BASE}/v0/init.mp4"].cmcd.object_type == "i"
    read = from_request(f"/x?CMCD={to_query(first)}", ())
    assert read is not None
    assert read.session_id == "v-1"


def test_starvation_is_told_once() -> None:
    world = World(viewer(config=PLAIN), presentation(count=4), rate_kbps=800.0)
    world.run()
    told = [request.cmcd.is_starved for _, request in world.sent if request.kind == "segment"]
    # The second segment is asked for before the first stall, the third in it.
    assert told == [False, False, True, True]


def test_changes_of_playback_are_recorded_in_order() -> None:
    recorder = ListRecorder()
    core = viewer(config=PLAIN, recorder=recorder)
    World(core, presentation(count=3), rate_kbps=800.0).run()
    states = [each.state for each in recorder.records if isinstance(each, PlaybackChanged)]
    assert states == ["playing", "stalled", "playing", "stalled", "playing", "ended"]


def test_late_news_of_a_cancelled_request_changes_nothing() -> None:
    core = viewer(config=PLAIN)
    world = World(core, presentation(), rate_kbps=500.0)
    world.run(until_s=1.0)
    before = core.report()
    core.handle(ev.BytesArrived(request_id=999, received_bytes=10), 1.0)
    core.handle(ev.ResponseEnded(request_id=999, size_bytes=10), 1.0)
    assert core.report() == before


def test_rung_that_ends_early_does_not_leave_playback_waiting() -> None:
    title = presentation((500.0, 1000.0), count=6)
    short = msgspec.structs.replace(title.video[1], segments=title.video[1].segments[:5])
    title = msgspec.structs.replace(title, video=(title.video[0], short))
    # So slow that playback is stalled when it turns out that nothing is left at this rung.
    config = msgspec.structs.replace(PLAIN, rebuffer_s=30.0, buffer_s_max=4.0)
    world = World(viewer(config=config), title, rate_kbps=1400.0)
    world.run()
    assert segments_sent(world)[-1] in ("v1/5.m4s", "v0/6.m4s")
    assert only_session(world).ended == "finished"
