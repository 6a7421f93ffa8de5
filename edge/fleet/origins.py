"""Which origin is asked: one while it answers, the next when it does not.

    answers  -> stays
    fails    -> the next at once, until all have failed in a row; then a pause that doubles

The pause has jitter, so that a fleet whose origin comes back does not ask as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from nearcast.backoff import doubled_s

PAUSE_S: Final = 1.0
PAUSE_S_MAX: Final = 30.0
"""An origin that was away for an hour has its fleet back within half a minute."""
ORIGINS_MAX: Final = 16


class Origins:
    """The origins of a fleet, and which of them to ask."""

    def __init__(self, urls: Sequence[str], jitter: np.random.Generator) -> None:
        self._urls = _bounded(urls)
        self._jitter = jitter
        self._place = 0
        self.failed_in_a_row = 0

    @property
    def current(self) -> str:
        return self._urls[self._place]

    @property
    def urls(self) -> tuple[str, ...]:
        return self._urls

    def answered(self, url: str) -> None:
        if url == self.current:
            self.failed_in_a_row = 0

    def failed(self, url: str) -> None:
        """It did not answer, or with nonsense."""
        if url == self.current:  # else it was asked before we turned to another
            self.failed_in_a_row += 1
            self._place = (self._place + 1) % len(self._urls)

    def pause_s(self) -> float:
        """How long to wait before the next try; 0 while there are others to be tried."""
        rounds = self.failed_in_a_row // len(self._urls)
        if rounds == 0 or self.failed_in_a_row % len(self._urls):
            return 0.0
        pause_s = doubled_s(PAUSE_S, rounds - 1, PAUSE_S_MAX)
        return pause_s * float(self._jitter.uniform(0.5, 1.0))

    def learn(self, urls: Sequence[str]) -> bool:
        """The fleet has these origins now. Whether that is news."""
        found = _bounded(urls)
        if not found or found == self._urls:
            return False
        current = self.current
        self._urls = found
        self._place = found.index(current) if current in found else 0
        return True


def _bounded(urls: Sequence[str]) -> tuple[str, ...]:
    https = [url.rstrip("/") for url in urls if url.startswith("https://")]
    return tuple(dict.fromkeys(https))[:ORIGINS_MAX]
