"""Text files as people keep them: packed or not, with a byte order mark or without."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from nearcast.errors import InputError


@contextlib.contextmanager
def reading(path: Path) -> Iterator[IO[str]]:
    """The open file, whose troubles, and those of the CSV in it, become InputError."""
    try:
        with open_text(path, "rt") as lines:
            yield lines
    except (OSError, EOFError, lzma.LZMAError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot read {path}: {reason}") from error


def open_text(path: Path, mode: str) -> IO[str]:
    """Text, packed or not by the name's ending; a byte order mark at its start is no part of it.

    The same text makes the same file.
    """
    is_written = "w" in mode
    if is_written and path.suffix == ".gz":
        return io.TextIOWrapper(_Gzip(path), encoding="utf-8", newline="")
    openers: dict[str, Any] = {".gz": gzip.open, ".xz": lzma.open}
    opener = openers.get(path.suffix, open)
    encoding = "utf-8" if is_written else "utf-8-sig"
    return opener(path, mode, encoding=encoding, newline="")  # type: ignore[no-any-return]


class _Gzip(gzip.GzipFile):
    """A file to write whose header holds neither a time nor a name."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        super().__init__(filename="", mode="wb", fileobj=self._file, mtime=0)

    def close(self) -> None:
        super().close()
        self._file.close()
