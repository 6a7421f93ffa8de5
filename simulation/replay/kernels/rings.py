"""Lists of numbered objects, each object in one list at most.

A list is a ring through an anchor, a number above all objects: `rows[anchor, NEWER]` is its oldest
object and `rows[anchor, OLDER]` its newest, so that no end needs a rule of its own. All there is
about an object is in one row: with millions of objects a replay waits for memory, and a row is
half a cache line.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulation.replay.kernels.jit import jit

OLDER = 0
NEWER = 1
STATE = 2  # what it means is up to the policy; 0 at first
SIZE = 3

Rows = NDArray[np.int64]  # (object and anchor, 4)


@jit
def rings(sizes_bytes: NDArray[np.int64], list_count: int) -> Rows:
    """Empty lists; their anchors are the number of objects, that plus one and so on."""
    object_count = len(sizes_bytes)
    rows = np.zeros((object_count + list_count, 4), dtype=np.int64)
    rows[:object_count, SIZE] = sizes_bytes
    for anchor in range(object_count, object_count + list_count):
        rows[anchor, OLDER] = rows[anchor, NEWER] = anchor
    return rows


@jit
def push(rows: Rows, anchor: int, number: int) -> None:
    """Append as the newest."""
    newest = rows[anchor, OLDER]
    rows[number, OLDER] = newest
    rows[number, NEWER] = anchor
    rows[newest, NEWER] = number
    rows[anchor, OLDER] = number


@jit
def unlink(rows: Rows, number: int) -> None:
    """Out of whichever list it is in."""
    older, newer = rows[number, OLDER], rows[number, NEWER]
    rows[older, NEWER] = newer
    rows[newer, OLDER] = older
