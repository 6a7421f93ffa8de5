from __future__ import annotations

import pytest

from cache.http.headers import (
    content_length,
    end_to_end,
    get_list,
    get_one,
    replaced,
    split_list,
    storable,
)
from nearcast.errors import RemoteProtocolError


def test_hop_by_hop_fields_do_not_travel_on() -> None:
    headers = (
        ("connection", "close, X-Private"),
        ("x-private", "1"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("etag", '"a"'),
    )
    assert end_to_end(headers) == (("etag", '"a"'),)


def test_connection_cannot_name_fields_that_must_arrive() -> None:
    headers = (
        ("connection", "authorization, host, content-length, cache-control, x-forwarded-for"),
        ("host", "a"),
        ("authorization", "b"),
        ("content-length", "3"),
        ("cache-control", "private"),
        ("x-forwarded-for", "c"),
    )
    assert end_to_end(headers) == headers[1:]


def test_what_is_meant_for_the_proxy_is_not_stored() -> None:
    headers = (("proxy-authenticate", "Basic"), ("date", "x"))
    assert end_to_end(headers) == headers
    assert storable(headers) == (("date", "x"),)


def test_get_one_needs_agreement() -> None:
    assert get_one((("a", "1"), ("a", " 1 ")), "a") == "1"
    assert get_one((("a", "1"), ("a", "2")), "a") is None
    assert get_one((), "a") is None


def test_lists_join_lines_and_respect_quotes() -> None:
    assert get_list((("a", "x, y"), ("b", "no"), ("a", '"p,q"')), "a") == ("x", "y", '"p,q"')
    assert split_list('a="\\",b", c') == ['a="\\",b"', "c"]
    assert split_list(" , ,") == []


def test_replaced_leaves_one_line() -> None:
    assert replaced((("a", "1"), ("b", "2"), ("a", "3")), "a", "4") == (("b", "2"), ("a", "4"))


def test_content_length_may_be_repeated_only_in_agreement() -> None:
    assert content_length(()) is None
    assert content_length((("content-length", "5"),)) == 5
    assert content_length((("content-length", "5, 5"), ("content-length", "5"))) == 5


@pytest.mark.parametrize("text", ["", "-1", "+5", "5 6", "5, 6", "0x5", "1e3", "٣", "9" * 19])
def test_a_content_length_that_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        content_length((("content-length", text),))
