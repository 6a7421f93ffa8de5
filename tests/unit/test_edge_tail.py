"""Heads are found in what a client sends, however it arrives."""

import pytest

from edge.drivers.server.tail import CHECK_BYTES, Tail
from nearcast.http1 import Limits, MalformedMessage

FIRST = b"GET /a HTTP/1.1\r\nHost: e\r\n\r\n"
SECOND = b"GET /b HTTP/1.1\r\nHost: e\r\nAccept: */*\r\n\r\n"
LIMITS = Limits()


def heads(*pieces: bytes) -> list[bytes]:
    tail, found = Tail(), []
    for piece in pieces:
        tail.add(piece)
        while tail.data and (head := tail.take_head(LIMITS)) is not None:
            found.append(head)
    return found


def test_heads_are_the_same_wherever_they_are_cut() -> None:
    sent = FIRST + b"\r\n" + SECOND
    for first in range(len(sent)):
        for second in (first, (first + len(sent)) // 2, len(sent) - 1):
            cut = sent[:first], sent[first:second], sent[second:]
            assert heads(*filter(None, cut)) == [FIRST, SECOND], (first, second)


def test_what_follows_a_head_stays() -> None:
    tail = Tail()
    tail.add(FIRST + b"body")
    assert tail.take_head(LIMITS) == FIRST
    assert tail.take() == b"body"
    assert tail.data == b""
    tail.add(b"b")
    tail.put_before(b"a")
    assert tail.take() == b"ab"


@pytest.mark.parametrize("pieces", [(b"\r\n\r\n",), (b"\r\n", b"\r\n"), (b"\r\n", b"\r\n" + FIRST)])
def test_one_empty_line_comes_before_a_request_and_no_more(pieces: tuple[bytes, ...]) -> None:
    with pytest.raises(MalformedMessage, match="empty line"):
        heads(*pieces)


def test_what_can_be_no_head_is_refused_before_it_ends() -> None:
    with pytest.raises(MalformedMessage, match="line end"):
        heads(b"GET /a HTTP/1.1\r\n", b"Host: e\n" + b"x" * CHECK_BYTES)
