"""A log of plays as requests for whole objects: one a play, when it starts."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.seeds import Seeds
from nearcast.units import bytes_per_s_from_kbps
from predictor.logs.plays import PlaysLog
from predictor.viewing.course import successors

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

RUNGS_KBPS = (1_800.0, 3_500.0, 5_800.0, 9_000.0)
"""A title is held at one of these rates, by its number and the seed: an edge's objects differ in
size by their run time and by this."""


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """Plays by start, what follows each title, and how large it is."""

    log: PlaysLog
    successor: Ints  # (play,) the title of the next episode, played or not; -1: there is none
    leaves_s: Floats  # (play,) when the play ends
    returns_s: Floats  # (play,) when its viewer starts anything next; inf: never
    goes_on_s: Floats  # (play,) when its viewer next starts the successor; inf: never
    sizes_bytes: Ints  # (title,)
    asked_count: int  # titles that are played at all
    asked_bytes: int  # their sizes together

    def __len__(self) -> int:
        return len(self.log)


def requests_of(
    log: PlaysLog, *, seed: int, goes_further: NDArray[np.bool_] | None = None
) -> Requests:
    """`goes_further` (play,): the catalogue has a successor, whether anyone plays it or not. What
    nobody plays gets a number above those of the log, and the size of what comes before it."""
    successor = successors(log)[log.title]
    returns_s, goes_on_s = _next_starts(log, successor)
    sizes_bytes = _sizes(log, seed)
    asked = np.unique(log.title)
    asked_bytes = int(sizes_bytes[asked].sum())
    if goes_further is not None:
        is_unplayed = goes_further & (successor < 0)
        before, number = np.unique(log.title[is_unplayed], return_inverse=True)
        successor[is_unplayed] = len(sizes_bytes) + number
        sizes_bytes = np.concatenate([sizes_bytes, sizes_bytes[before]])
    return Requests(
        log=log,
        successor=successor,
        leaves_s=log.start_s + log.watched_s,
        returns_s=returns_s,
        goes_on_s=goes_on_s,
        sizes_bytes=sizes_bytes,
        asked_count=len(asked),
        asked_bytes=asked_bytes,
    )


def _sizes(log: PlaysLog, seed: int) -> Ints:
    runtime_s = np.zeros(len(log.titles))
    runtime_s[log.title] = log.runtime_s
    runtime_s[runtime_s <= 0.0] = float(np.median(log.runtime_s)) if len(log) else 1.0
    rng = Seeds(seed).stream("simulation/prefetch/rungs")
    bytes_per_s = np.array([bytes_per_s_from_kbps(rate) for rate in RUNGS_KBPS])
    of_title = rng.choice(len(RUNGS_KBPS), len(runtime_s))
    return np.asarray(np.maximum(runtime_s * bytes_per_s[of_title], 1.0), dtype=np.int64)


def _next_starts(log: PlaysLog, successor: Ints) -> tuple[Floats, Floats]:
    """Of each play: its viewer's next start of anything, and of the successor."""
    count = len(log)
    returns_s, goes_on_s = np.full(count, np.inf), np.full(count, np.inf)
    title_count = len(log.titles)
    any_next: dict[int, float] = {}
    next_of: dict[int, float] = {}
    starts_s = log.start_s.tolist()
    viewers, titles, following = log.viewer.tolist(), log.title.tolist(), successor.tolist()
    for at in range(count - 1, -1, -1):
        viewer, start_s = viewers[at], starts_s[at]
        returns_s[at] = any_next.get(viewer, np.inf)
        if following[at] >= 0:
            goes_on_s[at] = next_of.get(viewer * title_count + following[at], np.inf)
        any_next[viewer] = start_s
        next_of[viewer * title_count + titles[at]] = start_s
    return returns_s, goes_on_s
