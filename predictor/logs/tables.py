"""CSV and Parquet files as pieces of columns, so that a long file needs no room as text."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nearcast.errors import InputError
from nearcast.text_file import open_text, reading

Written = NDArray[np.float64] | NDArray[np.int64] | tuple[NDArray[np.int64], tuple[str, ...]]
"""Numbers, or codes and the names behind them; -1 and NaN are written as nothing."""

_PIECE_ROWS = 100_000


def column_names(path: Path) -> tuple[str, ...]:
    """The names of a table's columns, to recognise it by. Raises InputError."""
    if _is_parquet(path):
        return tuple(_parquet(path).schema_arrow.names)
    with reading(path) as lines:
        return _header(lines, path)


def pieces_of(
    path: Path, names: Sequence[str], *, needed: Sequence[str]
) -> Iterator[tuple[int, dict[str, Sequence[Any]]]]:
    """Pieces of those columns that are there, each with the line of its first row.

    The line of a Parquet file counts as if a header stood above. Raises InputError.
    """
    reader = _parquet_pieces if _is_parquet(path) else _csv_pieces
    return reader(path, names, needed)


def write_table(path: Path, columns: Mapping[str, Written]) -> None:
    """CSV or Parquet by the name's ending. Raises InputError."""
    if _is_parquet(path):
        _write_parquet(path, columns)
    else:
        _write_csv(path, columns)


def _is_parquet(path: Path) -> bool:
    return path.suffix in {".parquet", ".pq"}


def _check_columns(found: Sequence[str], needed: Sequence[str], path: Path) -> None:
    _check_once(found, path)
    missing = [name for name in needed if name not in found]
    if missing:
        raise InputError(f"{path} lacks the columns {', '.join(missing)}")


def _header(lines: IO[str], path: Path) -> tuple[str, ...]:
    names = tuple(name.strip() for name in next(csv.reader(lines), []))
    if not names:
        raise InputError(f"{path} is empty")
    return names


def _check_once(found: Sequence[str], path: Path) -> None:
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise InputError(f"{path} has more than one column {', '.join(twice)}: keep one of each")


def _csv_pieces(
    path: Path, names: Sequence[str], needed: Sequence[str]
) -> Iterator[tuple[int, dict[str, Sequence[Any]]]]:
    with reading(path) as lines:
        header = _header(lines, path)
        _check_columns(header, needed, path)
        at = {name: header.index(name) for name in names if name in header}
        rows = csv.reader(lines)
        first_line = 2
        while piece := list(itertools.islice(rows, _PIECE_ROWS)):
            for offset, row in enumerate(piece):
                if len(row) != len(header):
                    raise InputError(
                        f"{path}, line {first_line + offset}: {len(row)} values for "
                        f"{len(header)} columns"
                    )
            columns = list(zip(*piece, strict=True))
            yield first_line, {name: columns[index] for name, index in at.items()}
            first_line += len(piece)


def _parquet(path: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(
            f"{path}: Parquet needs pyarrow, which is in nearcast[train]; or give CSV"
        ) from error
    try:
        return pyarrow.parquet.ParquetFile(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except pyarrow.ArrowException as error:
        raise InputError(f"{path} is no readable Parquet file: {error}") from error


def _parquet_pieces(
    path: Path, names: Sequence[str], needed: Sequence[str]
) -> Iterator[tuple[int, dict[str, Sequence[Any]]]]:
    file = _parquet(path)
    import pyarrow

    found = file.schema_arrow.names
    _check_columns(found, needed, path)
    wanted = [name for name in names if name in found]
    first_line = 2
    try:
        for batch in file.iter_batches(batch_size=_PIECE_ROWS, columns=wanted):
            if batch.num_rows:
                yield first_line, {name: _values(batch.column(name)) for name in wanted}
            first_line += batch.num_rows
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{path} is no readable Parquet file: {error}") from error


def _values(column: Any) -> Sequence[Any]:
    """Numbers without gaps as an array, all else as a list with None for gaps."""
    import pyarrow

    kind = column.type
    if column.null_count == 0 and (
        pyarrow.types.is_floating(kind) or pyarrow.types.is_integer(kind)
    ):
        return column.to_numpy()  # type: ignore[no-any-return]
    return column.to_pylist()  # type: ignore[no-any-return]


def _write_csv(path: Path, columns: Mapping[str, Written]) -> None:
    try:
        with open_text(path, "wt") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(columns)
            first = next(iter(columns.values()))
            count = len(first[0] if isinstance(first, tuple) else first)
            for start in range(0, count, _PIECE_ROWS):
                piece = slice(start, start + _PIECE_ROWS)
                texts = [_texts(column, piece) for column in columns.values()]
                rows.writerows(zip(*texts, strict=True))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def _texts(column: Written, piece: slice) -> list[str]:
    if isinstance(column, tuple):
        codes, names = column
        with_none = (*names, "")  # -1 finds the last
        return [with_none[code] for code in codes[piece].tolist()]
    if column.dtype == np.int64:
        return [str(value) for value in column[piece].tolist()]
    return ["" if value != value else f"{value:.3f}" for value in column[piece].tolist()]


def _write_parquet(path: Path, columns: Mapping[str, Written]) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(
            f"{path}: Parquet needs pyarrow, which is in nearcast[train]; or write CSV"
        ) from error

    def array(column: Written) -> Any:
        if isinstance(column, tuple):
            codes, names = column
            return pyarrow.DictionaryArray.from_arrays(
                pyarrow.array(codes.astype(np.int32), mask=codes < 0),
                pyarrow.array(names, type=pyarrow.string()),
            )
        if column.dtype == np.int64:
            return pyarrow.array(column)
        return pyarrow.array(np.round(column, 3), from_pandas=True)  # NaN becomes null

    try:
        table = pyarrow.table({name: array(column) for name, column in columns.items()})
        pyarrow.parquet.write_table(table, path, compression="zstd")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
