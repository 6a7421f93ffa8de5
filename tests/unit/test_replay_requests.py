"""Request files: what is read, and what is said of what cannot be."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest

from nearcast.errors import ConfigError, InputError
from simulation.replay.requests import (
    parse_capacity,
    parse_requests,
    parse_share,
    read_requests,
)

HEADER = "t_s,key,size_bytes"


def test_objects_are_numbered_in_the_order_of_their_first_request() -> None:
    requests = parse_requests([HEADER, "0,b,10", "0,a,20", "1.5,b,10"], "day.csv")
    assert requests.keys == ("b", "a")
    assert requests.sizes_bytes.tolist() == [10, 20]
    assert requests.objects.tolist() == [0, 1, 0]
    assert requests.footprint_bytes == 30


def test_columns_may_come_in_any_order_among_others() -> None:
    requests = parse_requests(["size_bytes,client,key,t_s", "7,x,a,0"], "day.csv")
    assert requests.keys == ("a",)
    assert requests.sizes_bytes.tolist() == [7]


def test_a_key_with_another_size_is_another_object() -> None:
    requests = parse_requests([HEADER, "0,a,10", "1,a,11", "2,a,10"], "day.csv")
    assert requests.objects.tolist() == [0, 1, 0]
    assert len(set(requests.keys)) == 2


def test_keys_stay_unique_where_a_key_looks_like_another_and_its_size() -> None:
    lines = [HEADER, "0,a,10", "1,a,11", "2,a 11,5", "3,a,5"]
    assert len(set(parse_requests(lines, "day.csv").keys)) == 4


def test_a_file_may_be_compressed(tmp_path: Path) -> None:
    content = f"{HEADER}\n0,a,1\n1,b,2\n".encode()
    for name, packed in {
        "day.csv": content,
        "day.csv.gz": gzip.compress(content),
        "day.csv.xz": lzma.compress(content),
    }.items():
        file = tmp_path / name
        file.write_bytes(packed)
        assert read_requests(file).keys == ("a", "b")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x,a,1", "line 3: could not convert string to float"),
        ("nan,a,1", "line 3: t_s nan must be a number"),
        ("inf,a,1", "line 3: t_s inf must be a number"),
        ("4,a,1", "line 3: t_s 4 must be a number and not before the last"),
        ("5,a", "line 3: fewer values than columns"),
        ("5,a,1.5", "line 3: invalid literal"),
        ("5,a,0", "line 3: size_bytes 0 must be the object's whole size"),
        ("5,a,-1", "line 3: size_bytes -1"),
        ("5,a,4294967296", "line 3: size_bytes 4294967296"),
        ('5,"a', "line 3"),
    ],
)
def test_a_bad_line_is_named(line: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^day.csv, {message}"):
        parse_requests([HEADER, "5,a,1", line], "day.csv")


def test_a_header_must_name_the_columns() -> None:
    with pytest.raises(InputError, match=r"line 1: the header must name .*; it lacks key"):
        parse_requests(["t_s,object,size_bytes", "0,a,1"], "day.csv")
    with pytest.raises(InputError, match="line 1: the header"):
        parse_requests([], "empty.csv")
    with pytest.raises(InputError, match=r"day.csv holds no requests"):
        parse_requests([HEADER], "day.csv")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*none.csv: No such file"):
        read_requests(tmp_path / "none.csv")
    for name, content in {
        "cut.csv.gz": gzip.compress(f"{HEADER}\n0,a,1\n".encode())[:-9],
        "cut.csv.xz": lzma.compress(f"{HEADER}\n0,a,1\n".encode())[:-9],
        "no.csv.gz": b"t_s,key,size_bytes\n",
        "no.csv.xz": b"t_s,key,size_bytes\n",
    }.items():
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(InputError, match=f"cannot read .*{name}"):
            read_requests(file)
    latin = tmp_path / "latin.csv"
    latin.write_bytes(HEADER.encode() + b"\n0,\xe4,1\n")
    with pytest.raises(InputError, match=r"latin.csv, after line 1: not UTF-8 text"):
        read_requests(latin)


def test_capacity_is_a_size_or_a_share_of_the_footprint() -> None:
    assert parse_capacity("5%", 2_000) == 100
    assert parse_capacity(" 12.5 % ", 2_000) == 250
    assert parse_capacity("1kB", 2_000) == 1_000


@pytest.mark.parametrize("text", ["0%", "0", "101%", "-1%", "x%", "five", "", "%"])
def test_a_capacity_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_capacity(text, 2_000)


def test_a_share_is_written_with_a_percent_sign() -> None:
    assert parse_share("20%", "--warmup") == pytest.approx(0.2)
    for text in ("0.2", "nan%", "-5%", ""):
        with pytest.raises(ConfigError, match=f"--warmup {text}: write a share"):
            parse_share(text, "--warmup")
