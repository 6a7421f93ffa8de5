"""Makes index boxes and files that have them, from what is in them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

Entry = tuple[bool, int, int]
"""Whether it is an index, size in bytes, duration in ticks."""


def box(kind: str, body: bytes = b"", *, is_large: bool = False) -> bytes:
    """`is_large`: its size is written with 64 bits."""
    if is_large:
        return struct.pack(">I4sQ", 1, kind.encode(), len(body) + 16) + body
    return struct.pack(">I4s", len(body) + 8, kind.encode()) + body


def sidx(
    entries: Sequence[Entry],
    *,
    timescale: int = 1000,
    start: int = 0,
    offset: int = 0,
    version: int = 0,
    count: int | None = None,
    is_large: bool = False,
) -> bytes:
    """`count`: as the box says, where that is not the truth."""
    form = ">IIIIIHH" if version == 0 else ">IIIQQHH"
    number = len(entries) if count is None else count
    body = struct.pack(form, version << 24, 1, timescale, start, offset, 0, number)
    for is_index, size_bytes, ticks in entries:
        body += struct.pack(">III", is_index << 31 | size_bytes, ticks, 0x90000000)
    return box("sidx", body, is_large=is_large)


def media(size_bytes: int) -> bytes:
    """A fragment of so many bytes, at least 16."""
    return box("moof") + box("mdat", bytes(size_bytes - 16))
