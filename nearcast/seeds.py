"""Named random streams: adding a component does not disturb the draws of the others."""

from __future__ import annotations

import hashlib

import numpy as np


class Seeds:
    """Streams derived from one seed and the name of their owner."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def stream(self, name: str) -> np.random.Generator:
        """The generator of `name`, e.g. `edge/ams1/eviction`; the same name gives the same
        draws."""
        digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
        return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
