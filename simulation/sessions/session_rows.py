"""`--per-session FILE`: one row a session, for whoever wants to pair and plot them."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable
from pathlib import Path

from simulation.sessions.rows import Played

COLUMNS = (
    "family",
    "trace_id",
    "controller",
    "segments",
    "bitrate_kbps",
    "rebuffer_s",
    "stalls",
    "startup_s",
    "switches",
    "sum_abs_change_mbps",
    "qoe_linear",
    "qoe_from_second",
    "abandoned",
)


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
    columns = zip(
        one.trace_ids,
        figures.bitrate_kbps.round(3).tolist(),
        figures.stalled_s.round(6).tolist(),
        figures.stalls.tolist(),
        figures.startup_s.round(6).tolist(),
        figures.switches.tolist(),
        figures.sum_abs_change_mbps.round(6).tolist(),
        figures.qoe_linear.round(6).tolist(),
        figures.qoe_from_second.round(6).tolist(),
        figures.abandoned.tolist(),
        strict=True,
    )
    for trace_id, *rest in columns:
        yield one.family, trace_id, one.controller, figures.segment_count, *rest
