"""Which pieces are next, which came before, which come too early.

For each segment the origin remembers up to where it has taken it, and for each run of an edge
before which segment everything is done with. A piece counts if and only if it begins where its
segment's cursor stands. So whatever is sent twice, late or out of order counts once:

    begins before the cursor, or is of a segment that is done with    it came before: nothing counts
    begins at the cursor                                              it counts, the cursor moves on
    begins behind the cursor                                          something is missing: go back

The edge's `first_segment_no` ends the memory of segments that it has no more. It says so of those
that were taken to their end, and of those that it had to drop for want of disk.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from nearcast.telemetry import Received
from origin.telemetry.pieces import Piece

Outcome = Literal["taken", "repeated", "early"]


class Run(msgspec.Struct):
    """How far one run of an edge has been taken."""

    first_segment_no: int = 0
    offsets: dict[int, int] = msgspec.field(default_factory=dict)
    """By segment; one that is not here has not begun."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    outcome: Outcome
    received: Received


def judge(piece: Piece, run: Run) -> Verdict:
    """What becomes of the piece; if it is taken the cursor of `run` is moved on."""
    run.first_segment_no = max(run.first_segment_no, piece.first_segment_no)
    if piece.segment_no < run.first_segment_no:
        return _verdict("repeated", piece, piece.end_bytes)
    cursor = run.offsets.get(piece.segment_no, 0)
    if piece.offset_bytes > cursor:
        return _verdict("early", piece, cursor)
    if piece.offset_bytes < cursor:
        return _verdict("repeated", piece, cursor)
    run.offsets[piece.segment_no] = piece.end_bytes
    return _verdict("taken", piece, piece.end_bytes)


def _verdict(outcome: Outcome, piece: Piece, offset_bytes: int) -> Verdict:
    received = Received(segment_no=piece.segment_no, offset_bytes=offset_bytes)
    return Verdict(outcome=outcome, received=received)
