"""A session whose whole future is known, step by step.

The session is the plain one: each request costs a fixed latency and then the link's bits, one at a
time; playback starts with the first segment; before a request the player waits until one more
segment fits under the buffer limit; nothing is given up. See simulation.sessions.engine for many
sessions with controllers that know only the past; a test holds the two together.
"""

from __future__ import annotations

import msgspec
import numpy as np

from abr.view import Floats
from simulation.sessions.capacity import Capacity


class KnownSession(msgspec.Struct, frozen=True, kw_only=True):
    """A title, a link and a player, and what stalls and switches cost."""

    link: Capacity
    """Of one trace."""
    sizes_bits: Floats
    """(segments, rungs)."""
    rates_mbps: Floats
    """(rungs,), rising."""
    segment_s: float
    latency_s: float
    buffer_limit_s: float
    stall_penalty: float
    switch_penalty: float
    first_rung: int

    @property
    def segment_count(self) -> int:
        return int(self.sizes_bits.shape[0])

    def startup_s(self) -> float:
        """When the first segment is here."""
        size_bits = self.sizes_bits[0, self.first_rung]
        return float(self._finish_s(np.array([self.latency_s]), np.array([size_bits]))[0])

    def fetch(
        self, index: int, startup_s: float, times_s: Floats, stalled_s: Floats, sizes_bits: Floats
    ) -> tuple[Floats, Floats]:
        """(n, sizes) each: when segment `index` is here, and the stalled seconds by then.

        `times_s` (n,) is when the one before was here, `stalled_s` (n,) what had stalled by then.
        """
        dry_s = startup_s + stalled_s + index * self.segment_s
        room_s = dry_s - max(self.buffer_limit_s - self.segment_s, 0.0)
        asked_s = np.maximum(times_s, room_s) + self.latency_s
        shape = (asked_s.size, sizes_bits.size)
        asked_s = np.broadcast_to(asked_s[:, None], shape).ravel()
        here_s = self._finish_s(asked_s, np.broadcast_to(sizes_bits, shape).ravel()).reshape(shape)
        return here_s, stalled_s[:, None] + np.maximum(here_s - dry_s[:, None], 0.0)

    def _finish_s(self, asked_s: Floats, sizes_bits: Floats) -> Floats:
        return self.link.finish_s(np.zeros(asked_s.size, dtype=np.int64), asked_s, sizes_bits)
