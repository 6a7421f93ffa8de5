"""Reads the parts of a graph that hold no further rules: tensors, values, names and notes.

Each is checked as it is read: only known fields, each once where it may be there once, data as many
as the shape says, and counts and sizes within bounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import msgspec

from predictor.onnx_form import (
    DATA_TYPES,
    DIMENSION,
    ELEMENT_BYTES,
    REASONS,
    SHAPE,
    TENSOR,
    TENSOR_TYPE,
    TYPE,
    VALUE,
    Table,
)
from predictor.protobuf import Wire, WireError, signed

TENSORS_MAX: Final = 4_096
RANK_MAX: Final = 8
NAME_BYTES_MAX: Final = 512
TEXT_BYTES_MAX: Final = 250_000  # doc strings and exporters' notes


class Value(msgspec.Struct, frozen=True):
    """An input or output of the graph; a size is None where any will do."""

    name: bytes
    element_type: int
    shape: tuple[int | None, ...] | None


class Parts:
    """One model's bytes and what of them has been counted. All methods raise WireError."""

    def __init__(self, model: bytes) -> None:
        self.wire = Wire(model)
        self._data = model
        self._text_bytes = self._tensor_count = 0

    def each(
        self, what: str, begin: int, end: int, table: Table
    ) -> Iterator[tuple[int, int, int, int]]:
        """The fields of a message, all of them known and of the right form."""
        seen = set()
        for field in self.wire.fields(begin, end):
            number, wire = field[:2]
            wires, is_many = table.get(number, ((), False))
            if wire not in wires:
                reason = REASONS.get((what, number))
                raise WireError(reason or f"{what} has a field {number} that is not known here")
            if not is_many:
                if number in seen:
                    raise WireError(f"{what} has its field {number} twice")
                seen.add(number)
            yield field

    def tensor(self, begin: int, end: int) -> None:
        """Of a tensor nothing is kept: its weights are the runtime's."""
        self._tensor_count += 1
        if self._tensor_count > TENSORS_MAX:
            raise WireError(f"it has more than {TENSORS_MAX} tensors")
        shape: list[int] = []
        element_type = 0
        counts: dict[int, int] = {}
        for number, wire, a, b in self.each("a tensor", begin, end, TENSOR):
            if number == 1:
                shape.extend(self.wire.integers(wire, a, b))
                if len(shape) > RANK_MAX:
                    raise WireError(f"it has a tensor of more than {RANK_MAX} dimensions")
            elif number == 2:
                element_type = a
            elif number == 8:
                self.name(a, b)
            elif number in (12, 16):
                self.text(a, b)
            elif number == 14:
                if a != 0:
                    raise WireError(REASONS["a tensor", 13])
            elif number in (4, 9, 10):
                counts[number] = counts.get(number, 0) + b - a
            else:
                found = self.wire.count_integers(wire, a, b)
                counts[number] = counts.get(number, 0) + found
        self._check_data(shape, element_type, counts)

    def _check_data(self, shape: list[int], element_type: int, counts: dict[int, int]) -> None:
        """A tensor has as many numbers as its shape says, once, and of its type."""
        if element_type not in ELEMENT_BYTES:
            raise WireError(f"it has a tensor of element type {element_type}")
        if any(size < 0 for size in shape):
            raise WireError("it has a tensor of negative size")
        wanted = math.prod(shape)
        if len(counts) > 1 or any(element_type not in DATA_TYPES[number] for number in counts):
            raise WireError("it has a tensor with data of two kinds, or of another type")
        number, found = next(iter(counts.items()), (5, 0))
        per_element = {4: 4, 9: ELEMENT_BYTES[element_type], 10: 8}.get(number, 1)
        if found != wanted * per_element:
            raise WireError("it has a tensor whose data are not as many as its shape says")

    def value(self, begin: int, end: int) -> Value:
        """An input, an output, or what an exporter says of a tensor between nodes."""
        self._tensor_count += 1
        if self._tensor_count > TENSORS_MAX:
            raise WireError(f"it has more than {TENSORS_MAX} tensors")
        name, found = b"", Value(b"", 0, None)
        for number, _, a, b in self.each("a value", begin, end, VALUE):
            if number == 1:
                name = self.name(a, b)
            elif number == 2:
                found = self._type(a, b)
            else:
                self.text(a, b)
        return Value(name, found.element_type, found.shape)

    def _type(self, begin: int, end: int) -> Value:
        element_type = 0
        shape: tuple[int | None, ...] | None = None
        for number, _, a, b in self.each("a type", begin, end, TYPE):
            if number == 6:
                self.text(a, b)
                continue
            for part, _, start, stop in self.each("a tensor's type", a, b, TENSOR_TYPE):
                if part == 1:
                    element_type = start
                else:
                    spans = self.each("a shape", start, stop, SHAPE)
                    shape = tuple(self._dimension(low, high) for _, _, low, high in spans)
        if element_type not in ELEMENT_BYTES or len(shape or ()) > RANK_MAX:
            raise WireError("it has a value that is no tensor of numbers")
        return Value(b"", element_type, shape)

    def _dimension(self, begin: int, end: int) -> int | None:
        size: int | None = None
        for number, _, a, b in self.each("a dimension", begin, end, DIMENSION):
            if number == 1:
                size = signed(a)
                if size < 0:
                    raise WireError("it has a value of negative size")
            else:
                self.name(a, b)
        return size

    def count(self, size_bytes: int, element_bytes: int) -> int:
        """How many numbers of a fixed size."""
        if size_bytes % element_bytes:
            raise WireError("it has a list that ends within a number")
        return size_bytes // element_bytes

    def name(self, a: int, b: int) -> bytes:
        """What is at `[a, b)`, not too long."""
        if b - a > NAME_BYTES_MAX:
            raise WireError(f"it has a name of more than {NAME_BYTES_MAX} bytes")
        return self._data[a:b]

    def text(self, a: int, b: int) -> None:
        """What people wrote for people: only its length counts."""
        self._text_bytes += b - a
        if self._text_bytes > TEXT_BYTES_MAX:
            raise WireError(f"it has more than {TEXT_BYTES_MAX} bytes of notes; strip them")
