"""The digest of titles that an edge holds, as its heartbeats tell it (nearcast.fleet).

Of each title a 32-bit sum of its id, sorted, little-endian. One in four thousand million titles is
taken for another: it steers a player to an edge that has to fetch.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from typing import Final

import google_crc32c

WORD_BYTES: Final = 4
TITLES_MAX: Final = 30_000
"""As many fit into a heartbeat; of more, the smallest sums are told."""
BYTES_MAX: Final = TITLES_MAX * WORD_BYTES
_CODE: Final = next(code for code in "IL" if array(code).itemsize == WORD_BYTES)


def sum_of(title: str) -> int:
    """Stands for it."""
    found: int = google_crc32c.value(title.encode())
    return found


def no_titles() -> array[int]:
    return array(_CODE)


def pack(sums: Iterable[int]) -> bytes:
    """As many as fit."""
    return _turned(array(_CODE, sorted(set(sums))[:TITLES_MAX])).tobytes()


def unpack(held: bytes) -> array[int]:
    """Sums, each once, in rising order, also where an edge tells them otherwise. The length is a
    multiple of `WORD_BYTES`."""
    titles = array(_CODE)
    titles.frombytes(held)
    titles = _turned(titles)
    if any(titles[index] >= titles[index + 1] for index in range(len(titles) - 1)):
        return array(_CODE, sorted(set(titles)))
    return titles


def _turned(sums: array[int]) -> array[int]:
    if sys.byteorder == "big":
        sums.byteswap()
    return sums
