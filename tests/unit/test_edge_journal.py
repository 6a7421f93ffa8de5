from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.drivers.store.journal import (
    RECORD_BYTES_MAX,
    Frame,
    Journal,
    PutRecord,
    decode_put,
    drop_frame,
    put_frame,
)
from tests.store_victim import described


def record(number: int, note: str = "") -> PutRecord:
    stored = described(f"{number:016x}{note}", b"body")
    return PutRecord(stored, number, number * 4096, (number,))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "index.journal")
    journal.open()
    yield journal
    journal.close()


def reread(journal: Journal) -> list[Frame]:
    journal.close()
    journal.open()
    return list(journal.replay())


def numbers(frames: list[Frame]) -> list[int]:
    records = [decode_put(frame.payload) for frame in frames]
    return [one.file_no for one in records if one is not None]


def test_records_come_back_in_order_with_their_places(journal: Journal, tmp_path: Path) -> None:
    first = journal.append([put_frame(record(1)), drop_frame("ab" * 16)])
    second = journal.append([put_frame(record(2))])
    frames = reread(journal)
    assert [frame.kind for frame in frames] == [1, 2, 1]
    assert frames[1].payload == b"ab" * 16
    assert [frames[0].offset, frames[2].offset] == [first, second]
    assert decode_put(frames[2].payload) == record(2)
    assert frames[2].offset + frames[2].size_bytes == (tmp_path / "index.journal").stat().st_size


def test_torn_end_is_cut_off_so_that_the_next_record_is_found(
    journal: Journal, tmp_path: Path
) -> None:
    path = tmp_path / "index.journal"
    journal.append([put_frame(record(1)), put_frame(record(2))])
    whole_bytes = path.stat().st_size
    for cut in range(1, len(put_frame(record(2)))):
        path.write_bytes(path.read_bytes()[: whole_bytes - cut])
        assert numbers(reread(journal)) == [1]
        journal.append([put_frame(record(2))])
        assert numbers(reread(journal)) == [1, 2]
        assert journal.damaged_bytes == 0


def test_empty_and_beheaded_files_begin_anew(journal: Journal, tmp_path: Path) -> None:
    for text in (b"", b"NC"):
        (tmp_path / "index.journal").write_bytes(text)
        assert reread(journal) == []
        journal.append([put_frame(record(1))])
        assert numbers(reread(journal)) == [1]


def test_length_that_lies_hides_no_later_record(journal: Journal, tmp_path: Path) -> None:
    path = tmp_path / "index.journal"
    for length in (RECORD_BYTES_MAX, RECORD_BYTES_MAX + 1, 0, 2**32 - 1):
        first = journal.append([put_frame(record(1)), put_frame(record(2))])
        text = bytearray(path.read_bytes())
        text[first + 5 : first + 9] = length.to_bytes(4, "big")
        path.write_bytes(text)
        assert numbers(reread(journal))[-1] == 2


def test_many_chunks_are_read_without_holding_them_all(journal: Journal) -> None:
    frames = [put_frame(record(number, "0" * (number % 64))) for number in range(9000)]
    journal.append(frames)
    assert journal.size_bytes > 2 << 20
    assert numbers(reread(journal)) == list(range(9000))


def test_compaction_keeps_the_living_records_at_their_new_places(journal: Journal) -> None:
    offset = journal.append([])
    live = []
    for number in range(100):
        frame = put_frame(record(number))
        journal.append([frame])
        if number % 3:
            live.append((offset, len(frame)))
        offset += len(frame)
    offsets = journal.compact(live)
    journal.append([put_frame(record(200))])
    frames = reread(journal)
    assert numbers(frames) == [*(number for number in range(100) if number % 3), 200]
    assert [frame.offset for frame in frames[:-1]] == offsets


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), flips=st.integers(1, 12))
def test_damage_costs_the_records_it_hits_and_no_others(
    tmp_path_factory: pytest.TempPathFactory, seed: int, flips: int
) -> None:
    draw = np.random.default_rng(seed)
    path = tmp_path_factory.mktemp("journal") / "index.journal"
    journal = Journal(path)
    journal.open()
    frames = [put_frame(record(number, "0" * int(draw.integers(40)))) for number in range(40)]
    place = journal.append(frames)
    text = bytearray(path.read_bytes())
    hit = set()
    for _ in range(flips):
        at = int(draw.integers(place, len(text)))
        text[at] ^= 1 << int(draw.integers(8))
    end = place
    for number, frame in enumerate(frames):
        if text[end : end + len(frame)] != frame:
            hit.add(number)
        end += len(frame)
    path.write_bytes(text)
    assert numbers(reread(journal)) == [number for number in range(40) if number not in hit]
    journal.close()
