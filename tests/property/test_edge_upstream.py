"""However upstream's bytes are cut into segments, what is heard of them is the same."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tests.upstream_world import asked

BODY = st.binary(max_size=300)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Answers of all framings, some followed by too much, some cut off, some spoilt."""
    body = draw(BODY)
    head = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * draw(st.integers(0, 2))
    status = draw(st.sampled_from([b"200 OK", b"304 Not Modified", b"404", b"500 x"]))
    head += b"HTTP/1.1 " + (status if b" " in status else status + b" ") + b"\r\n"
    match draw(st.sampled_from(["length", "chunked", "close"])):
        case "length":
            text = head + b"content-length: %d\r\n\r\n" % len(body) + body
        case "chunked":
            cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=4)))
            edges = [0, *cuts, len(body)]
            chunks = [body[a:b] for a, b in itertools.pairwise(edges) if a < b]
            coded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
            trailers = draw(st.sampled_from([b"", b"sum: 1\r\n", b"bad trailer\r\n"]))
            text = head + b"transfer-encoding: chunked\r\n\r\n" + coded + b"0\r\n" + trailers
            text += b"\r\n"
        case _:
            text = head + b"\r\n" + body
    text += draw(st.sampled_from([b"", b"", b"HTTP/1.1 200 OK\r\n\r\nnext", b"\r\n", b"x"]))
    if draw(st.booleans()):
        text = text[: draw(st.integers(0, len(text)))]
    if text and draw(st.integers(0, 4)) == 0:
        place = draw(st.integers(0, len(text) - 1))
        text = text[:place] + draw(st.binary(min_size=1, max_size=2)) + text[place + 1 :]
    return text


def heard(pieces: list[bytes], *, is_reset: bool) -> tuple[object, ...]:
    line, listener = asked()
    for piece in pieces:
        if line.transport.is_aborted:
            break
        line.connection.data_received(piece)
    line.end(ConnectionResetError() if is_reset else None)
    assert line.lost_count == 1
    return listener.story


@given(answers(), st.lists(st.integers(0, 800), max_size=12), st.booleans())
def test_segmentation_of_an_answer_does_not_matter(
    text: bytes, cuts: list[int], is_reset: bool
) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(edges) if a < b]
    whole = heard([text] if text else [], is_reset=is_reset)
    assert heard(pieces, is_reset=is_reset) == whole
    assert heard([text[i : i + 1] for i in range(len(text))], is_reset=is_reset) == whole


@given(st.binary(max_size=400))
def test_no_bytes_at_all_break_more_than_their_answer(text: bytes) -> None:
    line, listener = asked()
    line.feed(text)
    line.end()
    assert line.lost_count == 1
    assert (listener.failure is None) == (listener.trailers is not None)
    assert listener.detail != "internal error"
