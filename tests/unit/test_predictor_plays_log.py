from pathlib import Path

import numpy as np
import pytest

from nearcast.errors import InputError
from predictor.logs.plays import PlaysLog, read_plays, write_plays

TEXT = """\
viewer,start_s,watched_s,runtime_s,title,series,season,episode,device,region,release_s,genre
bo,900,1500,1500,show/2,show,1,2,tv,north,100,drama
ann,100,60.5,6000,film,,,,mobile,south,,comedy
ann,7200,1200,1500,show/1,show,1,1,console,south,100,drama
"""
ARRAYS = ("start_s", "watched_s", "runtime_s", "season", "episode", "device", "release_s")


def written(folder: Path, text: str = TEXT) -> Path:
    path = folder / "plays.csv"
    path.write_text(text)
    return path


def named(log: PlaysLog) -> list[tuple[str, str, str, str]]:
    series = (*log.series_names, "")
    rows = zip(log.viewer, log.title, log.series, log.region, strict=True)
    return [
        (log.viewers[viewer], log.titles[title], series[show], log.regions[region])
        for viewer, title, show, region in rows
    ]


def test_a_log_is_sorted_by_time_and_its_names_are_numbered(tmp_path: Path) -> None:
    log = read_plays(written(tmp_path))
    assert log.start_s.tolist() == [100.0, 900.0, 7200.0]
    assert named(log) == [
        ("ann", "film", "", "south"),
        ("bo", "show/2", "show", "north"),
        ("ann", "show/1", "show", "south"),
    ]
    assert log.device.tolist() == [1, 0, 2]  # a device of no known kind is another one
    assert log.season.tolist() == [0, 1, 1]
    assert np.isnan(log.release_s[0])
    assert log.release_s[1] == 100.0
    assert log.utc_offset_h.tolist() == [0.0, 0.0, 0.0]


def test_only_the_needed_columns_are_needed(tmp_path: Path) -> None:
    log = read_plays(written(tmp_path, "title,viewer,runtime_s,watched_s,start_s\n7,1,60,5,0\n"))
    assert named(log) == [("1", "7", "", "")]
    assert (log.series[0], log.genre[0], log.device[0]) == (-1, -1, 2)


def test_the_order_of_rows_leaves_no_trace(tmp_path: Path) -> None:
    header, *rows = TEXT.splitlines()
    there = read_plays(written(tmp_path))
    back = read_plays(written(tmp_path, "\n".join([header, *reversed(rows)]) + "\n"))
    assert (there.viewers, there.titles) == (back.viewers, back.titles)
    assert named(there) == named(back)


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "csv.xz", "parquet"])
def test_what_is_written_is_read_again(tmp_path: Path, ending: str) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    log = read_plays(written(tmp_path))
    write_plays(tmp_path / f"again.{ending}", log)
    again = read_plays(tmp_path / f"again.{ending}")
    assert named(again) == named(log)
    assert again.genres == log.genres
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(again, name), getattr(log, name))


def test_taking_plays_keeps_the_names(tmp_path: Path) -> None:
    log = read_plays(written(tmp_path))
    assert named(log.take(log.series >= 0)) == named(log)[1:]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("viewer,start_s\na,1\n", "lacks the columns watched_s, runtime_s, title"),
        ("", "is empty"),
        (TEXT.splitlines()[0] + "\n", "holds no plays"),
        (TEXT.replace("7200", "later"), r"plays.csv, line 4: start_s 'later' is no number"),
        (TEXT.replace("60.5", "-1"), "line 3: watched_s -1 must be a number of 0 or more"),
        (TEXT.replace(",6000,", ",0,"), "line 3: runtime_s 0 must be a number above 0"),
        (TEXT.replace(",6000,", ",,"), "line 3: runtime_s is empty"),
        (TEXT.replace("1,2,tv", "1,2.5,tv"), "line 2: episode 2.5 must be a whole number"),
        (TEXT.replace("bo,900", ",900"), "line 2: viewer is empty"),
        (TEXT.replace("900", "inf"), "line 2: start_s inf must be a number"),
        (TEXT.replace("ann,100,", "ann,100,,"), "line 3: 13 values for 12 columns"),
        (TEXT + "c,1,1,1,show/1,other,1,1,tv,x,1,g\n", "'show/1' belongs to more than one series"),
    ],
)
def test_a_bad_file_is_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_plays(written(tmp_path, text))


def test_files_that_cannot_be_read_are_input_errors(tmp_path: Path) -> None:
    (tmp_path / "cut.csv.gz").write_bytes(b"\x1f\x8b\x08\x00 no more")
    for name in ("none.csv", "cut.csv.gz"):
        with pytest.raises(InputError, match="cannot read"):
            read_plays(tmp_path / name)
    pytest.importorskip("pyarrow")
    (tmp_path / "no.parquet").write_bytes(b"text")
    with pytest.raises(InputError, match="no readable Parquet file"):
        read_plays(tmp_path / "no.parquet")


def test_a_bad_row_of_parquet_is_named_by_its_line(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = {"viewer": [1, 2], "start_s": [0, 1], "watched_s": [5.0, None]}
    table |= {"runtime_s": [60, 60], "title": ["a", "a"]}
    parquet.write_table(pyarrow.table(table), tmp_path / "p.parquet")
    with pytest.raises(InputError, match=r"p.parquet, line 3: watched_s is empty"):
        read_plays(tmp_path / "p.parquet")


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "plays.csv"
    path.write_text(TEXT, encoding="utf-8-sig")
    assert named(read_plays(path)) == [
        ("ann", "film", "", "south"),
        ("bo", "show/2", "show", "north"),
        ("ann", "show/1", "show", "south"),
    ]


def test_a_column_given_twice_is_refused(tmp_path: Path) -> None:
    text = TEXT.replace("genre", "viewer", 1)
    with pytest.raises(InputError, match="more than one column viewer"):
        read_plays(written(tmp_path, text))


def test_a_play_logged_twice_counts_once_and_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    last = TEXT.splitlines()[-1]
    log = read_plays(written(tmp_path, TEXT + last + "\n"))
    assert len(log) == 3
    assert "plays.repeated" in caplog.text
    assert "dropped=1" in caplog.text


def test_plays_of_one_viewer_that_overlap_are_kept_and_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read_plays(written(tmp_path))
    assert caplog.text == ""
    log = read_plays(written(tmp_path, TEXT + "bo,1000,60,6000,film,,,,tv,north,,comedy\n"))
    assert len(log) == 4
    assert "plays.overlap" in caplog.text
    assert "plays=1 of=4" in caplog.text


@pytest.mark.parametrize("ending", [".csv.gz", ".csv.xz", ".csv"])
def test_the_same_log_makes_the_same_file(tmp_path: Path, ending: str) -> None:
    log = read_plays(written(tmp_path))
    one, other = tmp_path / f"one{ending}", tmp_path / f"other{ending}"
    write_plays(one, log)
    write_plays(other, log)
    assert one.read_bytes() == other.read_bytes()
    if ending == ".csv.gz":
        assert one.read_bytes()[4:8] == bytes(4)  # RFC 1952: MTIME 0, no time
