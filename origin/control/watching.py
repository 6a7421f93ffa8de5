"""How far people watch, from sums: what an origin keeps of a viewing is no more than its length.

The forecast's own guess is that some leave anywhere and the rest stay to the end; the mean tells
how many. It is kept apart for episodes and for films.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from origin.placement.demand import WATCHED_BINS, Floats, Titles
from origin.telemetry.watched import WatchedTitle


def watched_parts(
    known: Titles, row: Mapping[str, int], watched: Sequence[WatchedTitle]
) -> Floats:  # (2, WATCHED_BINS)
    """Viewings by the part of a title in which they ended: of episodes, of films."""
    viewings, lengths = np.zeros(2), np.zeros(2)
    for one in watched:
        at = row.get(one.title)
        if at is None or one.session_count <= 0:
            continue
        # Where edges did not know how long it is, we do.
        duration_s = max(one.duration_s, one.session_count * float(known.duration_s[at]))
        if duration_s <= 0.0:
            continue
        kind = int(known.is_film[at])
        viewings[kind] += one.session_count
        lengths[kind] += one.session_count * min(1.0, one.watched_s / duration_s)
    mean = lengths / np.maximum(viewings, 1.0)
    leave = np.clip(2.0 * (1.0 - mean), 0.0, 1.0)
    parts = np.repeat((leave / WATCHED_BINS)[:, None], WATCHED_BINS, axis=1)
    parts[:, -1] += 1.0 - leave
    found: Floats = parts * viewings[:, None]
    return found
