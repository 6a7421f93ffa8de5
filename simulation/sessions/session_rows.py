"""`--per-session FILE`: one row a session, for whoever wants to pair and plot them."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable
from pathlib import Path

from simulation.sessions.rows import Played

FIGURES = {
    "bitrate_kbps": "bitrate_kbps",
    "rebuffer_s": "stalled_s",
    "stalls": "stalls",
    "startup_s": "startup_s",
    "switches": "switches",
    "sum_abs_change_mbps": "sum_abs_change_mbps",
    "qoe_linear": "qoe_linear",
    "qoe_from_second": "qoe_from_second",
    "abandoned": "abandoned",
}
"""Columns, and their names in SessionFigures; simulation.sessions.bound_rows reads them again."""
COLUMNS = ("family", "trace_id", "controller", "segments", *FIGURES)
DIGITS = {"bitrate_kbps": 3}
"""Behind the point; 6 for all others."""


def session_csv(played: Iterable[Played], file: Path) -> bytes:
    """The CSV, packed if `file` ends in .gz."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in played:
        writer.writerows(_rows(one))
    content = text.getvalue().encode()
    return gzip.compress(content, mtime=0) if file.suffix == ".gz" else content


def _rows(one: Played) -> Iterable[tuple[object, ...]]:
    figures = one.figures
    columns = [
        getattr(figures, name).round(DIGITS.get(column, 6)).tolist()
        for column, name in FIGURES.items()
    ]
    for trace_id, *rest in zip(one.trace_ids, *columns, strict=True):
        yield one.family, trace_id, one.controller, figures.segment_count, *rest
