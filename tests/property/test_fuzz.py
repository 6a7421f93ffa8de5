"""Fuzzing from a corpus: whatever arrives, parsers answer or refuse, and agree with others.

h11 is the independent reader of HTTP/1.1. It is laxer than ours by intent, so the promise is one
way: what ours takes, h11 takes too and understands alike. Two parsers that understand a message
differently are how requests are smuggled.
"""

from __future__ import annotations

import contextlib

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from cache.http.directives import parse_cache_control, parse_targeted
from cache.http.ranges import parse_range
from nearcast.cmcd import from_request, strip_query
from nearcast.errors import RemoteProtocolError
from nearcast.http1 import (
    Limits,
    MalformedMessage,
    RequestHead,
    ResponseHead,
    check_partial,
    decoder,
    find_head_end,
    parse_request_head,
    parse_response_head,
)
from nearcast.manifests.read import read_manifest
from nearcast.media import ByteRange
from tests.attack_cases import GROUPS
from tests.fuzzing import files_of, lines_of, mutated

LIMITS = Limits()
MANY = settings(max_examples=400)
REQUESTS = lines_of("request_head.txt") + tuple(
    case.data for cases in GROUPS.values() for case in cases if len(case.data) < 1000
)
RESPONSES = lines_of("response_head.txt")


def read(data: bytes) -> tuple[RequestHead, bytes, bool] | None:
    """Head, payload and whether it is complete; None when it is refused or not all there."""
    end = find_head_end(data)
    if end < 0:
        return None
    head = parse_request_head(data[:end], LIMITS)
    body = decoder(head.framing, LIMITS)
    return head, body.feed(data[end:]), body.is_complete


@MANY
@given(mutated(REQUESTS))
def test_requests_that_are_taken_are_understood_as_another_parser_does(data: bytes) -> None:
    taken = None
    with contextlib.suppress(MalformedMessage):
        taken = read(data)
    if taken is None:
        return
    head, payload, is_complete = taken
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    event = connection.next_event()
    assert isinstance(event, h11.Request)
    assert event.method.decode() == head.method
    assert event.target.decode() == head.target
    assert [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers
    ] == list(head.headers)
    other_payload = b""
    while isinstance(event := connection.next_event(), h11.Data):
        other_payload += bytes(event.data)
    assert other_payload == payload
    assert isinstance(event, h11.EndOfMessage) == is_complete


@MANY
@given(mutated(RESPONSES))
def test_responses_that_are_taken_are_understood_as_another_parser_does(data: bytes) -> None:
    end = find_head_end(data)
    if end < 0:
        return
    head: ResponseHead | None = None
    with contextlib.suppress(MalformedMessage):
        head = parse_response_head(data[:end], "GET", LIMITS)
        body = decoder(head.framing, LIMITS)
        payload = body.feed(data[end:])
    if head is None or head.status < 200:
        return
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "e")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    event = connection.next_event()
    assert isinstance(event, h11.Response)
    assert event.status_code == head.status
    try:
        other_payload = b""
        while isinstance(event := connection.next_event(), h11.Data):
            other_payload += bytes(event.data)
    except h11.RemoteProtocolError:
        return
    assert other_payload == payload
    assert isinstance(event, h11.EndOfMessage) == body.is_complete


@MANY
@given(mutated(REQUESTS), st.data())
def test_segments_change_nothing(data: bytes, draws: st.DataObject) -> None:
    whole: object
    try:
        whole = read(data)
    except MalformedMessage as error:
        whole = error.status
    if whole is None or isinstance(whole, int):
        return
    end = find_head_end(data)
    cut = draws.draw(st.integers(0, end - 1))
    check_partial(data[:cut], LIMITS)  # what will be taken is not refused half way
    head, payload, is_complete = read(data) or (None, b"", False)
    assert head is not None
    body = decoder(head.framing, LIMITS)
    position, taken = end, b""
    while position < len(data):
        size = draws.draw(st.integers(1, 20))
        taken += body.feed(data[position : position + size])
        position += size
    assert (taken, body.is_complete) == (payload, is_complete)


@MANY
@given(mutated(lines_of("range.txt")), st.integers(0, 1 << 40))
def test_ranges_lie_inside_whatever_is_asked(data: bytes, size_bytes: int) -> None:
    selection = parse_range(data.decode("latin-1"), size_bytes)
    parts = selection if isinstance(selection, tuple) else (selection,)
    for part in parts:
        if isinstance(part, ByteRange):
            assert 0 <= part.first <= part.last < size_bytes


@MANY
@given(mutated(lines_of("cmcd.txt")))
def test_cmcd_never_breaks_a_request(data: bytes) -> None:
    text = data.decode("latin-1")
    from_request(f"/a?CMCD={text}", ())
    from_request("/a", (("cmcd-request", text), ("cmcd-object", text)))
    once = strip_query(f"/a?b=c&CMCD={text}&d=e")
    assert strip_query(once) == once


@MANY
@given(mutated(lines_of("cache_control.txt")))
def test_cache_control_never_breaks_a_decision(data: bytes) -> None:
    control = parse_cache_control([data.decode("latin-1")])
    for seconds in (control.max_age_s, control.s_maxage_s, control.stale_if_error_s):
        assert seconds is None or seconds >= 0


@MANY
@given(mutated(lines_of("structured.txt")))
def test_targeted_cache_control_is_a_dictionary_or_ignored(data: bytes) -> None:
    control = parse_targeted((data.decode("latin-1"),))
    if control is not None and control.max_age_s is not None:
        assert control.max_age_s >= 0


@MANY
@given(mutated(files_of(".mpd", ".m3u8")), st.sampled_from(["/a.mpd", "/a.m3u8", "/a"]))
def test_manifests_are_read_or_refused(data: bytes, path: str) -> None:
    with contextlib.suppress(RemoteProtocolError):
        read_manifest(data, f"http://origin.example{path}")
