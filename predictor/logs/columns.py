"""Pieces of a table become checked columns: numbers as arrays, names as numbers and a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.errors import InputError

ROWS_MAX = 50_000_000
"""About 5 GB of columns; a longer log is better read in parts."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """What a column may hold. A name's code is -1, and a number NaN or `unknown`, where empty."""

    name: str
    kind: Literal["name", "number", "integer"]
    needed: bool = False
    low: float = -1e18
    high: float = 1e18
    above_low: bool = False
    unknown: float = float("nan")


class Gathered:
    """Columns put together piece by piece."""

    def __init__(self, columns: Sequence[Column], source: str) -> None:
        self._columns = columns
        self._source = source
        self._codes: dict[str, dict[str, int]] = {column.name: {} for column in columns}
        self._parts: dict[str, list[NDArray[Any]]] = {column.name: [] for column in columns}
        self._row_count = 0

    def add(self, piece: Mapping[str, Sequence[Any]], first_line: int) -> None:
        """Columns of one piece, of one length; those left out are unknown throughout.

        Raises InputError naming the line of the first value that makes no sense.
        """
        count = len(next(iter(piece.values())))
        self._row_count += count
        if self._row_count > ROWS_MAX:
            raise InputError(f"{self._source} holds more than {ROWS_MAX} rows: read it in parts")
        for column in self._columns:
            values = piece.get(column.name)
            if column.kind == "name":
                part: NDArray[Any] = self._coded(column, values, count, first_line)
            else:
                part = self._numbers(column, values, count, first_line)
            self._parts[column.name].append(part)

    def columns(self) -> tuple[dict[str, NDArray[Any]], dict[str, tuple[str, ...]]]:
        """All columns by name, and the names behind the codes."""
        columns = {
            column.name: np.concatenate(self._parts[column.name])
            if self._parts[column.name]
            else np.zeros(0)
            for column in self._columns
        }
        return columns, {name: tuple(codes) for name, codes in self._codes.items()}

    def _coded(
        self, column: Column, values: Sequence[Any] | None, count: int, first_line: int
    ) -> NDArray[np.int64]:
        if values is None:
            return np.full(count, -1, dtype=np.int64)
        codes = self._codes[column.name]
        coded = [
            -1 if value is None or value == "" else codes.setdefault(str(value), len(codes))
            for value in values
        ]
        if column.needed and -1 in coded:
            raise self._wrong(column, "is empty", first_line + coded.index(-1))
        return np.array(coded, dtype=np.int64)

    def _numbers(
        self, column: Column, values: Sequence[Any] | None, count: int, first_line: int
    ) -> NDArray[Any]:
        if values is None:
            numbers = np.full(count, np.nan)
        else:
            numbers = self._parsed(column, values, first_line)
        is_empty = np.isnan(numbers)
        if column.needed and is_empty.any():
            raise self._wrong(column, "is empty", first_line + int(np.argmax(is_empty)))
        low = numbers <= column.low if column.above_low else numbers < column.low
        bad = low | (numbers > column.high) | np.isinf(numbers)
        if column.kind == "integer":
            bad |= ~is_empty & (numbers != np.floor(numbers))
        if bad.any():
            at = int(np.argmax(bad))
            raise self._wrong(column, f"{numbers[at]:g} {_rule(column)}", first_line + at)
        numbers = np.where(is_empty, column.unknown, numbers)
        return numbers.astype(np.int64) if column.kind == "integer" else numbers

    def _parsed(
        self, column: Column, values: Sequence[Any], first_line: int
    ) -> NDArray[np.float64]:
        try:
            return np.array(values, dtype=np.float64)
        except (TypeError, ValueError):
            pass  # an empty field, or text: slower, one by one
        numbers = np.empty(len(values))
        for at, value in enumerate(values):
            try:
                numbers[at] = np.nan if value is None or value == "" else float(value)
            except (TypeError, ValueError):
                raise self._wrong(column, f"{value!r} is no number", first_line + at) from None
        return numbers

    def _wrong(self, column: Column, what: str, line: int) -> InputError:
        return InputError(f"{self._source}, line {line}: {column.name} {what}")


def _rule(column: Column) -> str:
    kind = "a whole number" if column.kind == "integer" else "a number"
    if column.above_low:
        return f"must be {kind} above {column.low:g}"
    if column.high < 1e18:
        return f"must be {kind} from {column.low:g} to {column.high:g}"
    return f"must be {kind} of {column.low:g} or more" if column.low > -1e18 else f"must be {kind}"
