"""Positions in the figures of a replay of chunks; those of whole titles are in `counts`."""

from __future__ import annotations

from typing import Final

REQUEST_BYTES: Final = 0
MISS_BYTES: Final = 1
PREFETCH_BYTES: Final = 2
USED_BYTES: Final = 3  # of those prefetched, asked for before they were let go
TRUST: Final = 4  # of the model in the end
FIGURES: Final = 5
