"""What an edge holds of each file, as far as an origin can tell.

An edge says how many files of its plan are complete, not which, and nothing of those for which it
only has a place. But what it held when the plan was made is in the plan, and what its viewers were
given since, that was not held, it has pulled and kept. So the next plan follows from this one and
from the demand that was reported since.

That is checked against the edge's own word: how many bytes it has pinned, and of which titles it
holds what a viewer needs to begin (nearcast.fleet.Heartbeat.held). Where it holds less than was
reckoned, because its disk was lost or its objects were dropped, what it does not name is not held.
"""

from __future__ import annotations

from array import array
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast import held_digest
from nearcast.fleet import Storage
from nearcast.placement import EdgePlan
from origin.placement.files import Files

Ints = NDArray[np.int64]
SETTLED_S: Final = 600.0
"""An edge that has run, and a plan that is in force, for so long: by then the edge has looked at
all files of the plan, and has gone round its titles."""
TOLERATED_SHARE: Final = 0.05
"""Sizes of manifests and initialisations are only guessed."""
TOLERATED_BYTES: Final = 100_000


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """What a settled edge says that it holds."""

    pinned_bytes: int
    titles: array[int] | None
    """Their sums (nearcast.held_digest); None: not known here."""


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """The plan that an edge works by."""

    plan: EdgePlan
    applied_wall_s: float | None
    """When it was put in force: before that, no edge looked at its files. None: not known here."""


def word_of(
    followed: Followed | None,
    storage: Storage | None,
    titles: array[int] | None,
    *,
    uptime_s: float,
    wall_s: float,
) -> Word | None:
    """What is to be believed of what an edge says; None: it may not know itself yet."""
    if followed is None or followed.applied_wall_s is None or storage is None:
        return None
    if min(uptime_s, wall_s - followed.applied_wall_s) < SETTLED_S:
        return None
    return Word(pinned_bytes=storage.pinned_bytes, titles=titles)


class Reckoned(NamedTuple):
    held: Ints  # (file,)
    sure: Ints  # (file,): of these, what it was to fetch; viewers' pulls are estimates


def reckon(
    files: Files,
    plan: EdgePlan | None,
    files_held: int,
    pulled_bytes: NDArray[np.float64],  # (file,) since the plan was made
    storage: Storage | None,
) -> Reckoned:
    """Of each file. A title that was packaged anew since, or has gone, is not held."""
    held = np.zeros(len(files), dtype=np.int64)
    sure = np.zeros(len(files), dtype=np.int64)
    if plan is None:
        return Reckoned(held, sure)
    rows = files.rows()
    # Those with nothing to fetch count as held at once; the others are completed in their order.
    places = sum(file.fetch_until_s == 0.0 for file in plan.files)
    complete = max(0, files_held - places)
    for number, file in enumerate(plan.files):
        row = rows.get((file.title, file.rendition))
        if row is None or files.manifests[row] != file.manifest:
            continue
        fetched = file.held_bytes
        if number < complete:
            is_head = file.fetch_until_s is not None and file.fetch_until_s > 0.0
            fetched = max(fetched, int(files.head_bytes[row]) if is_head else file.size_bytes)
        found = max(fetched, file.held_bytes + int(pulled_bytes[row]))
        held[row] = min(found, file.size_bytes, int(files.size_bytes[row]))
        if file.fetch_until_s != 0.0:
            sure[row] = fetched
    if storage is not None:
        # A disk that was emptied, or lost: nobody knows which.
        held = _cut(held, storage.used_bytes)
    return Reckoned(held, np.clip(sure, 0, held))


def by_its_word(files: Files, reckoned: Reckoned, word: Word) -> Ints:  # (file,)
    """What was reckoned, where the edge does not say otherwise.

    No more than it has pinned: first what it was to fetch of titles that it names, then what their
    viewers pulled, then the rest, each in equal parts.
    """
    held = reckoned.held
    total = int(held.sum())
    if total <= word.pinned_bytes * (1.0 + TOLERATED_SHARE) + TOLERATED_BYTES:
        return held
    is_named = np.ones(len(files), dtype=np.bool_)
    if word.titles is not None:
        is_named = _named(files, word.titles)
    fetched = np.where(is_named, reckoned.sure, 0)
    pulled = np.where(is_named, held, 0) - fetched
    left_bytes, agreed = word.pinned_bytes, np.zeros(len(files), dtype=np.int64)
    for part in (fetched, pulled, held - fetched - pulled):
        taken = _cut(part, left_bytes)
        agreed += taken
        left_bytes -= int(taken.sum())
    return agreed


def _named(files: Files, titles: array[int]) -> NDArray[np.bool_]:  # (file,)
    known = np.array(titles, dtype=np.uint32)
    names, of = np.unique(np.array(files.titles, dtype=object), return_inverse=True)
    sums = np.array([held_digest.sum_of(name) for name in names], dtype=np.uint32)
    is_named = np.isin(sums, known)
    if len(known) >= held_digest.TITLES_MAX:
        is_named |= sums > known[-1]  # of which it could not speak
    found: NDArray[np.bool_] = is_named[of]
    return found


def _cut(held: Ints, bytes_max: int) -> Ints:
    total = int(held.sum())
    if total <= bytes_max:
        return held
    cut: Ints = (held * (bytes_max / total)).astype(np.int64)
    return cut
