"""What was served of objects that no known title has, yet.

A player that is steered begins with segments; the manifest that says whose they are is fetched only
then. What it took meanwhile is the title's beginning, which decides what is worth placing: so it is
kept by URL for some seconds, and told once the title is known. No viewer is named here either.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

KEPT_S: Final = 30.0
"""A manifest is fetched and read within one or two; HLS needs two in turn."""
KEPT_MAX: Final = 2_000
"""Then the oldest go: an edge may serve much that is no title's."""


class Served(msgspec.Struct, frozen=True, gc=False):
    url: str
    first_byte: int
    client_bytes: int
    """To clients."""
    resident_bytes: int
    origin_bytes: int
    at_s: float


class Unplaced:
    """Served lately, oldest first."""

    def __init__(self) -> None:
        self._served: deque[Served] = deque(maxlen=KEPT_MAX)
        self._now_s = 0.0

    def __len__(self) -> int:
        return len(self._served)

    def add(
        self,
        url: str,
        first_byte: int,
        *,
        client_bytes: int = 0,
        resident_bytes: int = 0,
        origin_bytes: int = 0,
    ) -> None:
        self._served.append(
            Served(url, first_byte, client_bytes, resident_bytes, origin_bytes, self._now_s)
        )

    def take(self) -> tuple[Served, ...]:
        """All that is kept; who cannot place some of it puts that back."""
        served = tuple(self._served)
        self._served.clear()
        return served

    def put_back(self, served: Served) -> None:
        self._served.append(served)

    def advance(self, now_s: float) -> None:
        self._now_s = now_s
        while self._served and self._served[0].at_s < now_s - KEPT_S:
            self._served.popleft()
