"""The plain transport: a fixed latency, then the link's bits."""

from __future__ import annotations

import numpy as np

from abr.view import Flags, Floats, Rungs
from simulation.sessions.capacity import Capacity


class PlainTransport:
    """A fixed latency, then the bits of the link: the model of Sabre and of the public reference
    results. An edge hit finds the link `hit_speedup` times as fast."""

    def __init__(self, capacity: Capacity, latency_s: float, *, hit_speedup: float = 1.0) -> None:
        self._capacity = capacity
        self._latency_s = latency_s
        self._hit_speedup = hit_speedup

    def send(
        self, session: Rungs, now_s: Floats, gap_s: Floats, size_bits: Floats, is_hit: Flags
    ) -> PlainFlight:
        del gap_s
        factor = np.where(is_hit, self._hit_speedup, 1.0)
        first_s = now_s + self._latency_s
        return PlainFlight(self._capacity, session, first_s, size_bits, factor)


class PlainFlight:
    """Requests under way over the plain transport."""

    def __init__(
        self,
        capacity: Capacity,
        session: Rungs,
        first_s: Floats,
        size_bits: Floats,
        factor: Floats,
    ) -> None:
        self._capacity = capacity
        self._session = session
        self._factor = factor
        self.first_s = first_s
        self._first_bits = capacity.position_bits(session, first_s)
        last_bits = self._first_bits + size_bits / factor
        self.end_s = np.maximum(capacity.reaches_s(session, last_bits), first_s)

    def received_bits(self, rows: Rungs, at_s: Floats) -> Floats:
        sent = self._capacity.position_bits(self._session[rows], at_s) - self._first_bits[rows]
        return np.maximum(sent, 0.0) * self._factor[rows]
