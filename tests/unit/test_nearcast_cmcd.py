"""CMCD as players send it, in both forms and both versions."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from nearcast.cmcd import Cmcd, from_request, strip_query, to_headers, to_query


def query(text: str) -> Cmcd | None:
    return from_request("/a/1.m4s?CMCD=" + quote(text, safe=""), ())


def test_all_keys_of_a_query_are_read_in_our_units() -> None:
    text = (
        'bl=21300,br=3200,bs,cid="faec5fc2",d=4004,dl=18500,mtp=25400,nor="..%2F300kbps%2F2.m4s",'
        'ot=v,pr=1.08,rtp=12000,sf=h,sid="6e2fb550",st=v,su,tb=6000,v=1'
    )
    assert query(text) == Cmcd(
        session_id="6e2fb550",
        content_id="faec5fc2",
        object_type="v",
        stream_format="h",
        stream_type="v",
        bitrate_kbps=3200.0,
        top_bitrate_kbps=6000.0,
        duration_s=4.004,
        buffer_s=21.3,
        deadline_s=18.5,
        throughput_kbps=25400.0,
        requested_throughput_kbps=12000.0,
        playback_rate=1.08,
        next_object="../300kbps/2.m4s",
        is_starved=True,
        is_startup=True,
        version=1,
    )


def test_headers_are_read_whatever_their_case_and_order() -> None:
    headers = (
        ("host", "edge"),
        ("CMCD-Session", 'sid="s,1",v=1'),
        ("cmcd-request", "mtp=1000"),
        ("Cmcd-Object", "br=900"),
        ("cmcd-status", "bs"),
        ("cmcd-elsewhere", "br=1"),
    )
    assert from_request("/a", headers) == Cmcd(
        session_id="s,1", throughput_kbps=1000.0, bitrate_kbps=900.0, is_starved=True, version=1
    )


def test_no_data_is_none() -> None:
    assert from_request("/a?x=1", (("accept-range", "x"), ("content-type", "y"))) is None
    assert from_request("/a?CMCD=", ()) is None
    assert from_request("/a?CMCD", ()) is None
    assert from_request("/CMCD=/a", ()) is None


def test_values_of_version_2_lists_and_parameters_are_taken() -> None:
    text = 'br=(1701),bl=(4000;v 800),mtp=(2500;v;x=1),tb=2800;v,nor=("a)%2C.m4s" "b"),v=2'
    assert query(text) == Cmcd(
        bitrate_kbps=1701.0,
        buffer_s=4.0,
        throughput_kbps=2500.0,
        top_bitrate_kbps=2800.0,
        next_object="a),.m4s",
        version=2,
    )


def test_bad_keys_cost_only_themselves() -> None:
    text = (
        'br=fast,d=-5,mtp=nan,tb=1e9,bl=99999999999999,ot=z,sf="",st=,sid=,v=1.5,bs=0,=,;,"",'
        'com.x-y="q,br=1",su=?0,dl=500'
    )
    assert query(text) == Cmcd(deadline_s=0.5)


def test_long_strings_and_control_characters_are_not_taken() -> None:
    assert query(f'sid="{"x" * 129}",br=1') == Cmcd(bitrate_kbps=1.0)
    assert query('sid="a\nb",br=1') == Cmcd(bitrate_kbps=1.0)


def test_data_over_the_limit_is_ignored_whole() -> None:
    assert query("br=1," + "x" * 4096) is None
    assert from_request("/a", (("cmcd-object", "br=1," + "x" * 4096),)) is None


def test_keys_are_written_in_order_rounded_and_encoded() -> None:
    cmcd = Cmcd(
        session_id='q"\\',
        bitrate_kbps=1200.6,
        duration_s=2.0021,
        buffer_s=3.449,
        deadline_s=0.05,
        throughput_kbps=2550,
        requested_throughput_kbps=2449,
        playback_rate=0.0,
        next_object="../a b.m4s",
        object_type="v",
        is_startup=True,
        version=2,
    )
    assert to_query(cmcd) == quote(
        'bl=3400,br=1201,d=2002,dl=100,mtp=2600,nor="..%2Fa%20b.m4s",ot=v,pr=0,rtp=2400,'
        'sid="q\\"\\\\",su,v=2',
        safe="",
    )


def test_headers_hold_each_key_in_its_shard() -> None:
    cmcd = Cmcd(
        session_id="s",
        content_id="ü",
        bitrate_kbps=1.0,
        buffer_s=1.0,
        is_starved=True,
        version=1,
        playback_rate=1.0,
    )
    assert to_headers(cmcd) == {
        "CMCD-Object": "br=1",
        "CMCD-Request": "bl=1000",
        "CMCD-Session": 'sid="s"',  # cid is not ASCII; v and pr are left out when 1
        "CMCD-Status": "bs",
    }


def test_what_cannot_be_said_is_left_out() -> None:
    cmcd = Cmcd(
        session_id="a\r\nx: y",
        bitrate_kbps=float("nan"),
        duration_s=-1.0,
        buffer_s=float("inf"),
        object_type="zz",
    )
    assert to_query(cmcd) == ""
    assert to_headers(cmcd) == {}


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/a", "/a"),
        ("/a?", "/a?"),
        ("/a?x=1", "/a?x=1"),
        ("/a?CMCD=br%3D1", "/a"),
        ("/a?CMCD", "/a"),
        ("/a?CMCD=br%3D1&x=%20+&&y", "/a?x=%20+&&y"),
        ("/a?x=%2f&CMCD=br%3D1", "/a?x=%2f"),
        ("/a?x=1&CMCD=1&y=2&CMCD=2#f", "/a?x=1&y=2#f"),
        ("/a?cmcd=1", "/a?cmcd=1"),  # another name: CTA-5004 has it in upper case
        ("/a?XCMCD=1&CMCDX=2&x=CMCD=3", "/a?XCMCD=1&CMCDX=2&x=CMCD=3"),
        ("/CMCD=1", "/CMCD=1"),
        ("http://h/a?CMCD=1&b=c?d", "http://h/a?b=c?d"),
    ],
)
def test_stripping_takes_the_argument_and_nothing_else(target: str, expected: str) -> None:
    assert strip_query(target) == expected
