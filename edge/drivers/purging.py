"""Purges between the one who asks and the core: from a call to its answer.

The answer says that it is gone, so it waits until the store has written that down: what was taken
down must not come back because the node was killed.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from edge.effects import PurgeDone
from edge.events import Event, Purge, PurgeKind


class Purging:
    """Feeds purges and hands out their counts."""

    def __init__(
        self,
        tell: Callable[[Event], None],
        when_recorded: Callable[[Callable[[], None]], None],
    ) -> None:
        self._tell = tell
        self._when_recorded = when_recorded
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[int]] = {}

    async def purge(self, kind: PurgeKind, value: str, *, is_soft: bool) -> int:
        """How many objects were met, once all of them were."""
        purge_id = next(self._numbers)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[purge_id] = future
        try:
            self._tell(Purge(purge_id=purge_id, kind=kind, value=value, is_soft=is_soft))
            return await future
        finally:
            del self._waiting[purge_id]

    def done(self, effect: PurgeDone) -> None:
        self._when_recorded(lambda: self._recorded(effect))

    def _recorded(self, effect: PurgeDone) -> None:
        future = self._waiting.get(effect.purge_id)
        if future is not None and not future.done():
            future.set_result(effect.count)
