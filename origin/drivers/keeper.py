"""Background work that goes on, whatever befalls one round of it.

An origin whose ports answer while its planning, its step with the database or its history has
silently ended is worse than one that is down. What work expects to fail it handles itself; what
comes out of it here is a fault of ours: it is logged whole, counted, and the work begins anew after
a pause.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final

logger = logging.getLogger(__name__)

PAUSE_S: Final = 5.0
CLOSE_S: Final = 0.5

Work = Callable[[], Coroutine[Any, Any, None]]


class Keeper:
    """`keep` some work, then `close`. Make it inside the running loop."""

    def __init__(self, pause_s: float = PAUSE_S) -> None:
        self._pause_s = pause_s
        self._tasks: list[asyncio.Task[None]] = []
        self.broken: Counter[str] = Counter()
        """How often each work was begun anew."""

    def keep(self, name: str, work: Work) -> None:
        """Do `work` until it returns by itself, or we are closed."""
        self.broken[name] += 0
        self._tasks.append(asyncio.create_task(self._do(name, work), name=name))

    async def close(self) -> None:
        waiting: set[asyncio.Task[None]] = set(self._tasks)
        while waiting:
            for task in waiting:
                task.cancel()
            # `asyncio.wait_for` before Python 3.12 loses a cancellation that comes together with
            # an answer: then another one is needed.
            _, waiting = await asyncio.wait(waiting, timeout=CLOSE_S)

    async def _do(self, name: str, work: Work) -> None:
        while True:
            try:
                return await work()
            except Exception:
                self.broken[name] += 1
                logger.exception("task.broken name=%s again_in_s=%g", name, self._pause_s)
            await asyncio.sleep(self._pause_s)
