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

from typing import Final

import google_crc32c
import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.fleet import Storage
from nearcast.placement import EdgePlan
from origin.placement.files import Files

Ints = NDArray[np.int64]
SETTLED_S: Final = 600.0
"""An edge that has run, and a plan that is in force, for so long: by then the edge has looked at
all files of the plan, and has gone round its titles."""
TOLERATED_SHARE: Final = 0.05
"""Sizes of manifests and initialisations are only guessed."""
TOLERATED_BYTES: Final = 1_000_000
_DIGEST_TITLES_MAX: Final = 30_000
"""As many fit into a message; of more, the smallest numbers are told."""


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """What a settled edge says that it holds."""

    pinned_bytes: int
    titles: bytes | None
    """As nearcast.fleet.Heartbeat.held; None: not known here."""


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
    if storage is not None:
        # A disk that was emptied, or lost: nobody knows which.
        held = _cut(held, storage.used_bytes)
    return held


def by_its_word(files: Files, reckoned: Ints, word: Word) -> Ints:  # (file,)
    """What was reckoned, where the edge does not say otherwise.

    No more than it has pinned: first what is of titles that it names, then the rest, each in equal
    parts.
    """
    total = int(reckoned.sum())
    if total <= word.pinned_bytes * (1.0 + TOLERATED_SHARE) + TOLERATED_BYTES:
        return reckoned
    is_named = np.ones(len(files), dtype=np.bool_)
    if word.titles is not None:
        is_named = _named(files, word.titles)
    named = np.where(is_named, reckoned, 0)
    others = reckoned - named
    left_bytes = max(0, word.pinned_bytes - int(named.sum()))
    return _cut(named, word.pinned_bytes) + _cut(others, left_bytes)


def _named(files: Files, titles: bytes) -> NDArray[np.bool_]:  # (file,)
    known = np.frombuffer(titles, dtype="<u4")
    names, of = np.unique(np.array(files.titles, dtype=object), return_inverse=True)
    sums = np.array([google_crc32c.value(name.encode()) for name in names], dtype=np.uint32)
    is_named = np.isin(sums, known)
    if len(known) >= _DIGEST_TITLES_MAX:
        is_named |= sums > known[-1]  # of which it could not speak
    found: NDArray[np.bool_] = is_named[of]
    return found


def _cut(held: Ints, bytes_max: int) -> Ints:
    total = int(held.sum())
    if total <= bytes_max:
        return held
    cut: Ints = (held * (bytes_max / total)).astype(np.int64)
    return cut
