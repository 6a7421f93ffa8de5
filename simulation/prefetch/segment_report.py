"""The table of bytes missed on a segment log, on 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from nearcast.errors import InputError
from simulation.prefetch.answers import DEFAULT
from simulation.prefetch.segment_study import (
    EDGE,
    EXPECTED,
    RESIDENCY,
    S3FIFO,
    SegmentRow,
    SegmentStudy,
)

_ENDINGS: Final = (".csv.xz", ".csv.gz", ".csv")
_NAMES: Final = {
    S3FIFO: "s3fifo",
    EDGE: "an edge, s3fifo",
    EXPECTED: "an edge, expected",
    RESIDENCY: "ours, no model",
    DEFAULT: "ours",
}


def files_of(folder: Path) -> tuple[Path, Path]:
    """The sessions and the catalogue in a folder. Raises InputError if either is missing."""
    found = []
    for name in ("sessions", "catalog"):
        options = [folder / f"{name}{ending}" for ending in _ENDINGS]
        there = [path for path in options if path.is_file()]
        if not there:
            raise InputError(f"{folder} holds no {name}.csv, {name}.csv.gz or {name}.csv.xz")
        found.append(there[0])
    return found[0], found[1]


def lines(study: SegmentStudy, source: str) -> Iterator[str]:
    yield (
        f"{source}: {study.sessions} sessions on {study.edges} edges, "
        f"{study.requested_bytes / 1e12:.1f} TB asked for"
    )
    yield (
        f"each edge holds {study.capacity_bytes / 1e9:.0f} GB; "
        f"chunks of {study.chunk_segments} segments; "
        f"days 0-3 not counted; seed {study.seed}"
    )
    yield ""
    yield (
        f"{'bytes':<22}{'missed':>8}{'of s3fifo':>11}{'ahead':>8}{'used':>7}"
        f"{'moved':>9}{'trust':>7}"
    )
    for row in study.rows:
        yield _line(row)
    yield ""
    yield "ahead: fetched ahead, of what was asked for; moved: missed and ahead, of s3fifo"


def _line(row: SegmentRow) -> str:
    name = _NAMES.get(row.policy, f"ours, {row.policy} model")
    used = "-" if row.prefetch_precision is None else f"{row.prefetch_precision:.2f}"
    trust = "-" if row.trust is None else f"{row.trust:.2f}"
    return (
        f"{name:<22}{row.byte_miss_ratio:8.4f}{row.to_s3fifo:11.3f}{row.prefetched_ratio:8.4f}"
        f"{used:>7}{row.moved_to_s3fifo:9.3f}{trust:>7}"
    )
