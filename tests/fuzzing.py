"""Inputs for fuzzing: examples from the corpus, damaged in the ways that break parsers.

The corpus holds one example a line, escapes as in Python (`\\r\\n`), or one a file. Found a
failure? Add the input to the corpus: it is tried in every run from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st

CORPUS = Path(__file__).parent / "corpus"

_TOKENS = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\x00",
    b" ",
    b"\t",
    b",",
    b";",
    b":",
    b"=",
    b'"',
    b"\\",
    b"-",
    b"0",
    b"-1",
    b"99999999999999999999",
    b"\xff",
    b"\xc3\xa9",
    b"%00",
    b"../",
    b"chunked",
    b"\r\nContent-Length: 3",
    b"\r\nTransfer-Encoding: chunked",
    b"\r\n\r\n",
)


def lines_of(name: str) -> tuple[bytes, ...]:
    """The examples in a file of one example a line."""
    text = (CORPUS / name).read_bytes()
    return tuple(
        line.replace(b"\\r", b"\r").replace(b"\\n", b"\n") for line in text.splitlines() if line
    )


def files_of(*suffixes: str) -> tuple[bytes, ...]:
    """The examples that are a file each."""
    return tuple(path.read_bytes() for path in sorted(CORPUS.iterdir()) if path.suffix in suffixes)


@st.composite
def mutated(draw: st.DrawFn, examples: Sequence[bytes]) -> bytes:
    """An example with up to eight cuts, copies, insertions, flips and splices."""
    data = draw(st.sampled_from(examples))
    for _ in range(draw(st.integers(0, 8))):
        first = draw(st.integers(0, len(data)))
        last = min(len(data), first + draw(st.integers(0, 12)))
        kind = draw(st.sampled_from(("cut", "copy", "insert", "flip", "splice")))
        if kind == "cut":
            data = data[:first] + data[last:]
        elif kind == "copy":
            data = data[:last] + data[first:]
        elif kind == "insert":
            data = data[:first] + draw(st.sampled_from(_TOKENS)) + data[first:]
        elif kind == "flip" and first < len(data):
            data = data[:first] + bytes([draw(st.integers(0, 255))]) + data[first + 1 :]
        elif kind == "splice":
            other = draw(st.sampled_from(examples))
            data = data[:first] + other[draw(st.integers(0, len(other))) :]
    return data
