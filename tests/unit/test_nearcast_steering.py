"""Steering manifests and what a player adds when it asks for one."""

import msgspec
import pytest

from nearcast.errors import RemoteProtocolError
from nearcast.steering import (
    CLONES_MAX,
    MANIFEST_BYTES_MAX,
    PATHWAYS_MAX,
    TTL_S_DEFAULT,
    TTL_S_MIN,
    Measured,
    PathwayClone,
    SteeringManifest,
    UriReplacement,
    decode,
    encode,
    read_query,
    with_query,
)


def wire(**changes: object) -> bytes:
    return msgspec.json.encode({"VERSION": 1, "TTL": 10, "PATHWAY-PRIORITY": ["a"], **changes})


def clone(**changes: object) -> dict[str, object]:
    return {"BASE-ID": "home", "ID": "a", "URI-REPLACEMENT": {"HOST": "a.example"}, **changes}


def test_a_manifest_is_written_as_the_draft_spells_it() -> None:
    manifest = SteeringManifest(
        ttl_s=9.2,
        reload_uri="/v1/steering/t?s=1",
        pathways=("ams1", "home"),
        clones=(
            PathwayClone(id="ams1", replacement=UriReplacement(host="a:81", params={"k": "v"})),
        ),
    )
    assert encode(manifest) == (
        b'{"VERSION":1,"TTL":10,"RELOAD-URI":"/v1/steering/t?s=1",'
        b'"PATHWAY-PRIORITY":["ams1","home"],"PATHWAY-CLONES":[{"BASE-ID":"home","ID":"ams1",'
        b'"URI-REPLACEMENT":{"HOST":"a:81","PARAMS":{"k":"v"}}}]}'
    )


