"""What a replay counts after the warm-up; positions in the array that it returns."""

from __future__ import annotations

from typing import Final

REQUESTS: Final = 0
HITS: Final = 1
REQUEST_BYTES: Final = 2
HIT_BYTES: Final = 3
PREFETCHES: Final = 4
PREFETCH_BYTES: Final = 5
USED: Final = 6
USED_BYTES: Final = 7
WASTED: Final = 8  # evicted before anyone asked
WASTED_BYTES: Final = 9
UNUSED: Final = 10  # still there in the end, and nobody has asked
UNUSED_BYTES: Final = 11
LENGTH: Final = 12
