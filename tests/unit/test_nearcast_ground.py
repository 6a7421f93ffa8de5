"""Units, seeds, tables and records."""

from __future__ import annotations

import io

import msgspec
import numpy as np
import pytest

from nearcast import units
from nearcast.clock import SystemClock, VirtualClock
from nearcast.errors import ConfigError
from nearcast.messages import Catalog, TitleEntry
from nearcast.record import (
    DigestRecorder,
    FanOut,
    JsonlRecorder,
    ListRecorder,
    NullRecorder,
    Record,
)
from nearcast.seeds import Seeds
from nearcast.table import Table


class Started(Record, frozen=True, kw_only=True, tag="started"):
    name: str


class Stopped(Record, frozen=True, kw_only=True, tag="stopped"):
    pass


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("4096", 4096),
        ("10B", 10),
        ("10GB", 10_000_000_000),
        ("512MiB", 512 * 1024 * 1024),
        ("1.5 kB", 1500),
        (" 2k ", 2000),
        ("1Ti", 1024**4),
        ("0.1GB", 100_000_000),
        ("2.3 MB", 2_300_000),
        ("9007199254740993", 9_007_199_254_740_993),
    ],
)
def test_sizes_are_read(text: str, size_bytes: int) -> None:
    assert units.parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text", ["", "GB", "-1", "1,5GB", "1e9", "5%", "1 XB", "1iB", "nan", "1GBB", "9" * 400]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a size"):
        units.parse_size(text)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_999, "1.0 MB"),
        (1_400_000_000, "1.4 GB"),
        (2.5e15, "2500.0 TB"),
        (-2000, "-2.0 kB"),
    ],
)
def test_sizes_are_shown_for_people(size_bytes: float, text: str) -> None:
    assert units.format_size(size_bytes) == text


def test_conversions_agree_with_each_other() -> None:
    assert units.kbps(125_000, 1.0) == 1000.0
    assert units.bytes_per_s_from_kbps(1000.0) == 125_000.0
    assert units.kbps_from_bytes_per_s(125_000.0) == 1000.0
    assert units.bits_from_bytes(2) == 16
    assert units.bps_from_kbps(1.2345) == 1234
    assert units.kbps_from_bps(1500) == 1.5
    assert units.ms_from_s(units.s_from_ms(20)) == 20


def test_streams_repeat_and_do_not_disturb_each_other() -> None:
    first = Seeds(7).stream("edge/a").random(5)
    seeds = Seeds(7)
    seeds.stream("edge/b").random(100)
    assert np.array_equal(seeds.stream("edge/a").random(5), first)
    assert not np.array_equal(seeds.stream("edge/b").random(5), first)
    assert not np.array_equal(Seeds(8).stream("edge/a").random(5), first)


def test_tables_keep_their_order_and_name_what_they_have() -> None:
    table = Table("eviction policy", {"lru": 1, "sieve": 2})
    assert list(table) == ["lru", "sieve"]
    assert len(table) == 2
    assert "lru" in table
    assert table.get("sieve") == 2
    with pytest.raises(
        ConfigError, match="no eviction policy is called 'x'; choose from: lru, sieve"
    ):
        table.get("x")


def records() -> list[Record]:
    return [Started(at_s=0.5, name="a"), Stopped(at_s=1.0)]


def test_records_are_written_as_tagged_lines() -> None:
    file = io.BytesIO()
    recorder = JsonlRecorder(file)
    for record in records():
        recorder.record(record)
    lines = file.getvalue().splitlines()
    assert msgspec.json.decode(lines[0]) == {"event": "started", "at_s": 0.5, "name": "a"}
    assert [msgspec.json.decode(line, type=Started | Stopped) for line in lines] == records()


def test_digests_agree_exactly_for_the_same_records_in_the_same_order() -> None:
    def digest(some: list[Record]) -> str:
        recorder = DigestRecorder()
        for record in some:
            recorder.record(record)
        assert recorder.record_count == len(some)
        return recorder.hexdigest()

    assert digest(records()) == digest(records())
    assert digest(records()) != digest(records()[::-1])
    assert digest(records()) != digest([Started(at_s=0.5, name="b"), Stopped(at_s=1.0)])
    assert digest([]) != digest(records())


def test_records_reach_every_recorder() -> None:
    one, two = ListRecorder(), ListRecorder()
    recorder = FanOut(one, NullRecorder(), two)
    for record in records():
        recorder.record(record)
    assert one.records == two.records == records()


def test_virtual_time_moves_only_when_told_and_never_back() -> None:
    clock = VirtualClock(epoch_s=5.0)
    clock.move_to(2.0)
    assert (clock.now_s(), clock.epoch_s) == (2.0, 5.0)
    with pytest.raises(AssertionError):
        clock.move_to(1.0)


def test_the_system_clock_never_goes_back() -> None:
    clock = SystemClock()
    assert clock.now_s() <= clock.now_s()
    assert clock.epoch_s + clock.now_s() > 1_600_000_000


def title(title_id: str, season_no: int | None, episode_no: int | None) -> TitleEntry:
    return TitleEntry(
        id=title_id,
        name=title_id,
        duration_s=1.0,
        dash="d",
        hls="h",
        series=None if season_no is None else title_id[0],
        season_no=season_no,
        episode_no=episode_no,
    )


def test_the_successor_is_the_next_episode_or_the_next_seasons_first() -> None:
    titles = (
        title("a21", 2, 1),
        title("a12", 1, 2),
        title("film", None, None),
        title("a11", 1, 1),
        title("b11", 1, 1),
        title("a110", 1, 10),
    )
    catalog = Catalog(revision="r", titles=titles)
    assert catalog.successors() == {"a11": "a12", "a12": "a110", "a110": "a21"}
