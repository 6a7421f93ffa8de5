"""CMCD and Cache-Status: what is written is read back, and no text makes reading raise."""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from nearcast import cmcd as cmcd_module
from nearcast.cache_status import CacheStatus, format_cache_status, parse_cache_status
from nearcast.cmcd import Cmcd, from_request, strip_query, to_headers, to_query

PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=40)
UNICODE = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40)


def optional(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.one_of(st.none(), strategy)


def cmcds(strings: st.SearchStrategy[str]) -> st.SearchStrategy[Cmcd]:
    """Of values that rounding leaves alone."""
    whole = st.integers(0, 10**9)
    return st.builds(
        Cmcd,
        session_id=optional(strings),
        content_id=optional(strings),
        object_type=optional(st.sampled_from(["m", "a", "v", "av", "i", "c", "tt", "k", "o"])),
        stream_format=optional(st.sampled_from("dhso")),
        stream_type=optional(st.sampled_from("vl")),
        bitrate_kbps=optional(whole.map(float)),
        top_bitrate_kbps=optional(whole.map(float)),
        duration_s=optional(whole.map(lambda ms: ms / 1000)),
        buffer_s=optional(whole.map(lambda tenths: tenths * 100 / 1000)),
        deadline_s=optional(whole.map(lambda tenths: tenths * 100 / 1000)),
        throughput_kbps=optional(whole.map(lambda hundreds: hundreds * 100.0)),
        requested_throughput_kbps=optional(whole.map(lambda hundreds: hundreds * 100.0)),
        playback_rate=optional(st.sampled_from([0.0, 0.5, 1.25, 2.0])),
        next_object=optional(strings),
        is_starved=st.booleans(),
        is_startup=st.booleans(),
        version=optional(st.just(2)),
    )


@given(cmcds(UNICODE), st.sampled_from(["", "x=1&", "a&&"]), st.sampled_from(["", "&y=%20"]))
def test_query_reads_back_and_strips_off(cmcd: Cmcd, before: str, after: str) -> None:
    value = to_query(cmcd)
    assert value.isascii()
    target = f"/a/1.m4s?{before}CMCD={value}{after}"
    assert from_request(target, ()) == (None if cmcd == Cmcd() else cmcd)
    kept = before.split("&")[:-1] + after.split("&")[1:]
    assert strip_query(target) == ("/a/1.m4s?" + "&".join(kept) if kept else "/a/1.m4s")


@given(cmcds(PRINTABLE))
def test_headers_read_back(cmcd: Cmcd) -> None:
    headers = to_headers(cmcd)
    for value in headers.values():
        assert value.isascii()
        assert value.isprintable()
    assert from_request("/a", tuple(headers.items())) == (None if cmcd == Cmcd() else cmcd)


@given(UNICODE | st.text(alphabet='abrsdv=,;()"\\?1 .-%\n', max_size=200))
def test_no_text_makes_cmcd_reading_raise(text: str) -> None:
    from_request("/a?CMCD=" + text, ())
    from_request("/a?CMCD=" + quote(text), ())
    from_request(text, (("CMCD-Object", text), ("cmcd-session", text)))
    assert "CMCD=" not in strip_query("/a?CMCD=" + quote(text) + "&x").partition("?")[2]


@given(
    st.lists(
        st.sampled_from(
            ["br=1", " d = 2 ", 'sid="a"', 'sid="a,br=2"', "bs", "bs=?1", "=", '"', 'cid="a" b', ""]
        )
        | st.text(alphabet='abrs=" \n\x85,', max_size=12)
    ).map(",".join)
)
def test_plain_text_is_split_as_any_other(text: str) -> None:
    quick = cmcd_module._split_plain(text)
    if quick is not None:
        known = set(cmcd_module._KEYS)
        thorough = cmcd_module._split(text)
        assert [pair for pair in quick if pair[0] in known] == [
            pair for pair in thorough if pair[0] in known
        ]


@given(st.text())
def test_stripping_leaves_other_queries_alone(text: str) -> None:
    target = "/a?" + text.replace("CMCD", "")
    assert strip_query(target) == target


STATUSES = st.builds(
    CacheStatus,
    cache=PRINTABLE,
    is_stored=st.booleans(),
    is_collapsed=st.booleans(),
    ttl_s=optional(st.integers(-(10**9), 10**9)),
    detail=optional(PRINTABLE),
    fwd_status=optional(st.integers(100, 599)),
    is_hit=st.just(False),
    fwd=optional(st.sampled_from(["miss", "uri-miss", "stale", "bypass"])),
) | st.builds(CacheStatus, cache=PRINTABLE, is_hit=st.just(True), ttl_s=st.integers(-5, 5))


@given(st.lists(STATUSES, min_size=1, max_size=4))
def test_cache_status_reads_back_origin_first(statuses: list[CacheStatus]) -> None:
    text: str | None = None
    for status in statuses:
        text = format_cache_status(status, after=text)
    assert text is not None
    assert parse_cache_status(text) == tuple(statuses)


@given(st.text() | st.text(alphabet='ab1;=",() -?\\:@', max_size=100))
def test_no_text_makes_cache_status_reading_raise(text: str) -> None:
    parse_cache_status(text)


@given(st.text(), st.text())
def test_any_name_and_detail_give_a_valid_field(cache: str, detail: str) -> None:
    text = format_cache_status(CacheStatus(cache=cache, is_hit=True, detail=detail))
    assert text.isascii()
    assert text.isprintable()
    assert len(parse_cache_status(text)) == 1
