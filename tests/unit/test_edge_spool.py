"""Events on the disk: none is lost but those that are counted."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from edge.config import TelemetryConfig
from edge.drivers.telemetry.spool import PIECE_BYTES, Spool

RUNS = ("a" * 16, "b" * 16, "c" * 16)


def make(folder: Path, run: int = 0, **settings: int | float) -> Spool:
    config = TelemetryConfig(**{"segment_bytes": 10_000, **settings})  # type: ignore[arg-type]
    spool = Spool(folder, RUNS[run], config)
    spool.open()
    return spool


def line(no: int, size: int = 100) -> bytes:
    return f"{no:06d}".encode().ljust(size - 1, b"x") + b"\n"


def ship_all(spool: Spool) -> list[int]:
    """The numbers of the lines that a willing origin gets."""
    got: list[int] = []
    while (piece := spool.next_piece(0.0)) is not None:
        got += [int(one[:6]) for one in piece.body.split(b"\n")[:-1]]
        spool.taken(piece.boot_id, piece.segment_no, piece.end_bytes)
    return got


def test_what_was_written_is_sent_in_order_and_then_gone(tmp_path: Path) -> None:
    spool = make(tmp_path)
    for no in range(250):
        spool.append(line(no), 0.0)
    assert spool.waiting_bytes == 25_000
    assert ship_all(spool) == list(range(250))
    spool.close()
    assert list(tmp_path.iterdir()) == []
    assert spool.dropped_count == 0


def test_a_growing_segment_is_sent_by_its_offset(tmp_path: Path) -> None:
    spool = make(tmp_path)
    spool.append(line(0) + line(1), 0.0)
    first = spool.next_piece(0.0)
    assert first is not None
    spool.taken(first.boot_id, first.segment_no, first.end_bytes)
    spool.append(line(2), 0.0)
    second = spool.next_piece(0.0)
    assert second is not None
    assert (second.segment_no, second.offset_bytes) == (first.segment_no, 200)
    assert second.body == line(2)


def test_it_goes_back_to_where_the_origin_is(tmp_path: Path) -> None:
    spool = make(tmp_path)
    spool.append(line(0) + line(1) + line(2), 0.0)
    spool.taken(RUNS[0], 1, 300)
    spool.taken(RUNS[0], 1, 100)
    assert ship_all(spool) == [1, 2]


def test_a_line_torn_by_the_end_of_the_process_is_cut_off(tmp_path: Path) -> None:
    spool = make(tmp_path)
    spool.append(line(0) + line(1), 0.0)
    (file,) = tmp_path.iterdir()
    with file.open("ab") as torn:
        torn.write(line(2)[:50])
    again = make(tmp_path, run=1)
    again.append(line(3), 0.0)
    assert ship_all(again) == [0, 1, 3]  # what the earlier run left comes first
    assert again.dropped_count == 0


def test_a_file_shorter_than_what_the_origin_has_is_done_with(tmp_path: Path) -> None:
    """A power cut took the end of it, after it was sent."""
    make(tmp_path).append(line(0), 0.0)
    again = make(tmp_path, run=1)
    again.taken(RUNS[0], 1, 5_000)
    assert again.next_piece(0.0) is None
    assert list(tmp_path.iterdir()) == []


def test_the_oldest_segments_make_room_and_are_counted(tmp_path: Path) -> None:
    spool = make(tmp_path, spool_bytes_max=2_000_000, segment_bytes=100_000)
    count = 30_000
    for no in range(0, count, 100):
        spool.append(b"".join(line(one) for one in range(no, no + 100)), 0.0)
        assert spool.size_bytes <= 2_000_000
    got = ship_all(spool)
    assert got == list(range(spool.dropped_count, count))
    assert len(got) + spool.dropped_count == count
    assert len(got) >= 18_000


def test_what_was_sent_of_a_dropped_segment_is_not_counted(tmp_path: Path) -> None:
    spool = make(tmp_path, spool_bytes_max=2_000_000, segment_bytes=1_000_000)
    spool.append(b"".join(line(no) for no in range(10_000)), 0.0)
    spool.taken(RUNS[0], 1, 400_000)
    for _ in range(2):
        spool.append(b"".join(line(no) for no in range(9_000)), 0.0)
    assert spool.dropped_count == 6_000


def test_segments_end_by_age(tmp_path: Path) -> None:
    spool = make(tmp_path, segment_s=60.0)
    spool.append(line(0), 0.0)
    spool.append(line(1), 61.0)
    pieces = []
    while (piece := spool.next_piece(61.0)) is not None:
        pieces.append((piece.segment_no, piece.first_segment_no))
        spool.taken(piece.boot_id, piece.segment_no, piece.end_bytes)
    assert pieces == [(1, 1), (2, 2)]


def test_a_full_disk_costs_what_is_counted_and_no_more(tmp_path: Path) -> None:
    spool = make(tmp_path)
    spool.append(line(0), 0.0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150, limits[1]))  # takes half a line more
    try:
        spool.append(line(1) + line(2), 0.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert spool.failure
    assert spool.dropped_count == 2
    spool.append(line(3), 0.0)
    assert not spool.failure
    assert ship_all(spool) == [0, 3]


def test_a_folder_that_cannot_be_made_degrades_to_counting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    spool = make(tmp_path / "file" / "spool")
    spool.append(line(0) + line(1), 0.0)
    assert spool.dropped_count == 2
    assert spool.failure
    assert spool.next_piece(0.0) is None


def test_what_is_no_lines_does_not_hold_up_the_rest(tmp_path: Path) -> None:
    spool = make(tmp_path)
    spool.append(line(0), 0.0)
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"\0" * 99 + b"\n")  # zeros, as some file systems leave after a power cut
    again = make(tmp_path, run=1)
    again.append(line(1), 0.0)
    zeros = again.next_piece(0.0)
    assert zeros is not None
    again.give_up(zeros)
    assert ship_all(again) == [1]
    assert again.dropped_count == 1


@pytest.mark.parametrize("size", [PIECE_BYTES - 1, PIECE_BYTES + 1, 3 * PIECE_BYTES])
def test_pieces_are_whole_lines(tmp_path: Path, size: int) -> None:
    spool = make(tmp_path, segment_bytes=1_000_000)
    spool.append(line(0, size) + line(1), 0.0)
    pieces = []
    while (piece := spool.next_piece(0.0)) is not None:
        pieces.append(piece.body)
        spool.taken(piece.boot_id, piece.segment_no, piece.end_bytes)
    assert b"".join(pieces) == line(0, size) + line(1)
    assert all(body.endswith(b"\n") for body in pieces)
