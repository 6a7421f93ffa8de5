"""Lists of numbered objects, each object in one list at most.

A list is a ring through an anchor, a number above all objects: `links[anchor, NEWER]` is its
oldest object and `links[anchor, OLDER]` its newest, so that no end needs a rule of its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulation.replay.kernels.jit import jit

OLDER = 0
NEWER = 1

Links = NDArray[np.int32]  # (object and anchor, 2)


@jit
def rings(object_count: int, list_count: int) -> Links:
    """Empty lists; their anchors are `object_count`, `object_count + 1` and so on."""
    links = np.zeros((object_count + list_count, 2), dtype=np.int32)
    for anchor in range(object_count, object_count + list_count):
        links[anchor, OLDER] = links[anchor, NEWER] = anchor
    return links


@jit
def push(links: Links, anchor: int, number: int) -> None:
    """Append as the newest."""
    newest = links[anchor, OLDER]
    links[number, OLDER] = newest
    links[number, NEWER] = anchor
    links[newest, NEWER] = number
    links[anchor, OLDER] = number


@jit
def unlink(links: Links, number: int) -> None:
    """Out of whichever list it is in."""
    older, newer = links[number, OLDER], links[number, NEWER]
    links[older, NEWER] = newer
    links[newer, OLDER] = older
