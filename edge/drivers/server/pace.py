"""Whether a client takes enough of its answer.

A client owes the smallest rate for every second in which it holds an answer up, and may be behind
by a bounded number of bytes; what it takes beyond what it owes counts only until it is not behind
any more. So who stops is let go after a bounded time, however fast it was before, and who is steady
above the rate never is, though its bytes are seen to move in steps: a kernel opens its receive
window by a part of its buffer at a time. With fixed windows of time a step falls into every second
or third of them.
"""

from __future__ import annotations

from typing import Final

BEHIND_WINDOWS: Final = 1.5
"""A client may be behind by what the smallest rate is in so many `send_s`: a step of 100 KB, as on
loopback, is 25 s at the default rate."""
CHECKS_PER_WINDOW: Final = 4
"""How often it is looked at; who has stopped is let go within twice `send_s`."""


class Pace:
    """Begin when the client first holds the answer up; then ask from time to time. It counts from
    the first asking on: most answers are out by then, and beginning must cost nothing."""

    __slots__ = ("_at_s", "_behind_bytes", "_taken_bytes")

    def __init__(self) -> None:
        self._taken_bytes: int | None = None
        self._at_s = 0.0
        self._behind_bytes = 0.0

    def is_enough(
        self, taken_bytes: int, now_s: float, *, bytes_per_s_min: float, window_s: float
    ) -> bool:
        """`taken_bytes`: by the client, counted from anywhere."""
        if self._taken_bytes is not None:
            owed_bytes = bytes_per_s_min * (now_s - self._at_s)
            self._behind_bytes += owed_bytes - (taken_bytes - self._taken_bytes)
            self._behind_bytes = max(0.0, self._behind_bytes)
        self._taken_bytes = taken_bytes
        self._at_s = now_s
        behind_bytes_max = BEHIND_WINDOWS * bytes_per_s_min * window_s
        return self._behind_bytes < behind_bytes_max or not bytes_per_s_min

    @property
    def behind_bytes(self) -> int:
        return int(self._behind_bytes)
