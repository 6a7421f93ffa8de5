"""Sums of counts in which the old fade."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]

_HOURS_PER_DAY: Final = 24.0


class Fading:
    """A sum of counts that fades with an age constant, and its rate a day."""

    def __init__(self, shape: tuple[int, ...], days: float) -> None:
        self._keep = float(np.exp(-1.0 / (_HOURS_PER_DAY * days)))
        self._weight_days = 0.0
        self.total: Singles = np.zeros(shape, dtype=np.float32)

    def take(self, counts: Singles) -> None:
        """One hour's."""
        self.total *= self._keep
        self.total += counts
        self._weight_days = self._weight_days * self._keep + 1.0 / _HOURS_PER_DAY

    def per_day(self) -> Singles:
        rate: Singles = self.total / np.float32(max(self._weight_days, 1.0 / _HOURS_PER_DAY))
        return rate
