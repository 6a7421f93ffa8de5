"""Hits on their way to the core: collected, told in batches.

What a hit costs the core (sessions, policies, counters) must not be paid while a client waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edge.events import Event, Hit, HitsServed
from edge.pacing import HITS_DELAY_S, HITS_MAX


class HitRing:
    """Holds at most HITS_MAX hits for at most HITS_DELAY_S."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._hits: list[Hit] = []
        self._timer: asyncio.TimerHandle | None = None

    def append(self, hit: Hit) -> None:
        self._hits.append(hit)
        if len(self._hits) >= HITS_MAX:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(HITS_DELAY_S, self.flush)

    def flush(self) -> None:
        """Tell the core now, so that it counts every hit up to here."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._hits:
            hits, self._hits = tuple(self._hits), []
            self._tell(HitsServed(hits=hits))
