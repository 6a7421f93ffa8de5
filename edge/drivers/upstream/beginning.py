"""The beginning of a body that the store has already, on its way into one that grows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from cache.http.parts import continues
from edge.drivers.bodies import Bodies
from edge.drivers.body import BodyBroken, BodyMissing, next_piece
from edge.drivers.growing import GrowingBody
from edge.drivers.upstream.pool import Spawn
from edge.effects import Held
from edge.events import Headers

PIECE_BYTES: Final = 256 * 1024


class Beginning:
    """What is held; not touched before `copy`."""

    def __init__(self, held: Held, bodies: Bodies, body: GrowingBody, spawn: Spawn) -> None:
        self._held = held
        self._bodies = bodies
        self._body = body
        self._spawn = spawn
        self._is_closed = False
        self._may_go_on = asyncio.Event()
        self._may_go_on.set()
        self._task: asyncio.Task[None] | None = None

    def fits(self, status: int, headers: Headers) -> bool:
        """Whether upstream's answer is what follows."""
        held = self._held
        return continues(held.headers, held.size_bytes, held.of_bytes, status, headers)

    def copy(self, copied: Callable[[], bool], done: Callable[[str | None], None]) -> None:
        """Put it into the body. `copied` is called after each piece and says whether to go on;
        else `go_on` does. `done` is called once: None when all is there, or why not."""
        self._task = self._spawn(self._run(copied, done), "beginning")

    def go_on(self) -> None:
        self._may_go_on.set()

    def close(self) -> None:
        """It is not wanted any more; nobody is told."""
        self._is_closed = True
        if self._task is not None:
            self._task.cancel()

    async def _run(self, copied: Callable[[], bool], done: Callable[[str | None], None]) -> None:
        failure: str | None = None
        try:
            await self._copy(copied)
        except (BodyMissing, BodyBroken) as error:
            failure = f"what was held cannot be read: {error}"
        if not self._is_closed:
            self._is_closed = True
            self._task = None  # what `done` closes must not be itself
            done(failure)

    async def _copy(self, copied: Callable[[], bool]) -> None:
        source = await self._bodies.open(self._held.object_id, 0, self._held.size_bytes)
        try:
            left_bytes = self._held.size_bytes
            while left_bytes:
                piece = await next_piece(source, min(PIECE_BYTES, left_bytes))
                if not piece:
                    raise BodyBroken(f"{left_bytes} bytes are missing")
                self._body.append(bytes(piece))
                left_bytes -= len(piece)
                if not copied():
                    self._may_go_on.clear()
                    await self._may_go_on.wait()
        finally:
            source.close()
