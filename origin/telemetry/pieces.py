"""Reads a piece of a segment: the events in it that count, and how many lines do not.

A piece is whole lines. A line that cannot be read never holds up those behind it: it is counted by
its reason and passed over. Times are the edge's. One that lies ahead of ours by more than a clock
may be off is taken for the time of arrival, since what was watched was watched; one from before
anything we keep still counts as an event and no more in any sum.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Final, Literal, get_args

import msgspec

from nearcast.errors import RemoteProtocolError
from nearcast.fleet import CLOCK_SKEW_S_MAX
from nearcast.telemetry import LINE_BYTES_MAX, PIECE_BYTES_MAX, Line

KEPT_S: Final = 35 * 86_400.0
"""Of the sums. An edge that was away for longer has nothing to say about what comes next."""

NUMBER_MAX: Final = 2**53
EVENT_BYTES_MAX: Final = 10**14
"""In one event: no edge sends so much in an hour, and a sum of such must not overflow."""
EVENT_COUNT_MAX: Final = 10**6
"""Of viewings, stalls and errors in one event; more would be an edge that steers all plans."""
EVENT_S_MAX: Final = 1e7
"""Of times in one event: four months in front of one title."""
EVENT_KBPS_MAX: Final = 1e7
_MOST_BY_UNIT: Final[Mapping[str, float]] = {
    "bytes": EVENT_BYTES_MAX,
    "count": EVENT_COUNT_MAX,
    "s": EVENT_S_MAX,
    "kbps": EVENT_KBPS_MAX,
}

Odd = Literal["malformed", "unknown", "too_long", "ahead", "old"]
"""Of lines: not JSON or not of this form; of a kind that this version does not know; longer than a
line may be; from the future (counted now); from before what is kept (in no sum)."""


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """Some whole lines of a segment, read."""

    edge: str
    boot_id: str
    segment_no: int
    offset_bytes: int
    size_bytes: int
    """As it came, before compression: where the next begins."""
    first_segment_no: int = 0
    """The edge has no segments before this one any more."""
    received_wall_s: float
    events: tuple[Line, ...]
    """In order; their times are none ahead of ours."""
    lines: bytes
    """Those of the events, written anew: with what this version knows of them and no more."""
    odd: dict[Odd, int]
    """Lines by what was wrong with them."""

    @property
    def end_bytes(self) -> int:
        return self.offset_bytes + self.size_bytes


class _Kind(msgspec.Struct, frozen=True):
    e: str = ""


_LINE: Final = msgspec.json.Decoder(Line)
_BOOT_ID: Final = re.compile(r"[0-9a-f]{16}")
_ENCODER: Final = msgspec.json.Encoder()
_KIND: Final = msgspec.json.Decoder(_Kind)
_KINDS: Final = get_args(get_args(Line)[0])
_KNOWN: Final = frozenset(str(kind.__struct_config__.tag) for kind in _KINDS)
_BOUNDED: Final = {
    kind: tuple(
        (name, most)
        for name in kind.__struct_fields__
        if name != "wall_s" and (most := _MOST_BY_UNIT.get(name.rpartition("_")[2])) is not None
    )
    for kind in _KINDS
}
"""Figures of each kind by the unit in their names, and the most that one event may say."""
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The last: JSON that is nested a thousand deep."""


def inflate(body: bytes, encoding: str) -> bytes:
    """The body of a request as it was before `Content-Encoding`.

    Raises RemoteProtocolError for what is larger than a piece may be, or cannot be read.
    """
    if encoding in ("", "identity"):
        plain = body
    elif encoding == "gzip":
        reader = zlib.decompressobj(wbits=31)
        try:
            plain = reader.decompress(body, PIECE_BYTES_MAX + 1)
        except zlib.error as error:
            raise RemoteProtocolError(f"the piece is no gzip: {error}") from error
        if len(plain) <= PIECE_BYTES_MAX and not reader.eof:
            raise RemoteProtocolError("the piece is cut off: its gzip has no end")
    else:
        raise RemoteProtocolError(f"the piece is in {encoding[:20]!r}; send it plain or as gzip")
    if len(plain) > PIECE_BYTES_MAX:
        raise RemoteProtocolError(f"a piece may have {PIECE_BYTES_MAX} bytes; send less at a time")
    return plain


def read_piece(
    *,
    edge: str,
    boot_id: str,
    segment_no: int,
    offset_bytes: int,
    first_segment_no: int,
    body: bytes,
    received_wall_s: float,
) -> Piece:
    """Raises RemoteProtocolError for what is no piece at all."""
    if not _BOOT_ID.fullmatch(boot_id):
        raise RemoteProtocolError("boot must be 16 hexadecimal digits")
    if not (0 <= first_segment_no <= segment_no <= NUMBER_MAX and 0 <= offset_bytes <= NUMBER_MAX):
        raise RemoteProtocolError("segment, offset and first must be numbers, first <= segment")
    if not body or body[-1:] != b"\n":
        raise RemoteProtocolError("a piece is whole lines: it must end with a line's end")
    if len(body) > PIECE_BYTES_MAX:
        raise RemoteProtocolError(f"a piece may have {PIECE_BYTES_MAX} bytes; send less at a time")
    events: list[Line] = []
    good: list[bytes] = []
    odd: dict[Odd, int] = {}
    for line in body.split(b"\n")[:-1]:
        event = _read_line(line, odd)
        if event is None:
            continue
        if event.wall_s > received_wall_s + CLOCK_SKEW_S_MAX:
            odd["ahead"] = odd.get("ahead", 0) + 1
            event = msgspec.structs.replace(event, wall_s=received_wall_s)
        elif event.wall_s < received_wall_s - KEPT_S:
            odd["old"] = odd.get("old", 0) + 1
        events.append(event)
        good.append(_ENCODER.encode(event))
    return Piece(
        edge=edge,
        boot_id=boot_id,
        segment_no=segment_no,
        offset_bytes=offset_bytes,
        size_bytes=len(body),
        first_segment_no=first_segment_no,
        received_wall_s=received_wall_s,
        events=tuple(events),
        lines=b"".join(line + b"\n" for line in good),
        odd=odd,
    )


def _read_line(line: bytes, odd: dict[Odd, int]) -> Line | None:
    if len(line) > LINE_BYTES_MAX:
        odd["too_long"] = odd.get("too_long", 0) + 1
        return None
    try:
        event: Line = _LINE.decode(line)
        if not _is_countable(event, line):
            raise msgspec.ValidationError("out of range")
    except _UNREADABLE:
        reason: Odd = "malformed"
        try:
            if _KIND.decode(line).e not in _KNOWN | {""}:
                reason = "unknown"
        except _UNREADABLE:
            pass
        odd[reason] = odd.get(reason, 0) + 1
        return None
    return event


def _is_countable(event: Line, line: bytes) -> bool:
    """Whether a database takes it, and sums of it: PostgreSQL has no text with the character 0, and
    nothing holds a whole number of more than 64 bits."""
    if b"\\u0000" in line:
        return False
    for name, most in _BOUNDED[type(event)]:
        figure = getattr(event, name)
        if figure is not None and figure > most:
            return False
    return True
