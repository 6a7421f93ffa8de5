"""One figure for a session: rate earned, less stalls and changes of rate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nearcast.units import KBPS_PER_MBPS

STALL_PENALTY = 4.3
"""Pensieve's, which is its top rung in Mbit/s."""
STALL_PENALTY_LADDER_KBPS_MAX = 6000.0
"""On ladders above this 4.3 makes a stall nearly free: the top rung in Mbit/s counts instead."""


def stall_penalty_of(ladder_kbps: Sequence[float] | NDArray[np.float64]) -> float:
    """Mbit/s that one second of stall costs on this ladder (its last rung being the top)."""
    top_kbps = float(ladder_kbps[-1])
    return STALL_PENALTY if top_kbps <= STALL_PENALTY_LADDER_KBPS_MAX else top_kbps / KBPS_PER_MBPS


def qoe_linear(rates_kbps: Sequence[float], stalled_s: float, stall_penalty: float) -> float | None:
    """Per segment: rates - stall_penalty x stalled - changes, in Mbit/s; None without a segment.

    Source: Yin et al., SIGCOMM 2015, with Pensieve's weights (Mao et al., SIGCOMM 2017).
    """
    if not rates_kbps:
        return None
    rates = np.asarray(rates_kbps, dtype=np.float64) / KBPS_PER_MBPS
    changes = np.abs(np.diff(rates)).sum()
    return float((rates.sum() - stall_penalty * stalled_s - changes) / rates.size)
