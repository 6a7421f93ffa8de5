"""What the store's parts tell each other: places, outcomes, errors."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from edge.drivers.store.checksums import block_count
from nearcast.errors import NearcastError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class StoreError(NearcastError):
    """The store cannot do what was asked; the message names file and reason."""

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code

    @property
    def is_full(self) -> bool:
        """There is no room, which evicting something cures."""
        return self.code in _FULL


class Location(msgspec.Struct, gc=False):
    """Where an object's body lies, and which of its blocks must be checked before they are used."""

    file_no: int
    start: int
    size_bytes: int
    sums: tuple[int, ...]
    record_offset: int
    record_bytes: int
    unchecked: int = 0
    """One bit for each block; the loop's thread alone changes it."""

    def doubt(self) -> None:
        """Trust no byte of it any more."""
        self.unchecked = (1 << block_count(self.size_bytes)) - 1


class Flushed(msgspec.Struct):
    """What came of the changes since the last `flush`."""

    committed: list[str] = msgspec.field(default_factory=list)
    failed: list[tuple[str, str]] = msgspec.field(default_factory=list)
    """Objects that do not exist, and why."""
    removed_files: list[int] = msgspec.field(default_factory=list)
    error: StoreError | None = None
    """What the disk did not do."""


def failure_of(verb: str, path: Path | str, error: OSError) -> StoreError:
    return StoreError(f"cannot {verb} {path}: {error.strerror}", code=error.errno)


@contextlib.contextmanager
def translated(verb: str, path: Path | str) -> Iterator[None]:
    """An OSError leaves as a StoreError."""
    try:
        yield
    except OSError as error:
        raise failure_of(verb, path, error) from error
