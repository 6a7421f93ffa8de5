"""A made-up title, for when no real one is given."""

from __future__ import annotations

import numpy as np

from nearcast.units import BITS_PER_KBIT
from simulation.sessions.title import SessionTitle

LADDER_KBPS = (300.0, 600.0, 1200.0, 2000.0, 3500.0, 6000.0, 9000.0, 13000.0, 18000.0)
SEGMENT_S = 4.0
SEGMENT_COUNT = 75
SCENE_SPREAD = 0.22
"""Standard deviation of a segment's size around its rung, as encoders that keep the quality even
within a cap on the rate give."""
SCENE_KEPT = 0.55
"""Correlation of one segment's size with the next: scenes last longer than segments."""
RUNG_SPREAD = 0.03
"""The rungs of one segment differ so much among themselves."""


def generated_title(draw: np.random.Generator) -> SessionTitle:
    """Five minutes with scenes of different cost; every rung has its nominal rate on average."""
    noise = draw.normal(size=SEGMENT_COUNT)
    scenes = np.empty(SEGMENT_COUNT)
    scenes[0] = noise[0]
    fresh = np.sqrt(1.0 - SCENE_KEPT**2)
    for index in range(1, SEGMENT_COUNT):
        scenes[index] = SCENE_KEPT * scenes[index - 1] + fresh * noise[index]
    own = draw.normal(size=(SEGMENT_COUNT, len(LADDER_KBPS)))
    factors = np.exp(SCENE_SPREAD * scenes[:, None] + RUNG_SPREAD * own)
    factors /= factors.mean(axis=0)
    ladder_kbps = np.array(LADDER_KBPS)
    sizes_bits = np.round(factors * ladder_kbps * BITS_PER_KBIT * SEGMENT_S)
    return SessionTitle(ladder_kbps, SEGMENT_S, sizes_bits)
