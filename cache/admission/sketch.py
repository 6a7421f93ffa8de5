"""How often an object was asked for lately, in a fixed amount of memory."""

from __future__ import annotations

import zlib

_COUNT_MAX = 15
_SEEDS = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F)  # odd, so each permutes 32 bits


class Sketch:
    """Estimated use counts, 0 to 15: never too low between two agings, too high where ids collide.

    Four counters per object; a use raises the lowest of them, and the estimate is the lowest. After
    `uses_per_aging` uses all counters are halved, so that what was popular once is forgotten.
    Sources: Einziger, Friedman and Manes, "TinyLFU: A Highly Efficient Cache Admission Policy",
    ACM ToS 13(4), 2017, for the ageing; Cormode and Muthukrishnan, "An Improved Data Stream
    Summary: The Count-Min Sketch", J. Algorithms 55(1), 2005, for the counters.
    """

    def __init__(self, counter_count: int, uses_per_aging: int) -> None:
        """`counter_count` is rounded up to a power of 2; a counter takes one byte."""
        bits = max(counter_count - 1, 1).bit_length()
        self._shift = 32 - bits
        self._counters = bytearray(1 << bits)
        self.uses_per_aging = uses_per_aging
        self._use_count = 0

    def add(self, object_id: str) -> None:
        places = self._places(object_id)
        counters = self._counters
        lowest = min(counters[place] for place in places)
        if lowest < _COUNT_MAX:
            for place in places:
                if counters[place] == lowest:
                    counters[place] = lowest + 1
        self._use_count += 1
        if self._use_count >= self.uses_per_aging:
            self._use_count = 0
            self._counters = counters.translate(_HALVES)

    def count(self, object_id: str) -> int:
        counters = self._counters
        return min(counters[place] for place in self._places(object_id))

    def _places(self, object_id: str) -> tuple[int, ...]:
        # Python's own hash() differs from process to process.
        hashed = zlib.crc32(object_id.encode())
        return tuple((hashed * seed & 0xFFFFFFFF) >> self._shift for seed in _SEEDS)


_HALVES = bytes(count >> 1 for count in range(256))
