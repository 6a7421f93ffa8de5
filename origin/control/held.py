"""What an edge holds of each file, as far as an origin can tell.

An edge says how many files of its plan are complete, not which, and nothing of those for which it
only has a place. But what it held when the plan was made is in the plan, and what its viewers were
given since, that was not held, it has pulled and kept. So the next plan follows from this one and
from the demand that was reported since.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nearcast.fleet import Storage
from nearcast.placement import EdgePlan
from origin.placement.files import Files

Ints = NDArray[np.int64]


def held_bytes(
    files: Files,
    plan: EdgePlan | None,
    files_held: int,
    pulled_bytes: NDArray[np.float64],  # (file,) since the plan was made
    storage: Storage | None,
) -> Ints:  # (file,)
    """Of each file. A title that was packaged anew since, or has gone, is not held."""
    held = np.zeros(len(files), dtype=np.int64)
    if plan is None:
        return held
    rows = files.rows()
    # Those with nothing to fetch count as held at once; the others are completed in their order.
    places = sum(file.fetch_until_s == 0.0 for file in plan.files)
    complete = max(0, files_held - places)
    for number, file in enumerate(plan.files):
        row = rows.get((file.title, file.rendition))
        if row is None or files.manifests[row] != file.manifest:
            continue
        found = file.held_bytes + int(pulled_bytes[row])
        if number < complete:
            is_head = file.fetch_until_s is not None and file.fetch_until_s > 0.0
            found = max(found, int(files.head_bytes[row]) if is_head else file.size_bytes)
        held[row] = min(found, file.size_bytes, int(files.size_bytes[row]))
    total = int(held.sum())
    if storage is not None and total > storage.used_bytes:
        # A disk that was emptied, or lost: nobody knows which.
        held = (held * (storage.used_bytes / total)).astype(np.int64)
    return held
