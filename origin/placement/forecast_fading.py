"""Sums of counts in which the old fade.

Fading is kept as one factor for the whole sum, so that an hour costs what it brings and not what
there is: most titles are not viewed at most edges within an hour.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]

_HOURS_PER_DAY: Final = 24.0
_SCALE_MIN: Final = 1e-6
"""Then the factor is worked in: a float32 has room for counts so many times as large."""


class Fading:
    """A sum of counts that fades with an age constant, and its rate a day."""

    def __init__(self, shape: tuple[int, ...], days: float) -> None:
        self._keep = float(np.exp(-1.0 / (_HOURS_PER_DAY * days)))
        self._weight_days = 0.0
        self._scale = 1.0
        self._scaled: Singles = np.zeros(shape, dtype=np.float32)

    def take(self, at: tuple[NDArray[Any], ...], counts: NDArray[Any]) -> None:
        """One hour's: `counts` at these positions, which may repeat."""
        self._scale *= self._keep
        if self._scale < _SCALE_MIN:
            self._scaled *= np.float32(self._scale)
            self._scale = 1.0
        np.add.at(self._scaled, at, (counts / self._scale).astype(np.float32))
        self._weight_days = self._weight_days * self._keep + 1.0 / _HOURS_PER_DAY

    def total(self) -> Singles:
        found: Singles = self._scaled * np.float32(self._scale)
        return found

    def per_day(self) -> Singles:
        scale = self._scale / max(self._weight_days, 1.0 / _HOURS_PER_DAY)
        rate: Singles = self._scaled * np.float32(scale)
        return rate
