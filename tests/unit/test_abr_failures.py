"""The player among hosts, rungs and connections that fail, on a virtual clock."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from abr import events as ev
from abr.answers import SLICE_BYTES_MAX
from abr.config import AbandonConfig, PlayerConfig, RetryConfig
from abr.report import SessionReport
from abr.viewer import PlayItem, ViewerCore
from nearcast.media import ByteRange
from tests.abr_world import BASE, MPD, World, presentation, viewer

HOME = "edge.test"
OTHER = "other.test"
PLAIN = PlayerConfig(
    controller="throughput", startup_buffer_s=0.0, abandon=AbandonConfig(is_on=False)
)
TWO_HOSTS = msgspec.structs.replace(PLAIN, fallback_hosts=(OTHER,))
LADDER = (500.0, 1000.0, 4000.0)


def session(world: World) -> SessionReport:
    (only,) = world.core.report().sessions
    return only


def host_of(request: ev.SendRequest) -> str:
    return urlsplit(request.url).netloc


def no_connection(request: ev.SendRequest) -> ev.ResponseFailed:
    return ev.ResponseFailed(request_id=request.request_id, detail="cannot connect")


def status(request: ev.SendRequest, code: int, **more: float) -> ev.ResponseFailed:
    detail = f"HTTP {code}"
    return ev.ResponseFailed(
        request_id=request.request_id, detail=detail, status=code, retry_after_s=more.get("after_s")
    )


def number_of(request: ev.SendRequest) -> int:
    name = request.url.rsplit("/", 1)[1].split(".")[0]
    return int(name) if request.kind == "segment" else 0


def names(world: World) -> list[str]:
    return [
        f"{host_of(r)} {r.url.split('/film/')[1]}" for _, r in world.sent if r.kind == "segment"
    ]


def test_host_that_refuses_is_left_for_the_other_without_a_stall() -> None:
    world = World(
        viewer(config=TWO_HOSTS),
        presentation(count=20),
        failure=lambda r: no_connection(r) if host_of(r) == HOME and world.now_s > 5 else None,
    )
    world.run()
    seen = session(world)
    assert (seen.ended, seen.stalled_s) == ("finished", 0.0)
    assert seen.played_s == pytest.approx(40.0)
    assert seen.failover_count >= 1
    assert {use.host for use in seen.hosts} == {HOME, OTHER}
    assert seen.failure_count == seen.retry_count == sum(use.failure_count for use in seen.hosts)


def test_manifest_comes_from_the_other_host_when_the_first_is_down() -> None:
    world = World(
        viewer(config=TWO_HOSTS),
        presentation(count=3),
        failure=lambda r: no_connection(r) if host_of(r) == HOME else None,
    )
    world.run()
    assert session(world).ended == "finished"
    assert [host_of(r) for _, r in world.sent[:3]] == [HOME, OTHER, OTHER]
    assert world.sent[1][0] == 0.0, "nobody waits for a host that is down"


def test_recovered_host_is_preferred_again_after_a_probe() -> None:
    world = World(
        viewer(config=TWO_HOSTS),
        presentation(count=40),
        failure=lambda r: (
            no_connection(r) if host_of(r) == HOME and 10 < world.now_s < 20 else None
        ),
    )
    world.run()
    last = [host_of(r) for at_s, r in world.sent if at_s > 40]
    assert set(last) == {HOME}
    tried = [at_s for at_s, r in world.sent if 10 < at_s < 20 and host_of(r) == HOME]
    assert 1 <= len(tried) <= 3, "waits double: 2, 4, 8 s"
    assert session(world).stalled_s == 0.0


def test_host_that_hangs_is_left_after_a_short_while_if_there_is_another() -> None:
    world = World(
        viewer(config=TWO_HOSTS),
        presentation(count=20),
        hangs=lambda r: host_of(r) == HOME and world.now_s > 5,
    )
    world.run()
    seen = session(world)
    assert (seen.ended, seen.stalled_s) == ("finished", 0.0)
    assert len(world.cancelled) >= 1
    alone = World(viewer(config=PLAIN), presentation(count=20), hangs=lambda r: r.request_id == 8)
    alone.run()
    assert len(alone.cancelled) == 1
    times = [at_s for at_s, r in alone.sent if number_of(r)]
    assert max(b - a for a, b in itertools.pairwise(times)) > 15.0


def test_probe_waits_for_a_full_enough_buffer() -> None:
    """A hanging host costs `failover_s` each time: no time for that while the buffer is low."""
    config = msgspec.structs.replace(TWO_HOSTS, buffer_s_max=8.0)
    world = World(
        viewer(config=config),
        presentation(count=30),
        hangs=lambda r: host_of(r) == HOME and r.kind != "manifest",
    )
    world.run()
    seen = session(world)
    assert seen.stalled_s == 0.0
    to_home = [r for _, r in world.sent if host_of(r) == HOME and r.kind == "segment"]
    assert len(to_home) == 1


@pytest.mark.parametrize("code", [500, 503])
def test_error_of_one_host_sends_the_same_segment_to_the_other_at_once(code: int) -> None:
    world = World(
        viewer(config=TWO_HOSTS),
        presentation(count=10),
        failure=lambda r: status(r, code) if host_of(r) == HOME and number_of(r) == 3 else None,
    )
    world.run()
    tries = [(at_s, host_of(r)) for at_s, r in world.sent if number_of(r) == 3]
    assert [host for _, host in tries] == [HOME, OTHER]
    assert tries[0][0] == tries[1][0]


def test_retry_after_is_kept_to_up_to_a_bound() -> None:
    config = msgspec.structs.replace(PLAIN, retry=RetryConfig(retry_after_s_max=6.0))
    for asked_s, waited_s in ((3.0, 3.0), (3600.0, 6.0)):
        failed: list[float] = []

        def fail(
            r: ev.SendRequest, failed: list[float] = failed, asked_s: float = asked_s
        ) -> ev.ResponseFailed | None:
            if number_of(r) != 3 or failed:
                return None
            failed.append(1.0)
            return status(r, 503, after_s=asked_s)

        world = World(viewer(config=config), presentation(), failure=fail)
        world.run()
        first, second = (at_s for at_s, r in world.sent if number_of(r) == 3)
        assert second - first == pytest.approx(waited_s)


@pytest.mark.parametrize("code", [404, 410, 500, 502])
def test_rung_that_fails_is_replaced_at_once(code: int) -> None:
    world = World(
        viewer(config=PLAIN),
        presentation(LADDER, count=12),
        rate_kbps=20_000.0,
        failure=lambda r: status(r, code) if "/v2/" in r.url and number_of(r) >= 4 else None,
    )
    world.run()
    tries = [(at_s, r.url.removeprefix(BASE)) for at_s, r in world.sent if number_of(r) == 4]
    assert [url for _, url in tries] == ["/v2/4.m4s", "/v1/4.m4s"]
    assert tries[0][0] == tries[1][0]
    assert session(world).stalled_s == 0.0


def test_rung_that_vanished_for_good_is_asked_for_a_few_times_only() -> None:
    world = World(
        viewer(config=PLAIN),
        presentation(LADDER, count=1000),
        rate_kbps=20_000.0,
        failure=lambda r: status(r, 404) if "/v2/" in r.url else None,
    )
    world.run(until_s=1900.0)
    asked = Counter(r.url.split("/film/")[1][:2] for _, r in world.sent if r.kind == "segment")
    assert 1 <= asked["v2"] <= 4, asked
    assert session(world).stalled_s == 0.0


def test_segment_missing_at_every_rung_is_jumped_over() -> None:
    world = World(
        viewer(config=PLAIN),
        presentation(LADDER, count=10),
        rate_kbps=20_000.0,
        failure=lambda r: status(r, 404) if number_of(r) == 5 else None,
    )
    world.run()
    seen = session(world)
    assert (seen.ended, seen.stalled_s) == ("finished", 0.0)
    assert (seen.skipped_count, seen.segment_count) == (1, 9)
    assert seen.skipped_s == pytest.approx(2.0)
    assert seen.played_s == pytest.approx(18.0)
    assert seen.startup_s is not None
    assert world.now_s == pytest.approx(seen.startup_s + 18.0)
    rungs = [r.url.split("/film/")[1][:2] for _, r in world.sent if number_of(r) == 5]
    assert set(rungs) == {"v0", "v1", "v2"}
    assert len(rungs) <= 5
    after = [r.url.split("/film/")[1][:2] for _, r in world.sent if number_of(r) > 5]
    assert set(after) == {"v2"}, "no rung is blamed for what none of them has"


@pytest.mark.parametrize(("missing", "played_s"), [((1,), 18.0), ((10,), 18.0), ((2, 3, 4), 14.0)])
def test_holes_at_the_ends_and_in_a_row_are_jumped_over(
    missing: tuple[int, ...], played_s: float
) -> None:
    world = World(
        viewer(config=PLAIN),
        presentation(count=10),
        failure=lambda r: status(r, 404) if number_of(r) in missing else None,
    )
    world.run()
    seen = session(world)
    assert (seen.ended, seen.skipped_count) == ("finished", len(missing))
    assert seen.played_s == pytest.approx(played_s)


@pytest.mark.parametrize(
    ("missing", "played_s"), [((5, 6, 7, 8), 8.0), ((9, 10), 16.0)], ids=["row", "end"]
)
def test_too_many_holes_fail_once_the_rest_is_played(
    missing: tuple[int, ...], played_s: float
) -> None:
    world = World(
        viewer(config=PLAIN),
        presentation(count=10),
        failure=lambda r: status(r, 404) if number_of(r) in missing else None,
    )
    world.run()
    seen = session(world)
    assert seen.ended == "failed"
    assert seen.played_s == pytest.approx(played_s)
    assert "segments are missing at every rung" in seen.detail
    assert "HTTP 404" in seen.detail


def test_hole_in_the_audio_is_jumped_over_in_both() -> None:
    world = World(
        viewer(config=PLAIN),
        presentation(audio_kbps=64.0, count=10),
        failure=lambda r: status(r, 404) if "/a0/4." in r.url else None,
    )
    world.run()
    seen = session(world)
    assert (seen.ended, seen.skipped_count) == ("finished", 1)
    assert seen.played_s == pytest.approx(18.0)


@pytest.mark.parametrize("code", [404, 500])
def test_audio_that_vanishes_is_replaced_by_another_rendition(code: int) -> None:
    world = World(
        viewer(config=PLAIN),
        presentation(audio_kbps=(64.0, 128.0), count=10),
        failure=lambda r: status(r, code) if "/a0/" in r.url and number_of(r) >= 4 else None,
    )
    world.run()
    seen = session(world)
    assert (seen.ended, seen.skipped_count, seen.stalled_s) == ("finished", 0, 0.0)
    audio = [r.url.split("/film/")[1] for _, r in world.sent if "/a" in r.url and number_of(r)]
    assert audio[3:6] == ["a0/4.m4s", "a1/4.m4s", "a1/5.m4s"]


def test_hole_in_every_rendition_of_the_audio_is_one_hole() -> None:
    world = World(
        viewer(config=PLAIN),
        presentation(audio_kbps=(64.0, 128.0), count=10),
        failure=lambda r: status(r, 404) if "/a" in r.url and number_of(r) == 4 else None,
    )
    world.run()
    seen = session(world)
    assert (seen.ended, seen.skipped_count) == ("finished", 1)
    assert seen.played_s == pytest.approx(18.0)


def test_error_500_everywhere_is_no_hole() -> None:
    world = World(
        viewer(config=PLAIN),
        presentation(LADDER, count=10),
        failure=lambda r: status(r, 500) if number_of(r) == 5 else None,
    )
    world.run()
    seen = session(world)
    assert (seen.ended, seen.skipped_count) == ("failed", 0)
    assert "gave up after" in seen.detail


def test_missing_at_one_host_is_fetched_from_the_other_and_no_hole() -> None:
    world = World(
        viewer(config=TWO_HOSTS),
        presentation(LADDER, count=30),
        rate_kbps=20_000.0,
        failure=lambda r: status(r, 404) if host_of(r) == HOME and number_of(r) > 3 else None,
    )
    world.run()
    seen = session(world)
    assert (seen.ended, seen.skipped_count, seen.stalled_s) == ("finished", 0, 0.0)
    to_home = [r for _, r in world.sent if host_of(r) == HOME and number_of(r) > 3]
    assert len(to_home) < 10, "a host that lacks what the other has is left alone"
    rungs = {r.url.split("/film/")[1][:2] for _, r in world.sent if number_of(r) > 3}
    assert rungs == {"v2"}, "the rung is not to blame"


def test_broken_connection_is_gone_on_from_where_it_broke() -> None:
    world = World(
        viewer(config=PLAIN),
        presentation(count=6),
        breaks_after=lambda r: 100_000 if number_of(r) == 3 and not r.validator else None,
        etag='"v1"',
    )
    world.run()
    whole, rest = (r for _, r in world.sent if number_of(r) == 3)
    assert (whole.byte_range, whole.validator) == (None, None)
    assert rest.byte_range is not None
    assert rest.byte_range.last == 249_999
    assert 100_000 <= rest.byte_range.first <= 120_000
    assert rest.validator == '"v1"'
    seen = session(world)
    assert seen.ended == "finished"
    assert seen.bitrate_kbps == pytest.approx(1000.0), "the two parts make one segment"


def test_connection_that_breaks_again_and_again_still_gets_there() -> None:
    """250 kB a segment, and never more than 40 kB of it from one connection."""
    world = World(
        viewer(config=PLAIN),
        presentation(count=4),
        breaks_after=lambda r: 40_000 if number_of(r) else None,
        etag='"v1"',
    )
    world.run()
    seen = session(world)
    assert seen.ended == "finished"
    assert seen.stalled_s == pytest.approx(0.0, abs=0.01)
    assert seen.received_bytes < 4 * 250_000 * 1.1


def test_server_that_starts_over_each_time_is_not_hammered() -> None:
    """It says that it takes ranges, sends all of it, and breaks off."""
    world = World(
        viewer(config=PLAIN),
        presentation(count=4),
        breaks_after=lambda r: 40_000 if number_of(r) == 3 else None,
        etag='"v1"',
        takes_ranges=False,
    )
    world.run()
    seen = session(world)
    assert seen.ended == "failed"
    assert "gave up after" in seen.detail
    assert len([r for _, r in world.sent if number_of(r) == 3]) <= 8


def test_without_a_validator_a_broken_download_begins_again() -> None:
    world = World(
        viewer(config=PLAIN),
        presentation(count=4),
        breaks_after=lambda r: 40_000 if number_of(r) == 2 and world.now_s < 1.0 else None,
    )
    world.run()
    tries = [r.request_id for _, r in world.sent if number_of(r) == 2]
    assert len(tries) > 1
    assert all(r.byte_range is None for _, r in world.sent)
    assert session(world).ended == "finished"


def test_health_of_hosts_outlives_the_title() -> None:
    items = (PlayItem(url=MPD), PlayItem(url=MPD, is_next_episode=True))
    world = World(
        viewer(*items, config=TWO_HOSTS),
        presentation(count=2),
        failure=lambda r: no_connection(r) if host_of(r) == HOME else None,
    )
    world.run()
    first, second = world.core.report().sessions
    assert (first.ended, second.ended) == ("finished", "finished")
    assert second.failure_count == 0


RANGED = b"""<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"
  mediaPresentationDuration="PT4S" profiles="x" minBufferTime="PT2S"><Period>
  <AdaptationSet contentType="video" mimeType="video/mp4"><Representation id="v"
  bandwidth="100000" codecs="avc1.42c00d"><BaseURL>film.mp4</BaseURL>
  <SegmentList timescale="1" duration="2"><Initialization range="0-99"/>
  <SegmentURL mediaRange="100-199"/><SegmentURL mediaRange="200-299"/></SegmentList>
  </Representation></AdaptationSet></Period></MPD>"""


def requests_of(core: ViewerCore) -> list[ev.SendRequest]:
    return [each for each in core.drain() if isinstance(each, ev.SendRequest)]


def open_ranged(text: bytes = RANGED) -> tuple[ViewerCore, ev.SendRequest, ev.SendRequest]:
    """The init and first segment of a title that is one file, just asked for."""
    core = viewer(config=PLAIN)
    core.handle(ev.Start(), 0.0)
    (manifest,) = requests_of(core)
    core.handle(ev.ResponseStarted(request_id=manifest.request_id, status=200, url=MPD), 0.1)
    core.handle(
        ev.ResponseEnded(request_id=manifest.request_id, size_bytes=len(text), text=text), 0.1
    )
    init, segment = requests_of(core)
    return core, init, segment


def answer(core: ViewerCore, request: ev.SendRequest, at_s: float, **head: Any) -> None:
    core.handle(ev.ResponseStarted(request_id=request.request_id, url=request.url, **head), at_s)


def test_segment_is_cut_out_where_the_whole_file_comes() -> None:
    core, init, segment = open_ranged()
    for request, stop in ((init, 100), (segment, 200)):
        answer(core, request, 0.2, status=200, size_bytes=10_000)
        core.handle(ev.BytesArrived(request_id=request.request_id, received_bytes=stop - 1), 0.3)
        assert not core.drain()
        core.handle(ev.BytesArrived(request_id=request.request_id, received_bytes=5_000), 0.4)
        effects = core.drain()
        assert effects[0] == ev.CancelRequest(request_id=request.request_id)
    (following,) = (each for each in effects if isinstance(each, ev.SendRequest))
    assert following.byte_range is not None
    assert following.byte_range.first == 200
    status_now = core.status()
    assert status_now is not None
    assert status_now.buffered_end_s == pytest.approx(2.0)
    (seen,) = core.report().sessions
    assert seen.failure_count == 0


def test_bytes_of_another_place_are_no_segment() -> None:
    core, _, segment = open_ranged()
    answer(core, segment, 0.2, status=206, size_bytes=100, content_range=ByteRange(0, 99))
    effects = core.drain()
    assert effects[0] == ev.CancelRequest(request_id=segment.request_id)
    (seen,) = core.report().sessions
    assert (seen.failure_count, seen.response_count) == (1, 1)


def test_file_that_would_have_to_come_whole_for_every_segment_fails_the_title() -> None:
    first = str(2 * SLICE_BYTES_MAX).encode()
    core, _, segment = open_ranged(RANGED.replace(b"100-199", first + b"-" + first))
    answer(core, segment, 0.2, status=200, size_bytes=4 * SLICE_BYTES_MAX)
    assert core.is_done
    assert "ignores Range" in core.report().sessions[0].detail


@pytest.mark.parametrize("is_early", [True, False])
def test_damaged_and_hung_answers_are_no_samples_of_the_network(is_early: bool) -> None:
    world = World(
        viewer(config=TWO_HOSTS),
        presentation(LADDER, count=20),
        rate_kbps=20_000.0,
        hangs=lambda r: is_early and host_of(r) == HOME and number_of(r) == 5,
        failure=lambda r: (
            ev.ResponseFailed(request_id=r.request_id, detail="a page", is_damage=True)
            if not is_early and host_of(r) == HOME and number_of(r) == 5
            else None
        ),
    )
    world.run()
    rungs = {r.url.split("/film/")[1][:2] for _, r in world.sent if number_of(r) > 2}
    assert rungs == {"v2"}
