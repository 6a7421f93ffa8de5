"""Request files: CSV with the columns t_s, key and size_bytes, plain or compressed."""

from __future__ import annotations

import csv
import gzip
import lzma
import math
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.errors import ConfigError, InputError
from nearcast.units import parse_size

COLUMNS = ("t_s", "key", "size_bytes")
OBJECT_BYTES_MAX = 2**32 - 1
"""More than any object of an edge, and what the file format of the peers can hold."""


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """Requests in order, for objects numbered in the order of their first one.

    A key that is asked for with another size is another object: it has changed.
    """

    keys: tuple[str, ...]
    """Of each object; unique, also where a key stands for several objects."""
    sizes_bytes: NDArray[np.int64]  # (object,)
    objects: NDArray[np.int32]  # (request,)

    @property
    def footprint_bytes(self) -> int:
        """The sum of all objects' sizes: what an unlimited cache would hold in the end."""
        return int(self.sizes_bytes.sum())


def read_requests(file: Path) -> Requests:
    """Raises InputError with file and line for what cannot be read or makes no sense."""
    try:
        with _open(file) as lines:
            return parse_requests(lines, str(file))
    except (OSError, EOFError, lzma.LZMAError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot read {file}: {reason}") from error


def parse_requests(lines: Iterable[str], name: str) -> Requests:
    """As `read_requests`, from lines of text; `name` goes into messages."""
    rows = csv.reader(lines)
    numbers: dict[tuple[str, int], int] = {}
    objects = array("i")
    line_no = 1
    before_s = -math.inf
    try:
        t_column, key_column, size_column = _columns(next(rows, []))
        for line_no, row in enumerate(rows, start=2):  # noqa: B007 - errors name it
            t_s = float(row[t_column])
            size_bytes = int(row[size_column])
            if not before_s <= t_s < math.inf:
                raise ValueError(f"t_s {row[t_column]} must be a number and not before the last")
            if not 0 < size_bytes <= OBJECT_BYTES_MAX:
                raise ValueError(
                    f"size_bytes {size_bytes} must be the object's whole size, "
                    f"1 to {OBJECT_BYTES_MAX}"
                )
            before_s = t_s
            objects.append(numbers.setdefault((row[key_column], size_bytes), len(numbers)))
    except IndexError:
        raise InputError(f"{name}, line {line_no}: fewer values than columns") from None
    except UnicodeDecodeError:
        raise InputError(f"{name}, after line {line_no}: not UTF-8 text") from None
    except (ValueError, csv.Error) as error:
        raise InputError(f"{name}, line {line_no}: {error}") from error
    if not objects:
        raise InputError(f"{name} holds no requests")
    return Requests(
        keys=_unique_keys(numbers),
        sizes_bytes=np.array([size for _, size in numbers], dtype=np.int64),
        objects=np.array(objects, dtype=np.int32),
    )


def parse_capacity(text: str, footprint_bytes: int) -> int:
    """`10GB`, or `5%` of the footprint. Raises ConfigError."""
    if not text.strip().endswith("%"):
        capacity_bytes = parse_size(text)
    else:
        capacity_bytes = int(footprint_bytes * parse_share(text, "--capacity"))
    if capacity_bytes <= 0:
        raise ConfigError(f"--capacity {text}: leaves no room at all")
    return capacity_bytes


def parse_share(text: str, option: str) -> float:
    """`20%` as 0.2. Raises ConfigError that names the option."""
    try:
        share = float(text.strip().removesuffix("%")) / 100
    except ValueError:
        share = math.nan
    if not text.strip().endswith("%") or not 0 <= share <= 1:
        raise ConfigError(f"{option} {text}: write a share such as 20%")
    return share


def _open(file: Path) -> IO[str]:
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8", newline="")
    if file.suffix == ".xz":
        return lzma.open(file, "rt", encoding="utf-8", newline="")
    return file.open(encoding="utf-8", newline="")


def _columns(header: list[str]) -> tuple[int, ...]:
    names = [name.strip() for name in header]
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        raise ValueError(
            f"the header must name {', '.join(COLUMNS)}; it lacks {', '.join(missing)}"
        )
    return tuple(names.index(column) for column in COLUMNS)


def _unique_keys(numbers: dict[tuple[str, int], int]) -> tuple[str, ...]:
    keys = [key for key, _ in numbers]
    if len(set(keys)) == len(keys):
        return tuple(keys)
    return tuple(f"{key} {size_bytes}" for key, size_bytes in numbers)
