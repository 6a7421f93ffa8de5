"""What is said of a session once it was played, many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from abr.view import Floats, Rungs
from nearcast.units import KBPS_PER_MBPS
from simulation.sessions.engine import STALL_S_MIN, Outcome
from simulation.sessions.title import SessionTitle

SHARED = ("segment_count", "played_s")
"""What all sessions of a title have alike."""


class SessionFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions of one title under one controller; all arrays are (n,)."""

    segment_count: int
    played_s: float
    """Of each session."""
    bitrate_kbps: Floats
    """Mean rung."""
    stalled_s: Floats
    """Start-up apart."""
    stalls: Rungs
    startup_s: Floats
    switches: Rungs
    sum_abs_change_mbps: Floats
    qoe_linear: Floats
    qoe_from_second: Floats
    """The same without the first segment's own rate, per segment after it: nobody chooses the
    first. The public bounds are given so."""
    abandoned: Rungs
    wasted_bits: Floats

    @property
    def session_count(self) -> int:
        return int(self.qoe_linear.shape[0])


def measure(
    outcome: Outcome, title: SessionTitle, *, stall_penalty: float, switch_penalty: float = 1.0
) -> SessionFigures:
    """`stall_penalty`: Mbit/s a second of stall costs; see abr.qoe for the formula."""
    rates_mbps = title.ladder_kbps[outcome.rungs] / KBPS_PER_MBPS
    segments = title.segment_count
    changes = np.abs(np.diff(rates_mbps, axis=1)).sum(axis=1)
    stalled_s = outcome.stalled_s.sum(axis=1)
    earned = rates_mbps.sum(axis=1)
    cost = stall_penalty * stalled_s + switch_penalty * changes
    return SessionFigures(
        segment_count=segments,
        played_s=title.duration_s,
        bitrate_kbps=rates_mbps.mean(axis=1) * KBPS_PER_MBPS,
        stalled_s=stalled_s,
        stalls=(outcome.stalled_s > STALL_S_MIN).sum(axis=1),
        startup_s=outcome.startup_s.copy(),
        switches=(np.diff(outcome.rungs, axis=1) != 0).sum(axis=1),
        sum_abs_change_mbps=changes,
        qoe_linear=(earned - cost) / segments,
        qoe_from_second=(earned - rates_mbps[:, 0] - cost) / max(segments - 1, 1),
        abandoned=outcome.abandoned.sum(axis=1),
        wasted_bits=outcome.wasted_bits.sum(axis=1),
    )


def join(parts: Sequence[SessionFigures]) -> SessionFigures:
    """Sessions of the same title, batch after batch."""
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(each, name) for each in parts])
        for name in SessionFigures.__struct_fields__
        if name not in SHARED
    }
    return msgspec.structs.replace(parts[0], **arrays)
