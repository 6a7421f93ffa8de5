"""`--bound FILE`: what the plan that knows the future gave in an earlier run.

Planning takes far longer than playing; whoever tunes a controller needs it once. The file is one of
`--per-session`.
"""

from __future__ import annotations

import csv
import gzip
import io
import lzma
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nearcast.errors import InputError
from simulation.sessions.figures import SessionFigures
from simulation.sessions.rows import BOUND, Played
from simulation.sessions.session_rows import FIGURES

STARTUP_S_TOLERANCE = 1e-3

BoundRows = dict[tuple[str, str], tuple[int, dict[str, float]]]
"""Line number and figures of each session of the bound, by family and trace."""


def bound_played(path: Path, found: BoundRows, played: Sequence[Played]) -> tuple[Played, ...]:
    """The bound of each family that was played. Raises InputError that names file and line when a
    trace is missing, or a session there is not the same: it started later, or has more segments."""
    families = {one.family: one for one in played}
    return tuple(_family(path, found, one) for one in families.values())


def _family(path: Path, found: BoundRows, one: Played) -> Played:
    figures = one.figures
    values: dict[str, list[float]] = {name: [] for name in FIGURES.values()}
    for index, trace_id in enumerate(one.trace_ids):
        if (one.family, trace_id) not in found:
            raise InputError(f"{path} has no row of {BOUND} for {one.family}, {trace_id}")
        line_no, row = found[one.family, trace_id]
        late_s = abs(row["startup_s"] - float(figures.startup_s[index]))
        if late_s > STARTUP_S_TOLERANCE or row["segments"] != figures.segment_count:
            raise InputError(
                f"{path}, line {line_no}: played with another title, latency or first rung "
                f"({trace_id} has {row['segments']:.0f} segments and starts after "
                f"{row['startup_s']:.3f} s there, {figures.segment_count} and "
                f"{figures.startup_s[index]:.3f} s here)"
            )
        for column, name in FIGURES.items():
            values[name].append(row[column])
    arrays: dict[str, Any] = {
        name: np.array(each).astype(getattr(figures, name).dtype) for name, each in values.items()
    }
    return Played(
        family=one.family,
        controller=BOUND,
        trace_ids=one.trace_ids,
        figures=SessionFigures(
            segment_count=figures.segment_count,
            played_s=figures.played_s,
            wasted_bits=np.zeros(len(one.trace_ids)),
            **arrays,
        ),
        stall_penalty=one.stall_penalty,
        wall_s=0.0,
    )


def read_bound(path: Path) -> BoundRows:
    """The rows of the bound. Raises InputError that names file and line."""
    reader = csv.DictReader(io.StringIO(_text(path)))
    needed = ("family", "trace_id", "controller", "segments", *FIGURES)
    missing = [column for column in needed if column not in (reader.fieldnames or ())]
    if missing:
        raise InputError(f"{path}, line 1: there is no column {missing[0]}")
    found: BoundRows = {}
    for row in reader:
        if row["controller"] != BOUND:
            continue
        numbers = {
            column: _number(path, reader.line_num, column, row[column])
            for column in ("segments", *FIGURES)
        }
        found[row["family"], row["trace_id"]] = (reader.line_num, numbers)
    if not found:
        raise InputError(f"{path} has no row of {BOUND}")
    return found


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        elif path.suffix == ".xz":
            content = lzma.decompress(content)
        return content.decode()
    except (OSError, EOFError, zlib.error, lzma.LZMAError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read {path}: {reason}") from error


def _number(path: Path, line_no: int, column: str, text: str | None) -> float:
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{path}, line {line_no}: {column} must be a number, got {text!r}")
    return number
