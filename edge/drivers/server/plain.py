"""What the hit path reads for itself: CMCD arguments, ranges and entity tags, where they are plain.

Each gives None where that takes a closer look than belongs here.
"""

from __future__ import annotations

import re
from typing import Final

from edge.hot import HotEntry

# What a target may hold of it: visible characters, and none of those that are refused
# (edge.requests). It ends where the next argument begins.
_CMCD_VALUE: Final = re.compile(rb"(?:[!\"$'-\[\]-~]++|%(?!0[0adAD]|7[fF]))*+")
_RANGE: Final = re.compile(rb"bytes=([0-9]{0,15})-([0-9]{0,15})")
ENTITY_TAG: Final = re.compile(rb'(?:W/)?("[\x21\x23-\x7e]*")')


def without_cmcd(target: bytes) -> bytes | None:
    """The target without its one CMCD argument, as nearcast.cmcd.strip_query gives it; None where
    that takes a closer look."""
    start = target.find(b"CMCD=")
    if start < 1 or b"?" not in target[:start]:
        return None
    match = _CMCD_VALUE.match(target, start + 5)
    assert match is not None
    end = match.end()
    if target[start - 1] not in b"?&":
        return None
    if end == len(target):
        rest = target[: start - 1]
    elif target[end] == 0x26:
        rest = target[:start] + target[end + 1 :]
    else:
        return None
    return rest if b"CMCD" not in rest else None


def part_of(asked: bytes, size_bytes: int) -> tuple[int, int] | None:
    """First and last byte of a single range within the object; None where that takes a closer
    look."""
    match = _RANGE.fullmatch(asked)
    if match is None:
        return None
    first_text, last_text = match.groups()
    if not first_text:
        count = int(last_text) if last_text else 0
        return (max(size_bytes - count, 0), size_bytes - 1) if count else None
    first = int(first_text)
    last = min(int(last_text), size_bytes - 1) if last_text else size_bytes - 1
    return (first, last) if first <= last else None


def validator_of(entry: HotEntry) -> tuple[str, str] | None:
    """A field by which the entry is found unchanged."""
    if entry.etag is not None and ENTITY_TAG.fullmatch(entry.etag):
        return "if-none-match", entry.etag.decode("ascii")
    if entry.last_modified is not None and entry.last_modified.isascii():
        return "if-modified-since", entry.last_modified.decode("ascii")
    return None
