"""A link that demand and prefetches share: demand first, then one prefetch after another.

Transfers are fluids. A demand transfer takes the rate of its picture, so that its player does not
wait. When all of them together want more than `PLAYERS_SHARE` of the link, adaptive players go down
in rate, as players do that keep below what they measure: all by the same factor (`thrift`), and
media time comes as fast as before by fewer bytes. Players that keep their rate share the link
instead, and wait. What is left goes to one prefetch after another, by class
and within a class in order of asking:

    heads       before players take more than the rate of their picture
    players     up to `DEMAND_SPEED` times that rate, to fill their buffers
    rests       of what is about to be watched
    later       what can wait for the night
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

HEAD, SOON, LATER = range(3)
"""Classes of prefetches."""

DEMAND_SPEED: Final = 1.25
PLAYERS_SHARE: Final = 0.9
"""Of a throughput, what a player's choice of rate takes at most; 0.8 to 0.9 is common."""


class Transfer:
    """An object, or what is left of it, on its way."""

    def __init__(self, name: int, size_bytes: float, bytes_per_s: float, rank: int) -> None:
        self.name = name
        self.left_bytes = size_bytes
        self.bytes_per_s = bytes_per_s  # of the picture
        self.rank = rank
        self.got_bytes = 0.0
        self.rate = 0.0  # bytes/s at the full rate of the picture, now
        self.thrift = 1.0  # bytes on the link for each of these


class Backhaul:
    """Time goes on by `run`; whoever adds or takes away a transfer has run it up to then."""

    def __init__(self, bytes_per_s: float, *, is_adaptive: bool = True) -> None:
        """`is_adaptive`: players go down in rate rather than wait."""
        self._bytes_per_s = bytes_per_s
        self._is_adaptive = is_adaptive
        self._now_s = 0.0
        self.demand: dict[int, Transfer] = {}
        self._queues: tuple[dict[int, Transfer], ...] = ({}, {}, {})  # by class
        self.carried_bytes = 0.0
        self.wanted_bytes = 0.0  # what the bytes of demand would have been at full rates
        self.demand_bytes = 0.0  # what they were

    def find(self, name: int) -> Transfer | None:
        for queue in (self.demand, *self._queues):
            if name in queue:
                return queue[name]
        return None

    def ask(self, transfer: Transfer) -> None:
        """Somebody waits for it."""
        self.cancel(transfer.name)
        self.demand[transfer.name] = transfer
        self._share()

    def prefetch(self, transfer: Transfer) -> None:
        self._queues[transfer.rank][transfer.name] = transfer
        self._share()

    def move(self, name: int, rank: int) -> None:
        """Another class for a prefetch."""
        for queue in self._queues:
            transfer = queue.pop(name, None)
            if transfer is not None:
                transfer.rank = rank
                self._queues[rank][name] = transfer
        self._share()

    def cancel(self, name: int) -> None:
        for queue in (self.demand, *self._queues):
            queue.pop(name, None)
        self._share()

    def run(self, until_s: float) -> Iterator[Transfer]:
        """What is complete by then, each at the moment it is (`now_s`)."""
        while True:
            first = min(
                (each for each in self._moving() if each.rate > 0.0),
                key=lambda each: each.left_bytes / each.rate,
                default=None,
            )
            ends_s = math.inf
            if first is not None:
                ends_s = self._now_s + first.left_bytes / first.rate
            if ends_s > until_s or first is None:
                self._move(until_s)
                return
            self._move(ends_s)
            first.got_bytes += first.left_bytes
            first.left_bytes = 0.0
            self.cancel(first.name)
            yield first

    @property
    def now_s(self) -> float:
        return self._now_s

    def _moving(self) -> Iterator[Transfer]:
        yield from self.demand.values()
        first = self._first()
        if first is not None:
            yield first

    def _first(self) -> Transfer | None:
        for queue in self._queues:
            for transfer in queue.values():
                return transfer
        return None

    def _move(self, until_s: float) -> None:
        took_s = until_s - self._now_s
        if took_s > 0.0:
            for transfer in self._moving():
                moved = min(transfer.rate * took_s, transfer.left_bytes)
                transfer.left_bytes -= moved
                transfer.got_bytes += moved
                self.carried_bytes += moved * transfer.thrift
                if transfer.name in self.demand:
                    self.wanted_bytes += moved
                    self.demand_bytes += moved * transfer.thrift
        self._now_s = max(until_s, self._now_s)

    def _share(self) -> None:
        pictures = sum(each.bytes_per_s for each in self.demand.values())
        first = self._first()
        most = (PLAYERS_SHARE if self._is_adaptive else 1.0) * self._bytes_per_s
        part = min(most / pictures, 1.0) if pictures > 0.0 else 1.0
        thrift, speed = (part, 1.0) if self._is_adaptive else (1.0, part)
        filling = 0.0 if first is not None and first.rank == HEAD else pictures
        filling = min((DEMAND_SPEED - 1.0) * filling, max(most - pictures, 0.0))
        speed += filling / pictures if pictures > 0.0 else 0.0
        for each in self.demand.values():
            each.rate = each.bytes_per_s * speed
            each.thrift = thrift
        if first is not None:
            # Rounding must not leave a rate below nothing.
            first.rate = max(self._bytes_per_s - pictures * thrift * speed, 0.0)
            first.thrift = 1.0