def test_what_is_written_is_read_again() -> None:
    replacement = UriReplacement(
        host="[::1]:8080", params={"t": ""}, variant_uris={"v": "https://h/x"}
    )
    manifest = SteeringManifest(
        ttl_s=10.0,
        pathways=("a", "home"),
        clones=(PathwayClone(id="a", replacement=replacement),),
    )
    assert decode(encode(manifest)) == manifest


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[1]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"VERSION":2,"PATHWAY-PRIORITY":["a"]}',
        b'{"VERSION":true,"PATHWAY-PRIORITY":["a"]}',
        b'{"PATHWAY-PRIORITY":["a"]}',
        b'{"VERSION":1}',
        b'{"VERSION":1,"PATHWAY-PRIORITY":[]}',
        b'{"VERSION":1,"PATHWAY-PRIORITY":[1,null,"","a b","<a>"]}',
        b'{"VERSION":1,"PATHWAY-PRIORITY":"abc"}',
        wire(PADDING="x" * MANIFEST_BYTES_MAX),
    ],
)
def test_what_no_player_can_use_is_refused(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(body)


@pytest.mark.parametrize(
    ("ttl", "ttl_s"),
    [
        (10, 10.0),
        (0, TTL_S_DEFAULT),
        (-1, TTL_S_DEFAULT),
        ("5", TTL_S_DEFAULT),
        (None, TTL_S_DEFAULT),
        (True, TTL_S_DEFAULT),
        (0.01, TTL_S_MIN),
        (1e300, 86_400.0),
    ],
)
def test_a_ttl_is_bounded(ttl: object, ttl_s: float) -> None:
    assert decode(wire(TTL=ttl)).ttl_s == ttl_s


def test_pathways_come_once_and_bounded() -> None:
    named = ["b", "b", "a", "not legal", *(f"p{index}" for index in range(200))]
    pathways = decode(wire(**{"PATHWAY-PRIORITY": named})).pathways
    assert pathways[:3] == ("b", "a", "p0")
    assert len(pathways) == PATHWAYS_MAX


def test_the_list_of_the_dash_draft_is_read() -> None:
    body = b'{"VERSION":1,"TTL":5,"SERVICE-LOCATION-PRIORITY":["b","a"],"X":{}}'
    assert decode(body).pathways == ("b", "a")


@pytest.mark.parametrize(
    "bad",
    [
        7,
        clone(**{"BASE-ID": "a b"}),
        clone(ID=""),
        clone(**{"URI-REPLACEMENT": None}),
        clone(**{"URI-REPLACEMENT": {"HOST": "user@evil"}}),
        clone(**{"URI-REPLACEMENT": {"HOST": "a/../b"}}),
        clone(**{"URI-REPLACEMENT": {"HOST": ["a"]}}),
        clone(**{"URI-REPLACEMENT": {"PARAMS": {"a": 1}}}),
        clone(**{"URI-REPLACEMENT": {"PER-VARIANT-URIS": {"v": "file:///etc/passwd"}}}),
        clone(**{"URI-REPLACEMENT": {"PER-RENDITION-URIS": {"v": ""}}}),
        clone(**{"URI-REPLACEMENT": {"PARAMS": {str(i): "" for i in range(1_000)}}}),
    ],
)
def test_a_clone_that_is_not_legal_is_left_out(bad: object) -> None:
    manifest = decode(wire(**{"PATHWAY-CLONES": [bad, clone(ID="good")]}))
    assert [each.id for each in manifest.clones] == ["good"]


def test_clones_are_bounded_and_the_first_of_an_id_counts() -> None:
    clones = [clone(), clone(**{"URI-REPLACEMENT": {"HOST": "other"}})]
    clones += [clone(ID=f"c{index}") for index in range(300)]
    read = decode(wire(**{"PATHWAY-CLONES": clones})).clones
    assert read[0].replacement.host == "a.example"
    assert len(read) == CLONES_MAX


@pytest.mark.parametrize(
    ("query", "measured"),
    [
        ("_HLS_pathway=b&_HLS_throughput=5000000", (("b", 5_000.0),)),
        ("x=1&_HLS_pathway=%22b%22&_HLS_throughput=1500", (("b", 1.5),)),
        ("_DASH_pathway=%22b%22&_DASH_throughput=5140000", (("b", 5_140.0),)),
        ("_DASH_pathway=%22a%2Cb%22&_DASH_throughput=,2000", (("a", None), ("b", 2.0))),
        ("_DASH_pathway=a,b", (("a", None), ("b", None))),
        ("_HLS_pathway=b&_HLS_throughput=NaN", (("b", None),)),
        ("_HLS_pathway=b&_HLS_throughput=1e400", (("b", None),)),
        ("_HLS_pathway=b&_HLS_throughput=-5", (("b", None),)),
        ("_HLS_pathway=b&_HLS_throughput=0", (("b", None),)),
        ("_HLS_pathway=b&_HLS_pathway=c", (("b", None),)),
        ("_HLS_pathway=%00%FF", ()),
        ("_HLS_pathway=", ()),
        ("", ()),
        ("&" * 100, ()),
        ("_HLS_pathway=b&pad=" + "x" * 5_000, ()),
    ],
)
def test_a_query_says_what_the_client_measured(
    query: str, measured: tuple[tuple[str, float | None], ...]
) -> None:
    said = tuple((one.pathway, one.throughput_kbps) for one in read_query(query))
    assert said == measured


@pytest.mark.parametrize("protocol", ["HLS", "DASH"])
@pytest.mark.parametrize("url", ["http://s/x", "http://s/x?a=1", "http://s/x?", "http://s/x#f"])
def test_what_a_player_adds_is_what_the_server_reads(url: str, protocol: str) -> None:
    measured = (
        Measured(pathway="home", throughput_kbps=None),
        Measured(pathway="ams1", throughput_kbps=5_140.0),
    )
    asked = with_query(url, measured, protocol)
    query = asked.partition("#")[0].partition("?")[2]
    assert asked.startswith(url.partition("#")[0])
    assert read_query(query) == (measured if protocol == "DASH" else measured[1:])


def test_a_client_that_measured_nothing_adds_nothing() -> None:
    assert with_query("http://s/x", (), "HLS") == "http://s/x"
