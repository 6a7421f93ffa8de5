"""Objects whose bytes are in RAM, and those that should be: for the hits that most ask for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any


class MemoryCopies:
    """Bytes by object id. How many there may be the core decides.

    `read`: all bytes of an object, wherever they are; None: they are gone. `spawn`: do that in the
    background.
    """

    def __init__(
        self,
        *,
        read: Callable[[str], Awaitable[bytes | None]],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._read = read
        self._spawn = spawn
        self._contents: dict[str, bytes] = {}
        self.get = self._contents.get
        """The bytes of an object if they are in RAM. Bound here and asked directly: it is called
        for every hit."""
        self._uncopied: set[str] = set()
        self._loading: set[str] = set()

    def __contains__(self, object_id: str) -> bool:
        return object_id in self._contents

    def put(self, object_id: str, content: bytes) -> None:
        self._contents[object_id] = content

    def put_off(self, object_id: str) -> None:
        """It ought to be in RAM, and is only in its file as long as nobody needs it here."""
        self._uncopied.add(object_id)

    def drop(self, object_id: str) -> None:
        """It has no place here any more."""
        self._contents.pop(object_id, None)
        self._loading.discard(object_id)
        self._uncopied.discard(object_id)

    def load(self, object_id: str) -> None:
        """Have it here soon."""
        if object_id not in self._contents and object_id not in self._loading:
            self._loading.add(object_id)
            self._spawn(self._load(object_id))

    def load_put_off(self, object_id: str) -> None:
        """Somebody needs it here, if it is one of those that were put off."""
        if object_id in self._uncopied:
            self._uncopied.discard(object_id)
            self.load(object_id)

    async def _load(self, object_id: str) -> None:
        content = await self._read(object_id)
        if object_id in self._loading:
            self._loading.discard(object_id)
            if content is not None:
                self._contents[object_id] = content
