"""Viewers to be forgotten, between the one who asks and the core: from a call to its answer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from edge.effects import ViewerForgotten
from edge.events import Event, ForgetViewer


class Forgetting:
    """Feeds what is asked and hands out the counts."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[ViewerForgotten]] = {}

    async def forget(self, client: str, user_agent: str | None) -> ViewerForgotten:
        """What was known of them, and is no more."""
        forget_id = next(self._numbers)
        future: asyncio.Future[ViewerForgotten] = asyncio.get_running_loop().create_future()
        self._waiting[forget_id] = future
        try:
            self._tell(ForgetViewer(forget_id=forget_id, client=client, user_agent=user_agent))
            return await future
        finally:
            del self._waiting[forget_id]

    def done(self, effect: ViewerForgotten) -> None:
        future = self._waiting.get(effect.forget_id)
        if future is not None and not future.done():
            future.set_result(effect)
