"""How soon: the times within which a viewer may go on, and what lies between them.

A model says with which probability the successor starts within each of a few horizons after the
play ends. The planner and the cache ask about times of their own: how long an object will be kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import log
from typing import Final

HORIZONS: Final = ("30min", "24h", "7d")
HORIZONS_S: Final = (1800.0, 86_400.0, 604_800.0)
"""What the probabilities of `edge.events.Predicted` are about, in this order."""

EARLY_POWER: Final = 0.1
"""Of those who go on within half an hour, 0.71 do so within a minute and 0.84 within five by this
power of the time; viewing logs say 0.68 and 0.85."""


def are_probabilities(values: Sequence[float]) -> bool:
    """Whether an answer is one: nothing else may be spent money on."""
    return len(values) == len(HORIZONS) and all(0.0 <= value <= 1.0 for value in values)


def within(probabilities: Sequence[float], time_s: float) -> float:
    """P(used within `time_s`), from the probabilities per horizon.

    Between two horizons straight in the logarithm of time (viewing logs have 0.746 at two hours,
    this gives 0.759); above the last one nobody knows more. A model whose horizons disagree, a
    longer one being less likely, is read as the shorter one says.
    """
    if time_s <= HORIZONS_S[0]:
        share: float = (max(time_s, 0.0) / HORIZONS_S[0]) ** EARLY_POWER
        return probabilities[0] * share
    known = probabilities[0]
    for (begin_s, end_s), probability in zip(pairwise(HORIZONS_S), probabilities[1:], strict=True):
        probability = max(probability, known)
        if time_s <= end_s:
            return known + (probability - known) * log(time_s / begin_s) / log(end_s / begin_s)
        known = probability
    return known
