"""Bandwidth over time: piecewise constant, repeating, integrated exactly.

A trace says how fast a link is. Row `i` holds from `times_s[i]` to `times_s[i + 1]`; the last time
only marks the end, after which the trace starts again. What a link needs from it is the integral
(`sent_bytes`) and its inverse (`finish_s`): when would these bytes be through, if they started now?
Both look up a table of prefix sums, so no time step is ever involved and spans of zero rate cost
nothing.
"""

from __future__ import annotations

import csv
import gzip
import lzma
import math
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import IO

from nearcast.errors import InputError
from nearcast.units import bytes_per_s_from_kbps, kbps_from_bytes_per_s

TIME_COLUMN = "t_s"
RATE_COLUMN = "throughput_kbps"
ID_COLUMN = "trace_id"

# A week at one row a second is 604 800; a file beyond this is not a bandwidth trace.
ROWS_MAX = 2_000_000
SHIPPED_NAMES = ("fibre", "cable", "wifi", "mobile", "mobile-poor")


class Trace:
    """A repeating bandwidth trace; `times_s` has one entry more than `rates_kbps` (the end).

    Times start anywhere and are moved so that the trace begins at 0. Raises InputError when times
    do not increase, a rate is negative or not a number, or no byte would ever get through.
    """

    def __init__(self, times_s: Sequence[float], rates_kbps: Sequence[float]) -> None:
        if not rates_kbps or len(times_s) != len(rates_kbps) + 1:
            raise InputError(
                "a trace needs at least two rows: the last one only says when the trace ends"
            )
        if not all(map(math.isfinite, times_s)) or not all(map(math.isfinite, rates_kbps)):
            raise InputError("a trace is made of finite numbers")
        if any(one >= two for one, two in pairwise(times_s)):
            raise InputError("the times of a trace must increase")
        if min(rates_kbps) < 0:
            raise InputError("the rates of a trace must not be negative")
        if max(rates_kbps) == 0:
            raise InputError("all rates of the trace are zero: nothing would ever arrive")
        self.times_s = tuple(time_s - times_s[0] for time_s in times_s)
        self.rates_kbps = tuple(float(rate_kbps) for rate_kbps in rates_kbps)
        self._rates = tuple(map(bytes_per_s_from_kbps, self.rates_kbps))
        sums = [0.0]
        for (start_s, end_s), rate in zip(pairwise(self.times_s), self._rates, strict=True):
            sums.append(sums[-1] + (end_s - start_s) * rate)
        self._sums = tuple(sums)
        self._is_constant = len(set(self._rates)) == 1

    @classmethod
    def constant(cls, rate_kbps: float) -> Trace:
        """A link that never changes. Raises InputError unless the rate is positive."""
        if not rate_kbps > 0:
            raise InputError(f"a rate must be above zero, got {rate_kbps:g} kbit/s")
        return cls((0.0, 1.0), (rate_kbps,))

    @property
    def period_s(self) -> float:
        """After this long it starts again."""
        return self.times_s[-1]

    @property
    def mean_kbps(self) -> float:
        return kbps_from_bytes_per_s(self._sums[-1] / self.period_s)

    def rate_kbps_at(self, time_s: float) -> float:
        """The rate at `time_s` >= 0."""
        return self.rates_kbps[self._row(self._local_s(time_s))]

    def bytes_per_s_at(self, time_s: float) -> float:
        """The same in bytes a second."""
        return self._rates[0 if self._is_constant else self._row(self._local_s(time_s))]

    def sent_bytes(self, start_s: float, end_s: float) -> float:
        """What gets through from `start_s` to `end_s`, a fraction of a byte included."""
        if self._is_constant:
            return (end_s - start_s) * self._rates[0]
        return self._position(end_s) - self._position(start_s)

    def finish_s(self, start_s: float, size_bytes: float) -> float:
        """The earliest time at which `size_bytes` (> 0) that started at `start_s` are through."""
        if self._is_constant:
            return start_s + size_bytes / self._rates[0]
        local_s = self._local_s(start_s)
        row = self._row(local_s)
        rate = self._rates[row]
        if rate > 0 and local_s + size_bytes / rate <= self.times_s[row + 1]:
            return start_s + size_bytes / rate  # nearly always: within one span
        total = self._sums[-1]
        target = self._position(start_s) + size_bytes
        # The remainder lies in (0, total]: a target on the seam belongs to the earlier turn, whose
        # last span may have rate zero.
        turns = math.ceil(target / total) - 1
        rest = min(target - turns * total, total)
        row = max(bisect_left(self._sums, rest), 1) - 1
        rate = self._rates[row]
        in_span_s = (rest - self._sums[row]) / rate if rate > 0 else 0.0
        return max(turns * self.period_s + self.times_s[row] + in_span_s, start_s)

    def _local_s(self, time_s: float) -> float:
        return time_s - math.floor(time_s / self.period_s) * self.period_s

    def _row(self, local_s: float) -> int:
        """The span that holds `local_s`; a rounding error past either end is still inside."""
        row = bisect_right(self.times_s, local_s) - 1
        if row >= len(self._rates):
            return len(self._rates) - 1
        return row if row > 0 else 0

    def _position(self, time_s: float) -> float:
        """Bytes through since time 0."""
        turns = math.floor(time_s / self.period_s)
        local_s = time_s - turns * self.period_s
        row = self._row(local_s)
        inside = (local_s - self.times_s[row]) * self._rates[row]
        return turns * self._sums[-1] + self._sums[row] + inside


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
    """All traces of a file with their ids (an empty id if it has no `trace_id` column)."""
    path = Path(path)
    name = ""
    times_s: list[float] = []
    rates_kbps: list[float] = []
    first_line_no = 2
    is_empty = True
    for line_no, row_id, time_s, rate_kbps in _rows(path):
        if not is_empty and row_id != name:
            yield name, _build(path, first_line_no, times_s, rates_kbps)
            times_s, rates_kbps = [], []
        if not times_s:
            name, first_line_no = row_id, line_no
        elif time_s < times_s[-1]:
            raise InputError(
                f"{path}, line {line_no}: {TIME_COLUMN} must not fall from row to row, "
                f"got {time_s} after {times_s[-1]}"
            )
        elif time_s == times_s[-1]:  # public traces hold such rows: the later one holds
            rates_kbps[-1] = rate_kbps
            continue
        is_empty = False
        times_s.append(time_s)
        rates_kbps.append(rate_kbps)
    if is_empty:
        raise InputError(f"{path} has no rows")
    yield name, _build(path, first_line_no, times_s, rates_kbps)


def shipped_trace(name: str) -> Trace:
    """One of the traces that come with Nearcast, by name."""
    if name not in SHIPPED_NAMES:
        raise InputError(f"no trace is called {name!r}; there are {', '.join(SHIPPED_NAMES)}")
    return read_trace(Path(str(files("simulation.traces").joinpath(f"{name}.csv"))))


def find_trace(name_or_path: str, *, folder: Path | None = None) -> Trace:
    """A shipped trace by its name, else the file (relative to `folder`)."""
    if name_or_path in SHIPPED_NAMES:
        return shipped_trace(name_or_path)
    path = Path(name_or_path) if folder is None else folder / name_or_path
    if not path.exists() and path.suffix == "":
        raise InputError(
            f"{name_or_path!r} is neither a file nor a shipped trace ({', '.join(SHIPPED_NAMES)})"
        )
    return read_trace(path)


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
                    "" if id_at is None else row[id_at],
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
