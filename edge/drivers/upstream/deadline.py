"""A deadline that is put off often and passes rarely."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Deadline:
    """One timer, moved without being made anew each time."""

    def __init__(self, on_due: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_due = on_due
        self._due_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._fires_s = 0.0

    @property
    def is_set(self) -> bool:
        return self._due_s is not None

    def set(self, delay_s: float) -> None:
        """It passes that much later from now, and not before."""
        self._due_s = due_s = self._loop.time() + delay_s
        if self._timer is None or due_s < self._fires_s:
            self._arm(due_s)

    def clear(self) -> None:
        """Nothing is expected; the timer itself runs on and finds nothing to do."""
        self._due_s = None

    def close(self) -> None:
        self._due_s = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, due_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._fires_s = due_s
        self._timer = self._loop.call_later(max(0.0, due_s - self._loop.time()), self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._due_s is None:
            return
        if self._loop.time() < self._due_s - 0.001:
            self._arm(self._due_s)
            return
        self._due_s = None
        self._on_due()
