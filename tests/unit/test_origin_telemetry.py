"""Which of what edges ship counts, and that it counts once."""

from __future__ import annotations

import gzip
from typing import get_args

import msgspec
import pytest

from nearcast.errors import RemoteProtocolError
from nearcast.telemetry import PIECE_BYTES_MAX, Demand, Line, SessionEnded
from origin.drivers.telemetry.parquet import COLUMNS
from origin.telemetry.cursors import Run, judge
from origin.telemetry.pieces import Piece, inflate, read_piece
from origin.telemetry.sums import Sums

NOW_S = 1_790_000_000.0


def lines(*events: Line) -> bytes:
    return b"".join(msgspec.json.encode(event) + b"\n" for event in events)


def demand(client_bytes: int = 100, wall_s: float = NOW_S) -> Demand:
    return Demand(wall_s=wall_s, title="t", rendition="r", client_bytes=client_bytes)


def piece(
    body: bytes | None = None, *, segment_no: int = 1, offset_bytes: int = 0, first: int = 0
) -> Piece:
    return read_piece(
        edge="ams-1",
        boot_id="0" * 16,
        segment_no=segment_no,
        offset_bytes=offset_bytes,
        first_segment_no=first,
        body=body if body is not None else lines(demand()),
        received_wall_s=NOW_S,
    )


def test_a_piece_counts_where_the_cursor_stands_and_nowhere_else() -> None:
    run, one = Run(), piece()
    assert judge(one, run).outcome == "taken"
    assert judge(one, run).outcome == "repeated"
    behind = piece(offset_bytes=2 * one.size_bytes)
    verdict = judge(behind, run)
    assert verdict.outcome == "early"
    assert verdict.received.offset_bytes == one.size_bytes  # go back to here
    assert judge(piece(offset_bytes=one.size_bytes), run).outcome == "taken"


def test_segments_are_taken_in_any_order() -> None:
    run = Run()
    assert [judge(piece(segment_no=no), run).outcome for no in (3, 1, 2)] == ["taken"] * 3


def test_a_segment_that_is_done_with_never_counts_again() -> None:
    run = Run()
    judge(piece(segment_no=1), run)
    judge(piece(segment_no=4, first=4), run)
    late = judge(piece(segment_no=1), run)
    assert late.outcome == "repeated"
    assert late.received.offset_bytes == piece(segment_no=1).end_bytes  # nothing to go back to


def test_a_line_that_cannot_be_read_holds_up_none() -> None:
    body = b"".join(
        (
            lines(demand(1)),
            b'{"e":"demand","wall_s":1}\n',
            b"\xff\xfe\n",
            b'{"e":"from-a-newer-edge","wall_s":1}\n',
            b'{"e":"noted","wall_s":1,"what":"' + b"x" * 5000 + b'"}\n',
            lines(demand(2)),
        )
    )
    one = piece(body)
    assert [event.client_bytes for event in one.events if isinstance(event, Demand)] == [1, 2]
    assert one.odd == {"malformed": 2, "unknown": 1, "too_long": 1}
    assert one.lines == lines(demand(1), demand(2))
    assert one.end_bytes == len(body)


def test_a_clock_that_is_ahead_counts_now_and_one_that_is_behind_when_it_says() -> None:
    hour = 3600.0
    one = piece(lines(demand(1, NOW_S + 600.0), demand(2, NOW_S - hour), demand(4, NOW_S - 9e7)))
    sums = Sums()
    sums.add(one)
    assert one.odd == {"ahead": 1, "old": 1}
    by_hour = {key[0]: one.client_bytes for key, one in sums.demand.items()}
    now = int(NOW_S // hour * hour)
    assert by_hour == {now: 1, now - 3600: 2}


def test_viewings_add_up_with_what_is_wanted_next() -> None:
    ended = SessionEnded(
        wall_s=NOW_S, title="e1", watched_s=60.0, startup_s=1.5, stall_count=2, next_title="e2"
    )
    sums = Sums()
    sums.add(piece(lines(ended, ended)))
    ((key, one),) = sums.sessions.items()
    assert key[1:] == ("ams-1", "e1")
    assert (one.session_count, one.startup_s, one.startup_count, one.stall_count) == (2, 3.0, 2, 4)
    assert {name[2]: count for name, count in sums.wanted.items()} == {"e2": 2}


@pytest.mark.parametrize(
    "body", [b"", b'{"e":"noted"}', b"x" * PIECE_BYTES_MAX + b"\n"], ids=["empty", "torn", "large"]
)
def test_what_is_no_piece_is_refused(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        piece(body)


@pytest.mark.parametrize(
    "changes",
    [{"segment_no": -1}, {"offset_bytes": -1}, {"offset_bytes": 2**60}, {"first": 2}],
    ids=str,
)
def test_a_place_that_cannot_be_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(RemoteProtocolError):
        piece(**changes)  # type: ignore[arg-type]


def test_what_no_database_takes_is_counted_as_malformed() -> None:
    """PostgreSQL would refuse the whole batch for it, and so all others' events."""
    null = b'{"e":"noted","wall_s":1,"what":"a\\u0000b"}\n'
    assert piece(null + lines(demand(2**61), demand(5))).odd == {"malformed": 2}


@pytest.mark.parametrize(
    "said",
    [{"stall_count": 2**62}, {"error_count": 10**7}, {"watched_s": 1e12}, {"bitrate_kbps": 1e14}],
    ids=str,
)
def test_a_viewing_that_says_more_than_can_be_is_malformed(said: dict[str, float]) -> None:
    """A sum of such is more than 64 bits: it would cost the neighbours in the batch theirs."""
    ended = SessionEnded(wall_s=NOW_S, title="t", watched_s=60.0)
    one = piece(lines(ended, msgspec.structs.replace(ended, **said)))
    assert (len(one.events), one.odd) == (1, {"malformed": 1})


def test_no_event_speaks_for_a_million_viewings() -> None:
    many = msgspec.structs.replace(demand(), session_count=10**6 + 1)
    assert piece(lines(many)).odd == {"malformed": 1}


def test_a_line_that_is_nested_deep_holds_up_none() -> None:
    deep = b'{"e":"demand","x":' + b"[" * 1_900 + b"]" * 1_900 + b"}\n"
    one = piece(deep + lines(demand()))
    assert (len(one.events), one.odd) == (1, {"malformed": 1})


def test_every_kind_of_event_is_known_and_has_its_columns_in_the_history() -> None:
    for kind in get_args(get_args(Line)[0]):
        assert set(kind.__struct_fields__) <= set(COLUMNS)
        tag = kind.__struct_config__.tag
        assert piece(b'{"e":"%s"}\n' % tag.encode()).odd == {"malformed": 1}


def test_bodies_are_unpacked_within_bounds() -> None:
    plain = lines(demand())
    packed = gzip.compress(plain)
    assert inflate(packed, "gzip") == inflate(plain, "") == plain
    bomb = gzip.compress(b"\n" * (PIECE_BYTES_MAX + 1))
    for body, encoding in ((bomb, "gzip"), (packed[:-9], "gzip"), (b"no", "gzip"), (plain, "br")):
        with pytest.raises(RemoteProtocolError):
            inflate(body, encoding)
