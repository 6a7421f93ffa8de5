"""Whatever a steering server says and whichever edges die, a title with a live home is played."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, urlsplit

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from abr import events as ev
from abr.config import PlayerConfig, RetryConfig
from abr.places import OPTION_COUNT_MAX, Places, with_params
from nearcast.errors import RemoteProtocolError
from nearcast.manifests import read_dash_tag
from nearcast.manifests.steering_tags import read_hls_tag
from nearcast.media import Base
from nearcast.seeds import Seeds
from nearcast.steering import PathwayClone, SteeringManifest, UriReplacement, encode
from tests.abr_world import World, presentation, viewer

EDGES = ("b", "c", "d")
HOME = "edge.test"
SEGMENTS, DURATION_S = 12, 2.0


class Death(msgspec.Struct, frozen=True, kw_only=True):
    """An edge refuses, is silent or knows nothing, for a while."""

    edge: str
    kind: str
    from_s: float
    for_s: float


DEATHS = st.lists(
    st.builds(
        Death,
        edge=st.sampled_from(EDGES),
        kind=st.sampled_from(["refused", "silent", "404", "500"]),
        from_s=st.floats(0.0, 20.0),
        for_s=st.floats(0.5, 60.0),
    ),
    max_size=4,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
ORDERS = st.lists(st.sampled_from((*EDGES, "home", "unknown")), min_size=1, max_size=5)


def orderly(order: list[str], ttl_s: float, hosts: list[str]) -> bytes:
    clones = tuple(
        PathwayClone(id=each, replacement=UriReplacement(host=f"{host}.test"))
        for each, host in zip(EDGES, hosts, strict=True)
    )
    return encode(SteeringManifest(pathways=tuple(order), ttl_s=ttl_s, clones=clones))


SAYINGS = st.one_of(
    st.builds(
        orderly,
        ORDERS,
        st.floats(1.0, 30.0),
        st.lists(st.sampled_from((*EDGES, "edge")), min_size=3, max_size=3),
    ),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=30),
    st.sampled_from([410, 429, 500, None]),
)


@settings(max_examples=60)
@given(deaths=DEATHS, sayings=st.lists(SAYINGS, min_size=1, max_size=6), seed=st.integers(0, 99))
def test_title_with_a_live_home_is_played(
    deaths: list[Death], sayings: list[bytes | int | None], seed: int
) -> None:
    def now_dead(request: ev.SendRequest, *kinds: str) -> str | None:
        host = urlsplit(request.url).netloc
        return next(
            (
                each.kind
                for each in deaths
                if each.kind in kinds
                and host == f"{each.edge}.test"
                and each.from_s <= world.now_s < each.from_s + each.for_s
            ),
            None,
        )

    def fail(request: ev.SendRequest) -> ev.ResponseFailed | None:
        kind = now_dead(request, "refused", "404", "500")
        if kind is None:
            return None
        status = int(kind) if kind.isdigit() else None
        return ev.ResponseFailed(request_id=request.request_id, detail=kind, status=status)

    def say(question: ev.AskSteering) -> ev.Event | None:
        said = sayings[(len(world.asked) - 1) % len(sayings)]
        if said is None:
            return None
        if isinstance(said, int):
            return ev.ResponseFailed(
                request_id=question.request_id, detail=str(said), status=said, retry_after_s=3.0
            )
        return ev.SteeringAnswered(request_id=question.request_id, url=question.url, text=said)

    world = World(
        viewer(
            config=PlayerConfig(retry=RetryConfig(failover_s=2.0)),
            generator=Seeds(seed).stream("abr/v/hosts"),
        ),
        presentation((300.0, 900.0), count=SEGMENTS, duration_s=DURATION_S),
        latency_s=0.05,
        failure=fail,
        hangs=lambda request: now_dead(request, "silent") is not None,
        steering=say,
        etag='"v"',
    )
    world.run(until_s=400.0)
    (session,) = world.core.report().sessions
    assert session.ended == "finished"
    assert session.skipped_count == 0
    assert abs(session.played_s - SEGMENTS * DURATION_S) < 0.1
    # A question a second at most, and where it is asked and what it leads to is HTTP.
    assert len(world.asked) <= world.now_s + 2
    for url in [each.url for _, each in world.sent] + [each.url for _, each in world.asked]:
        assert urlsplit(url).scheme == "http"
    hosts = {urlsplit(each.url).netloc for _, each in world.sent}
    assert hosts <= {HOME, *(f"{each}.test" for each in EDGES)}
    report = session.steering
    assert report is not None
    assert sum(use.segment_count for use in report.pathways) == SEGMENTS
    assert report.answer_count + report.failure_count >= len(world.asked) - 1


@given(
    query=st.dictionaries(
        st.text("ab&=%+ /", min_size=1, max_size=4), st.text("ab&=%+", max_size=4)
    ),
    params=st.dictionaries(
        st.text("ab&=%+ /", min_size=1, max_size=4), st.text("ab&=%+", max_size=4)
    ),
)
def test_parameters_are_in_the_query_just_once(
    query: dict[str, str], params: dict[str, str]
) -> None:
    url = with_params(with_params("http://a.test/x", query), params)
    assert dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)) == {**query, **params}
    assert len(parse_qsl(urlsplit(url).query, keep_blank_values=True)) == len({**query, **params})


@given(
    hosts=st.lists(st.text("abc.:[]0189", min_size=1, max_size=12), max_size=12, unique=True),
    order=st.permutations(range(12)),
)
def test_options_are_few_and_hold_the_manifests_own_place(
    hosts: list[str], order: list[int]
) -> None:
    places = Places("https://a.test/film/m.mpd", (), lambda base: (base.priority, 0.0))
    places.learn([(Base(url="https://a.test/film/", pathway="home"),)])
    clones = [
        PathwayClone(id=f"e{index}", replacement=UriReplacement(host=host))
        for index, host in enumerate(hosts)
    ]
    places.steer([f"e{index}" for index in order], clones, has_deep_params=True)
    options = places.options("https://a.test/film/v/1.m4s")
    assert 1 <= len(options) <= OPTION_COUNT_MAX
    assert "https://a.test/film/v/1.m4s" in options
    for each in options:
        assert urlsplit(each).scheme == "https"
        assert urlsplit(each).path == "/film/v/1.m4s"


@given(text=st.text(max_size=80), inside=st.text('<>/="& abSERVR-UIPATHWYD,.:', max_size=80))
def test_tags_are_read_or_left_alone(text: str, inside: str) -> None:
    for line in (text, f"#EXT-X-CONTENT-STEERING:{inside}"):
        found = read_hls_tag(line.splitlines(), "http://a.test/m.m3u8")
        assert found is None or urlsplit(found.server_url).scheme in ("http", "https")
    mpd = f"<MPD><ContentSteering>{inside}</ContentSteering></MPD>".encode()
    try:
        tag = read_dash_tag(mpd, "http://a.test/m.mpd")
    except RemoteProtocolError:
        return
    assert tag is None or urlsplit(tag.server_url).scheme in ("http", "https")
