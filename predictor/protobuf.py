"""Reads protobuf's wire format, strictly and within bounds: enough to judge a model's graph.

A message is a run of fields, each a number, a wire type and a value. Nothing is built and nothing
recurses here: `fields` gives the values and where they lie, and the caller goes into those it
expects. What the format allows and no writer needs (groups, values past 64 bits) is refused, as is
everything that makes two readers see different things. The count of fields is bounded, so that
time is. Source: "Encoding", protobuf.dev.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

# The largest model we ship has 200 of them; a large tree ensemble writes one for every number of
# every node, some 400 thousand.
FIELDS_MAX: Final = 1_000_000

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5

_VARINT_BYTES_MAX: Final = 10
_PAST_64_BITS: Final = 1 << 64
_SIGN: Final = 1 << 63
_BYTES_THAT_GO_ON: Final = bytes(range(0x80, 0x100))


class WireError(ValueError):
    """What was read is no message."""


class Wire:
    """A buffer of protobuf, and how many of its fields may still be looked at."""

    def __init__(self, data: bytes, *, fields_max: int = FIELDS_MAX) -> None:
        self.data = data
        self._fields_left = fields_max

    def fields(self, begin: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """`(number, wire type, a, b)` for each field of the message in `[begin, end)`: of a varint
        `a` is the value, of the others `[a, b)` is where it lies. Raises WireError."""
        at, data = begin, self.data
        while at < end:
            self._fields_left -= 1
            if self._fields_left < 0:
                raise WireError("it has too many fields")
            tag = data[at]
            at += 1
            if tag >= 0x80:
                tag, at = self._varint(at - 1, end)
            number, wire = tag >> 3, tag & 7
            if number == 0:
                raise WireError("a field has number 0")
            if wire in (VARINT, BYTES):
                # Most are one byte long, and this is where the time goes.
                if at < end and data[at] < 0x80:
                    size = data[at]
                    at += 1
                else:
                    size, at = self._varint(at, end)
                if wire == VARINT:
                    yield number, wire, size, at
                    continue
            elif wire == FIXED32:
                size = 4
            elif wire == FIXED64:
                size = 8
            else:
                raise WireError(f"a field has wire type {wire}")
            if size > end - at:
                raise WireError("a field ends behind its message")
            yield number, wire, at, at + size
            at += size

    def integers(self, wire: int, a: int, b: int) -> Iterator[int]:
        """Signed 64-bit numbers of a repeated field, packed or one to a field."""
        if wire == VARINT:
            yield signed(a)
            return
        while a < b:
            self._fields_left -= 1
            if self._fields_left < 0:
                raise WireError("it has too many numbers")
            value, a = self._varint(a, b)
            yield signed(value)

    def count_integers(self, wire: int, a: int, b: int) -> int:
        """How many numbers `integers` would give, found without a look at each."""
        if wire == VARINT:
            return 1
        return len(self.data[a:b].translate(None, _BYTES_THAT_GO_ON))

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        for position in range(at, min(end, at + _VARINT_BYTES_MAX)):
            byte = self.data[position]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >= _PAST_64_BITS:
                    break
                return value, position + 1
            shift += 7
        raise WireError("a number does not end, or has more than 64 bits")


def signed(value: int) -> int:
    """A 64-bit varint as the signed number it stands for."""
    return value - _PAST_64_BITS if value >= _SIGN else value
