"""Bandwidth traces in files: one reader for those who simulate with them and those who learn.

A file is CSV with the columns `t_s` and `throughput_kbps`, and `trace_id` if it holds several;
plain, or packed as `.gz` or `.xz`.
"""

from __future__ import annotations

import csv
import gzip
import lzma
import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from nearcast.errors import InputError
from nearcast.trace import Trace

TIME_COLUMN = "t_s"
RATE_COLUMN = "throughput_kbps"
ID_COLUMN = "trace_id"
PACKED = (".gz", ".xz")

# A week at one row a second is 604 800; a file beyond this is not a bandwidth trace.
ROWS_MAX = 2_000_000


def family_name(path: Path) -> str:
    """`fcc` for `.../fcc.csv.gz`: the traces of a file are a family."""
    name = path.name
    for suffix in (*PACKED, ".csv"):
        name = name.removesuffix(suffix)
    return name


def read_trace(path: Path | str, trace_id: str | None = None) -> Trace:
    """The trace in a CSV with the header `t_s,throughput_kbps`, or `trace_id` of a file of many.

    `.gz` and `.xz` are read as such. Raises InputError that names the file and, where there is
    one, the line.
    """
    found: list[str] = []
    for name, trace in read_traces(path):
        if trace_id is None:
            found.append(name)
            if len(found) > 1:
                raise InputError(
                    f"{path} holds several traces; say which, for example {found[0]!r}"
                )
            only = trace
        elif name == trace_id:
            return trace
    if trace_id is not None:
        raise InputError(f"{path} holds no trace {trace_id!r}")
    return only


def read_traces(path: Path | str) -> Iterator[tuple[str, Trace]]:
    """All traces of a file with their ids; one without an id is called as its family.

    Raises InputError as `read_trace` does, also when the rows of a trace do not follow each other.
    """
    path = Path(path)
    names: set[str] = set()
    name = ""
    times_s: list[float] = []
    rates_kbps: list[float] = []
    first_line_no = 2
    for line_no, row_id, time_s, rate_kbps in _rows(path):
        if times_s and row_id != name:
            yield name, _build(path, first_line_no, times_s, rates_kbps)
            times_s, rates_kbps = [], []
        if not times_s:
            if row_id in names:
                raise InputError(
                    f"{path}, line {line_no}: the rows of trace {row_id!r} must follow each other"
                )
            names.add(row_id)
            name, first_line_no = row_id, line_no
        elif time_s < times_s[-1]:
            raise InputError(
                f"{path}, line {line_no}: {TIME_COLUMN} must not fall from row to row, "
                f"got {time_s} after {times_s[-1]}"
            )
        elif time_s == times_s[-1]:  # public traces hold such rows: the later one holds
            rates_kbps[-1] = rate_kbps
            continue
        times_s.append(time_s)
        rates_kbps.append(rate_kbps)
    if not times_s:
        raise InputError(f"{path} has no rows")
    yield name, _build(path, first_line_no, times_s, rates_kbps)


def _build(
    path: Path, line_no: int, times_s: Sequence[float], rates_kbps: Sequence[float]
) -> Trace:
    try:
        return Trace(times_s, rates_kbps[:-1])
    except InputError as error:
        raise InputError(f"{path}, from line {line_no}: {error}") from error


def _rows(path: Path) -> Iterator[tuple[int, str, float, float]]:
    """Line number, id, time and rate of each row; checked one by one."""
    try:
        with _open(path) as file:
            reader = csv.reader(file)
            columns = [column.strip() for column in next(reader, [])]
            if not {TIME_COLUMN, RATE_COLUMN} <= set(columns):
                raise InputError(
                    f"{path}, line 1: the header must be {TIME_COLUMN},{RATE_COLUMN} "
                    f"(or {ID_COLUMN},{TIME_COLUMN},{RATE_COLUMN})"
                )
            time_at, rate_at = columns.index(TIME_COLUMN), columns.index(RATE_COLUMN)
            id_at = columns.index(ID_COLUMN) if ID_COLUMN in columns else None
            family = family_name(path)
            for row in reader:
                line_no = reader.line_num
                if not row or not any(row):
                    continue
                if line_no > ROWS_MAX:
                    raise InputError(f"{path} has more than {ROWS_MAX} rows")
                if len(row) != len(columns):
                    raise InputError(
                        f"{path}, line {line_no}: expected {len(columns)} columns, got {len(row)}"
                    )
                yield (
                    line_no,
                    family if id_at is None else row[id_at] or family,
                    _number(path, line_no, TIME_COLUMN, row[time_at]),
                    _number(path, line_no, RATE_COLUMN, row[rate_at]),
                )
    except (OSError, EOFError, lzma.LZMAError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read {path}: {reason}") from error


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _number(path: Path, line_no: int, column: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise InputError(f"{path}, line {line_no}: {column} is not a number: {text!r}") from None
    if not math.isfinite(number):
        raise InputError(f"{path}, line {line_no}: {column} must be finite, got {text!r}")
    if column == RATE_COLUMN and number < 0:
        raise InputError(f"{path}, line {line_no}: {column} must not be negative, got {text}")
    return number
