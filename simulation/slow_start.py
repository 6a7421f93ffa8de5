"""How much a TCP sender dares to have on its way: slow start, and the restart after silence.

Shared by the link (scalar, one window a flow) and by the tcp transport of the session simulator
(arrays), so that both have the same numbers. There is no loss on our links, hence no threshold, no
recovery and no CUBIC: the window doubles with each round trip until it is as large as a sender's
buffer, and falls back when the connection was silent. See docs/adr/0009-two-transports.md.

Sources: RFC 5681 section 3.1 (slow start) and 4.1 (restart after idle), RFC 6928 (ten segments),
RFC 6298 (2.4) (one second at least); RFC 2861 and 7661 on what else a sender may do when idle.
"""

from __future__ import annotations

import msgspec

SEGMENT_BYTES = 1460
INITIAL_SEGMENTS = 10
ACKED_SEGMENTS = 2
ACKS_PER_WINDOW = 16
"""Receivers acknowledge every other segment. In a large window so often is enough: what is
acknowledged at once lengthens a round trip by the time that the link takes for it."""


class SlowStart(msgspec.Struct, frozen=True, kw_only=True):
    """Of one sender: where its window begins, ends, and how long it may be silent."""

    initial_bytes: int = INITIAL_SEGMENTS * SEGMENT_BYTES
    bytes_max: int = 4 * 1024 * 1024
    """What a default Linux sender buffers at most (the last figure of tcp_wmem)."""
    idle_s_min: float = 1.0
    """After as long a silence, or a round trip if that is longer, the window is as at first:
    the least retransmission timeout of RFC 6298. `inf`: never."""

    def __post_init__(self) -> None:
        if not 0 < self.initial_bytes <= self.bytes_max:
            raise ValueError("initial_bytes must be above 0 and at most bytes_max")
        if not self.idle_s_min > 0:
            raise ValueError(f"idle_s_min must be above 0, got {self.idle_s_min:g}")

    def restart_s(self, rtt_s: float) -> float:
        """A silence longer than this closes the window to its first size."""
        return max(self.idle_s_min, rtt_s)


class Window:
    """Congestion window of one flow. Bytes are `sent` when the bottleneck has passed them on, and
    `acked` a round trip later."""

    __slots__ = ("_restart_s", "_settings", "last_sent_s", "size_bytes", "unacked_bytes")

    def __init__(self, settings: SlowStart, rtt_s: float) -> None:
        self._settings = settings
        self._restart_s = settings.restart_s(rtt_s)
        self.size_bytes = settings.initial_bytes
        self.unacked_bytes = 0
        self.last_sent_s: float | None = None

    @property
    def room_bytes(self) -> int:
        return self.size_bytes - self.unacked_bytes

    @property
    def ack_bytes(self) -> int:
        """Acknowledged at once."""
        return max(ACKED_SEGMENTS * SEGMENT_BYTES, self.size_bytes // ACKS_PER_WINDOW)

    def resumes(self, now_s: float) -> None:
        """There is something to send again."""
        if self.last_sent_s is not None and now_s - self.last_sent_s > self._restart_s:
            self.size_bytes = min(self.size_bytes, self._settings.initial_bytes)

    def sent(self, size_bytes: int, now_s: float) -> None:
        self.unacked_bytes += size_bytes
        self.last_sent_s = now_s

    def acked(self, size_bytes: int) -> None:
        self.unacked_bytes -= size_bytes
        self.size_bytes = min(self.size_bytes + size_bytes, self._settings.bytes_max)
