"""The player and its steering server, on a virtual clock."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from abr import events as ev
from abr.config import AbandonConfig, PlayerConfig, SteeringConfig
from abr.drivers.failure_reports import line
from abr.report import SessionReport, SteeringReport
from abr.viewer import PlayItem
from nearcast.steering import PathwayClone, SteeringManifest, UriReplacement, encode
from origin.control.reports import errors_of
from tests.abr_world import MPD, STEERING_URL, World, presentation, viewer

HOME = "edge.test"
PLAIN = PlayerConfig(
    controller="throughput", startup_buffer_s=0.0, abandon=AbandonConfig(is_on=False)
)


def session(world: World) -> SessionReport:
    (only,) = world.core.report().sessions
    return only


def steered(world: World) -> SteeringReport:
    report = session(world).steering
    assert report is not None
    return report


def host_of(request: ev.SendRequest) -> str:
    return urlsplit(request.url).netloc


def hosts_by_segment(world: World) -> list[str]:
    return [host_of(r) for _, r in world.sent if r.kind == "segment"]


def clone(name: str, **rules: Any) -> PathwayClone:
    rules.setdefault("host", f"{name}.test")
    return PathwayClone(id=name, replacement=UriReplacement(**rules))


def offer(
    question: ev.AskSteering, *pathways: str, ttl_s: float = 10.0, **more: Any
) -> ev.SteeringAnswered:
    """Every pathway but home is a host of its own."""
    more.setdefault("clones", tuple(clone(each) for each in pathways if each != "home"))
    manifest = SteeringManifest(pathways=pathways, ttl_s=ttl_s, **more)
    return ev.SteeringAnswered(
        request_id=question.request_id, url=question.url, text=encode(manifest)
    )


def refusal(question: ev.AskSteering, status: int, after_s: float | None = None) -> ev.Event:
    return ev.ResponseFailed(
        request_id=question.request_id,
        detail=f"HTTP {status}",
        status=status,
        retry_after_s=after_s,
    )


def no_connection(request: ev.SendRequest) -> ev.ResponseFailed:
    return ev.ResponseFailed(request_id=request.request_id, detail="cannot connect")


def test_title_begins_where_the_server_says() -> None:
    world = World(
        viewer(config=PLAIN), presentation(count=5), steering=lambda q: offer(q, "b", "home")
    )
    world.run()
    assert session(world).ended == "finished"
    assert set(hosts_by_segment(world)) == {"b.test"}
    assert [host_of(r) for _, r in world.sent if r.kind == "manifest"] == [HOME]
    assert world.asked[0][1].url == STEERING_URL, "nothing was measured yet"
    (use,) = steered(world).pathways
    assert (use.pathway, use.host, use.segment_count) == ("b", "b.test", 5)


def test_player_moves_between_segments_when_the_order_changes() -> None:
    def answer(question: ev.AskSteering) -> ev.Event:
        return offer(question, *(("b", "c") if world.now_s < 15 else ("c", "b")), "home")

    world = World(viewer(config=PLAIN), presentation(count=40), steering=answer)
    world.run()
    seen = session(world)
    assert (seen.ended, seen.stalled_s, seen.failure_count) == ("finished", 0.0, 0)
    assert not world.cancelled, "what is under way is never moved"
    hosts = hosts_by_segment(world)
    assert hosts == sorted(hosts)
    assert set(hosts) == {"b.test", "c.test"}
    (switch,) = steered(world).switches
    assert (switch.from_pathway, switch.to_pathway, switch.reason) == ("b", "c", "steering")
    assert switch.at_s > 20


def test_question_tells_the_pathways_used_and_their_throughput() -> None:
    world = World(
        viewer(config=PLAIN), presentation(count=20), steering=lambda q: offer(q, "b", "home")
    )
    world.run()
    assert [at_s for at_s, _ in world.asked] == pytest.approx([0, 10, 20, 30, 40])
    told = parse_qs(urlsplit(world.asked[1][1].url).query)
    assert told["_DASH_pathway"] == ['"b"']
    (throughput,) = told["_DASH_throughput"]
    assert float(throughput) == pytest.approx(8_000_000, rel=0.02), "in bit/s"


def test_pathway_that_fails_is_left_at_once_and_tried_again_later() -> None:
    world = World(
        viewer(config=PLAIN),
        presentation(count=40),
        steering=lambda q: offer(q, "b", "c", "home"),
        failure=lambda r: (
            no_connection(r) if host_of(r) == "b.test" and 10 < world.now_s < 20 else None
        ),
    )
    world.run()
    seen = session(world)
    assert (seen.ended, seen.stalled_s) == ("finished", 0.0)
    assert seen.failover_count == seen.failure_count
    reasons = [(each.to_pathway, each.reason) for each in steered(world).switches]
    assert reasons == [("c", "failure"), ("b", "recovery")]


def test_pathways_that_no_order_names_are_the_last_resort() -> None:
    world = World(
        viewer(config=PLAIN),
        presentation(count=10),
        steering=lambda q: offer(q, "b", "c"),
        failure=lambda r: no_connection(r) if host_of(r) != HOME else None,
    )
    world.run()
    assert session(world).ended == "finished"
    assert {use.pathway for use in steered(world).pathways} == {"home"}


def test_silent_pathway_is_left_before_the_buffer_runs_dry() -> None:
    config = msgspec.structs.replace(PLAIN, buffer_s_max=6.0)
    world = World(
        viewer(config=config),
        presentation(count=20),
        steering=lambda q: offer(q, "b", "home"),
        hangs=lambda r: host_of(r) == "b.test" and world.now_s > 10,
    )
    world.run()
    seen = session(world)
    assert (seen.ended, seen.stalled_s) == ("finished", 0.0)
    assert steered(world).switches[0].reason == "failure"


def test_rest_of_a_segment_comes_from_the_next_pathway() -> None:
    world = World(
        viewer(config=PLAIN),
        presentation(count=10),
        steering=lambda q: offer(q, "b", "c"),
        failure=lambda r: no_connection(r) if is_dead() and host_of(r) == "b.test" else None,
        breaks_after=lambda r: 100_000 if "b.test/media/film/v0/4." in r.url else None,
        etag='"x"',
    )

    def is_dead() -> bool:
        return any("b.test/media/film/v0/4." in r.url for _, r in world.sent[:-1])

    world.run()
    seen = session(world)
    assert (seen.ended, seen.stalled_s) == ("finished", 0.0)
    tries = [r for _, r in world.sent if r.url.endswith("/v0/4.m4s")]
    assert [host_of(r) for r in tries] == ["b.test", "b.test", "c.test"]
    assert tries[-1].byte_range is not None
    assert tries[-1].validator == '"x"', "the rest is only good if it is of the same file"
    assert 100_000 <= tries[-1].byte_range.first < 120_000
    manifest_bytes = len(world._text)
    media_bytes = 10 * 250_000 + 1
    assert session(world).received_bytes - manifest_bytes == media_bytes, "nothing came twice"


@pytest.mark.parametrize("status", [500, 404, 503])
def test_title_plays_on_without_the_server_which_is_asked_ever_later(status: int) -> None:
    world = World(
        viewer(config=PLAIN), presentation(count=60), steering=lambda q: refusal(q, status)
    )
    world.run()
    assert session(world).ended == "finished"
    assert set(hosts_by_segment(world)) == {HOME}
    assert [at_s for at_s, _ in world.asked] == pytest.approx([0, 10, 30, 70])
    report = steered(world)
    assert (report.answer_count, report.failure_count) == (0, 4)
    assert report.answers[0].detail == f"HTTP {status}"
    assert session(world).startup_s == pytest.approx(0.25, abs=0.05), "an error is not waited for"


def test_last_answer_holds_while_the_server_is_away() -> None:
    world = World(
        viewer(config=PLAIN),
        presentation(count=20),
        steering=lambda q: offer(q, "b", "home") if world.now_s < 5 else refusal(q, 502),
    )
    world.run()
    assert set(hosts_by_segment(world)) == {"b.test"}
    assert len(world.asked) >= 4, "never later than the TTL that was in force"


def test_server_that_is_silent_holds_the_start_for_a_moment_and_is_given_up() -> None:
    world = World(viewer(config=PLAIN), presentation(count=20), steering=lambda q: None)
    world.run()
    seen = session(world)
    assert seen.ended == "finished"
    assert seen.startup_s == pytest.approx(SteeringConfig().wait_s + 0.25, abs=0.05)
    assert len(world.asked) >= 2
    report = steered(world)
    assert report.answers[0].at_s == pytest.approx(SteeringConfig().timeout_s)
    assert report.answers[0].detail == "no answer within 5 s"


def test_gone_means_never_again() -> None:
    world = World(
        viewer(config=PLAIN),
        presentation(count=30),
        steering=lambda q: offer(q, "b") if len(world.asked) == 1 else refusal(q, 410),
    )
    world.run()
    assert len(world.asked) == 2
    assert steered(world).is_stopped
    assert set(hosts_by_segment(world)) == {"b.test"}


@pytest.mark.parametrize(("after_s", "second_s"), [(25.0, 25.0), (None, 300.0), (0.0, 1.0)])
def test_too_many_questions_means_later(after_s: float | None, second_s: float) -> None:
    world = World(
        viewer(config=PLAIN),
        presentation(count=160),
        steering=lambda q: refusal(q, 429, after_s) if len(world.asked) == 1 else offer(q, "b"),
    )
    world.run()
    assert world.asked[1][0] == pytest.approx(second_s)


def test_next_question_goes_where_the_answer_says() -> None:
    world = World(
        viewer(config=PLAIN),
        presentation(count=10),
        steering=lambda q: offer(q, "home", reload_uri="film?tried=b"),
    )
    world.run()
    assert world.asked[1][1].url.startswith(f"{STEERING_URL}?tried=b&_DASH_pathway=")


@pytest.mark.parametrize("uri", ["ftp://steering.test/x", "http://[bad", "data:text/plain,x"])
def test_bad_reload_uri_is_not_followed(uri: str) -> None:
    world = World(
        viewer(config=PLAIN),
        presentation(count=10),
        steering=lambda q: offer(q, "home", reload_uri=uri),
    )
    world.run()
    assert world.asked[1][1].url.startswith(STEERING_URL)


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"VERSION": 2, "PATHWAY-PRIORITY": ["b"]}'])
def test_answer_that_is_none_changes_nothing(text: bytes) -> None:
    world = World(
        viewer(config=PLAIN),
        presentation(count=10),
        steering=lambda q: ev.SteeringAnswered(request_id=q.request_id, url=q.url, text=text),
    )
    world.run()
    assert session(world).ended == "finished"
    assert steered(world).failure_count >= 1
    assert set(hosts_by_segment(world)) == {HOME}


def test_clones_from_more_hosts_than_may_be_are_left_out() -> None:
    names = [f"e{number:02}" for number in range(40)]
    config = msgspec.structs.replace(PLAIN, steering=SteeringConfig(host_count_max=3))
    world = World(
        viewer(config=config),
        presentation(count=10),
        steering=lambda q: offer(q, *names, "home"),
        failure=lambda r: no_connection(r) if host_of(r) != HOME else None,
    )
    world.run()
    assert session(world).ended == "finished"
    asked = {host_of(r) for _, r in world.sent}
    assert asked == {HOME, "e00.test", "e01.test", "e02.test"}
    assert steered(world).answers[0].clone_count == 3


def test_hosts_that_are_not_allowed_are_not_asked_where_that_is_wanted() -> None:
    config = msgspec.structs.replace(
        PLAIN,
        steering=SteeringConfig(hosts="allowed"),
        allow_hosts=("steering.test", "c.test"),
    )
    world = World(
        viewer(config=config), presentation(count=10), steering=lambda q: offer(q, "b", "c")
    )
    world.run()
    assert set(hosts_by_segment(world)) == {"c.test"}
    nobody = msgspec.structs.replace(config, allow_hosts=("c.test",))
    world = World(
        viewer(config=nobody), presentation(count=10), steering=lambda q: offer(q, "b", "c")
    )
    world.run()
    assert not world.asked
    assert set(hosts_by_segment(world)) == {HOME}
    assert steered(world).answers[0].detail == "steering.test is not among allow_hosts"


def test_steering_can_be_turned_off() -> None:
    config = msgspec.structs.replace(PLAIN, steering=SteeringConfig(is_on=False))
    world = World(viewer(config=config), presentation(count=5), steering=lambda q: offer(q, "b"))
    world.run()
    assert not world.asked
    assert session(world).steering is None
    assert set(hosts_by_segment(world)) == {HOME}


def test_manifest_that_does_not_want_it_asked_first_has_it_asked_after_a_segment() -> None:
    core = viewer(config=PLAIN)
    world = World(core, presentation(count=10), steering=lambda q: offer(q, "b", "home"))
    world._text = world._text.replace(b' queryBeforeStart="true"', b"")
    world.run()
    hosts = hosts_by_segment(world)
    assert hosts[0] == HOME
    assert set(hosts[2:]) == {"b.test"}
    first_s = next(at_s for at_s, _ in world.asked)
    assert first_s == pytest.approx(0.25, abs=0.05)
    assert "_DASH_pathway=%22home%22" in world.asked[0][1].url
    assert world.sent[0][1].url == MPD


def test_leaving_ends_the_question() -> None:
    world = World(viewer(config=PLAIN), presentation(count=10), steering=lambda q: None)
    world.run(until_s=0.5)
    (question,) = [each for _, each in world.asked]
    world.feed(ev.Leave())
    assert question.request_id in world.cancelled
    assert world.core.deadline_s() is None


def test_segment_under_way_counts_where_it_was_asked_for_although_the_clone_moves() -> None:
    def answer(question: ev.AskSteering) -> ev.Event:
        host = "b.test" if len(world.asked) == 1 else "c.test"
        return offer(question, "x", "home", ttl_s=1.0, clones=(clone("x", host=host),))

    world = World(viewer(config=PLAIN), presentation(count=10), rate_kbps=1500.0, steering=answer)
    world.run()
    (use,) = steered(world).pathways
    assert (use.pathway, use.segment_count) == ("x", 10)
    assert set(hosts_by_segment(world)) == {"b.test", "c.test"}


def test_failed_requests_are_reported_where_that_is_wanted() -> None:
    def fail(request: ev.SendRequest) -> ev.ResponseFailed | None:
        if host_of(request) == "b.test":
            return no_connection(request)
        if host_of(request) == "c.test":
            return ev.ResponseFailed(request_id=request.request_id, detail="x", status=500)
        return None

    token = UriReplacement(host="b.test", params={"token": "secret"})
    clones = (PathwayClone(id="b", replacement=token), clone("c"))
    config = msgspec.structs.replace(PLAIN, cmcd_events_url="http://origin.test/v1/cmcd")
    worlds = [
        World(
            viewer(config=each),
            presentation(count=3),
            steering=lambda q: offer(q, "b", "c", "home", clones=clones),
            failure=fail,
        )
        for each in (config, PLAIN)
    ]
    for world in worlds:
        world.run()
        assert session(world).ended == "finished"
    told, untold = worlds
    assert not untold.reported
    assert len(told.reported) == session(told).failure_count > 0
    lines = "".join(line(each, 1_700_000_000.0) for each in told.reported)
    assert "secret" not in lines
    assert f'cid="{told.sent[0][1].cmcd.content_id}",e=rr,rc=0,sid="v-1",ts=17000000' in lines
    # As an origin reads it.
    found, count = errors_of(lines, {"b.test": "b", "c.test": "c"})
    assert count == len(told.reported)
    assert found["b"] == sum(each.status == 0 for each in told.reported)
    assert found["c"] == sum(each.status == 500 for each in told.reported)


@pytest.mark.parametrize("url", ["origin.test", "ftp://a.test/", "http://u:p@a.test/", "http://"])
def test_collector_must_be_a_url(url: str) -> None:
    with pytest.raises(ValueError, match="cmcd_events_url"):
        PlayerConfig(cmcd_events_url=url)


MASTER = """#EXTM3U
#EXT-X-CONTENT-STEERING:SERVER-URI="http://steering.test/film",PATHWAY-ID="two"
#EXT-X-STREAM-INF:BANDWIDTH=900000,CODECS="avc1.42c00d",PATHWAY-ID="one",STABLE-VARIANT-ID="v"
one/v.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=900000,CODECS="avc1.42c00d",PATHWAY-ID="two",STABLE-VARIANT-ID="v"
two/v.m3u8
"""
PLAYLIST = """#EXTM3U
#EXT-X-TARGETDURATION:4
#EXTINF:4,
1.ts
#EXTINF:4,
2.ts
#EXT-X-ENDLIST
"""


def answered(core: Any, request: ev.SendRequest, text: str = "") -> list[Any]:
    """A whole answer; what the player wants next."""
    size_bytes = len(text) or 1000
    for event in (
        ev.ResponseStarted(request_id=request.request_id, status=200, url=request.url),
        ev.BytesArrived(request_id=request.request_id, received_bytes=size_bytes),
        ev.ResponseEnded(
            request_id=request.request_id, size_bytes=size_bytes, text=text.encode() or None
        ),
    ):
        core.handle(event, 0.1)
    effects: list[Any] = core.drain()
    return effects


@pytest.mark.parametrize("is_on", [True, False])
def test_hls_begins_on_the_pathway_of_its_tag_and_asks_meanwhile(is_on: bool) -> None:
    url = "http://edge.test/film/master.m3u8"
    config = msgspec.structs.replace(PLAIN, steering=SteeringConfig(is_on=is_on))
    core = viewer(PlayItem(url=url), config=config)
    core.handle(ev.Start(), 0.0)
    (master,) = (each for each in core.drain() if isinstance(each, ev.SendRequest))
    wanted = answered(core, master, MASTER)
    (playlist,) = (each for each in wanted if isinstance(each, ev.SendRequest))
    questions = [each.url for each in wanted if isinstance(each, ev.AskSteering)]
    if not is_on:
        assert (playlist.url, questions) == ("http://edge.test/film/one/v.m3u8", [])
        return
    assert playlist.url == "http://edge.test/film/two/v.m3u8"
    assert questions == ["http://steering.test/film?_HLS_pathway=%22two%22"]
    (segment,) = answered(core, playlist, PLAYLIST)
    assert segment.url == "http://edge.test/film/two/1.ts", "the answer is not waited for"
    clones = clone("three", variant_uris={"v": "http://c.test/x/v.m3u8"})
    manifest = SteeringManifest(pathways=("three", "one"), clones=(clones,))
    (question,) = (each for each in wanted if isinstance(each, ev.AskSteering))
    core.handle(
        ev.SteeringAnswered(
            request_id=question.request_id, url=question.url, text=encode(manifest)
        ),
        0.1,
    )
    assert not core.drain(), "not even by an answer is a segment under way moved"
    (following,) = answered(core, segment)
    # A clone of `home`, which this manifest does not name, is none.
    assert following.url == "http://edge.test/film/one/2.ts"
