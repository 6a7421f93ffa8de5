"""A minute of all edges' figures in one piece, as it is written down.

One row a minute and not one an edge and minute: a thousand edges' figures of a day are 1,440 rows
of some ten thousand bytes. The columns are named in it, so that a version with others reads those
that it knows.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from origin.telemetry.growth import COUNTERS, EDGES_MAX, GAUGES

COLUMNS: Final = (*COUNTERS, *GAUGES)
FLEET: Final = ""
"""Stands for all edges together; no edge is named so."""
_UNPACKED_BYTES_MAX: Final = (EDGES_MAX + 1) * (200 + 8 * len(COLUMNS))
_LEVEL: Final = 1


class MinuteFigures(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    minute: int
    """Since the epoch."""
    edges: tuple[str, ...]
    figures: NDArray[np.float32]  # (edge, COLUMNS)


class EdgeMinutes(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Some minutes of one edge."""

    edge: str
    minutes: NDArray[np.int32]  # (minute,)
    figures: NDArray[np.float32]  # (minute, COLUMNS)


class MinuteRow(msgspec.Struct, frozen=True, kw_only=True):
    """As it is in the database."""

    minute: int
    is_whole: bool
    """It was over when this was written."""
    body: bytes
    revision: int = 0
    """Counts up with each writing; 0: not written yet."""


class _Packed(msgspec.Struct, frozen=True, kw_only=True):
    columns: tuple[str, ...]
    edges: tuple[str, ...]
    figures: bytes


_decoder: Final = msgspec.msgpack.Decoder(_Packed)


def packed(minute: MinuteFigures, *, is_whole: bool) -> MinuteRow:
    content = _Packed(
        columns=COLUMNS,
        edges=minute.edges,
        figures=minute.figures.astype("<f4").tobytes(),
    )
    body = zlib.compress(msgspec.msgpack.encode(content), _LEVEL)
    return MinuteRow(minute=minute.minute, is_whole=is_whole, body=body)


def unpacked(row: MinuteRow) -> MinuteFigures | None:
    """None for one that cannot be read."""
    try:
        reader = zlib.decompressobj()
        content = _decoder.decode(reader.decompress(row.body, _UNPACKED_BYTES_MAX))
        given = np.frombuffer(content.figures, dtype="<f4")
        given = given.reshape(len(content.edges), len(content.columns))
    except (zlib.error, msgspec.MsgspecError, ValueError):
        return None
    figures = np.zeros((len(content.edges), len(COLUMNS)), dtype=np.float32)
    for at, name in enumerate(COLUMNS):
        if name in content.columns:
            figures[:, at] = given[:, content.columns.index(name)]
    return MinuteFigures(minute=row.minute, edges=content.edges, figures=figures)


def by_edge(minutes: Sequence[MinuteFigures]) -> tuple[EdgeMinutes, ...]:
    """The same, edge by edge: a day of a thousand edges is 1.4 million rows."""
    rows: dict[str, list[tuple[int, int]]] = {}
    begin = 0
    for one in minutes:
        for at, edge in enumerate(one.edges, begin):
            rows.setdefault(edge, []).append((one.minute, at))
        begin += len(one.edges)
    if not rows:
        return ()
    figures = np.concatenate([one.figures for one in minutes])
    found = []
    for edge, places in rows.items():
        minute, at = np.array(places).T
        found.append(EdgeMinutes(edge=edge, minutes=minute.astype(np.int32), figures=figures[at]))
    return tuple(found)
