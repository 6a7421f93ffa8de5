"""RAM for bodies that grow, shared by all of them.

Clients that ask for large objects and do not read would otherwise have the node hold a whole window
for each. A body counts once it is larger than the floor: small ones come and go by the thousand,
and their number is bounded by that of fetches. While the budget lasts each body may hold its share
of it, afterwards the floor; what it holds beyond that stays until its readers have taken it or the
disk has it.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # a body knows its room
    from edge.drivers.growing import GrowingBody

FLOOR_BYTES: Final = 256 * 1024
GROWING_BYTES_MAX: Final = 64_000_000


class GrowingRoom:
    """`bytes_max` for what passes, and `kept_bytes_max` besides for what is to stay in memory."""

    def __init__(self, bytes_max: int, kept_bytes_max: int = 0) -> None:
        self.used_bytes = 0
        """Held by all that count; they keep this right."""
        self._bytes_max = bytes_max
        self._kept_bytes_max = kept_bytes_max
        self._bodies: weakref.WeakSet[GrowingBody] = weakref.WeakSet()

    @property
    def share_bytes(self) -> int:
        """What one body may hold now."""
        if self.used_bytes >= self._bytes_max:
            return FLOOR_BYTES
        return max(FLOOR_BYTES, self._bytes_max // max(len(self._bodies), 1))

    @property
    def is_full_of_kept(self) -> bool:
        """Whether no body can go on being kept whole."""
        return self.used_bytes >= self._bytes_max + self._kept_bytes_max

    def join(self, body: GrowingBody) -> None:
        """One more counts: the others' shares are smaller from now on."""
        self._bodies.add(body)
        for other in tuple(self._bodies):
            other.narrow()
