"""What is asked of title models: the next title of a viewer, from all that came before.

Two ways to keep events apart for it. *By time*: a model learns what was before an instant and is
asked for every first play after it, one by one, from the viewer's history so far (what they
watched after that instant included, as it would be when serving). *The last of each*: a model
learns all but every viewer's last title and is asked for that. A title that nobody watched before
can be no one's answer: such queries count as misses, and are also left out of a second figure.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from predictor.recommend.history import Ints
from predictor.recommend.packing import TITLES_MAX
from predictor.train.recommend_data import Listing


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What a model learns from: histories over titles numbered from the most watched."""

    histories: tuple[Ints, ...]
    titles: tuple[str, ...]
    genre: Ints  # (titles,)
    plays: Ints  # (titles,)


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """One question: what does `viewer` take up after `history`?"""

    viewer: int
    history: Ints
    answer: int
    """-1 if no model can know it."""
    is_last: bool


def known_of(listing: Listing) -> Known:
    """Titles that were watched, the most watched first; of equal ones the earlier watched."""
    plays = np.bincount(listing.title, minlength=len(listing.titles))
    order = np.argsort(-plays, kind="stable")
    order = order[plays[order] > 0][:TITLES_MAX]
    number = np.full(len(listing.titles), -1, dtype=np.int64)
    number[order] = np.arange(len(order))
    return Known(
        histories=tuple(_by_viewer(listing.viewer, number[listing.title], len(listing.viewers))),
        titles=tuple(listing.titles[at] for at in order),
        genre=listing.genre[order],
        plays=plays[order],
    )


def split_by_time(listing: Listing, share: float) -> tuple[Listing, Listing]:
    """The first `share` of the events, and the rest."""
    first = round(share * len(listing))
    return listing.take(slice(0, first)), listing.take(slice(first, None))


def split_last(listing: Listing) -> tuple[Listing, Listing]:
    """All but the last event of every viewer who has two or more, and those."""
    newest_first = listing.viewer[::-1]
    _, at = np.unique(newest_first, return_index=True)
    last = np.zeros(len(listing), dtype=bool)
    last[len(listing) - 1 - at] = True
    several = np.bincount(listing.viewer, minlength=len(listing.viewers)) > 1
    last &= several[listing.viewer]
    return listing.take(~last), listing.take(last)


def queries(known: Known, before: Listing, after: Listing) -> tuple[Query, ...]:
    """One for every event of `after` whose viewer was seen before it, in order of viewer and time.

    The listings may come from different files; names are what they have in common.
    """
    number = {title: at for at, title in enumerate(known.titles)}
    viewer = {name: at for at, name in enumerate(before.viewers)}
    seen = {name: history.tolist() for name, history in _named_histories(before)}
    found = []
    for name, later in _named_histories(after):
        past = [before.titles[title] for title in seen.get(name, ())]
        watched = set(past)
        future = [after.titles[title] for title in later.tolist()]
        fresh = [title for title in dict.fromkeys(future) if title not in watched]
        codes = [number.get(title, -1) for title in (*past, *fresh)]
        history = np.array([code for code in codes if code >= 0], dtype=np.int64)
        place = np.cumsum([code >= 0 for code in codes])
        first = max(1, len(past))
        who = viewer.get(name, len(viewer))
        viewer.setdefault(name, who)
        found += [
            Query(
                viewer=who,
                history=history[: place[at - 1]],
                answer=codes[at],
                is_last=at == len(codes) - 1,
            )
            for at in range(first, len(codes))
        ]
    return tuple(found)


def thinned(asked: Sequence[Query], count_max: int) -> tuple[Query, ...]:
    """Evenly chosen ones, so that a long log is measured in bounded time."""
    step = max(1, -(-len(asked) // count_max))
    return tuple(query for at, query in enumerate(asked) if at % step == 0)


def _named_histories(listing: Listing) -> list[tuple[str, Ints]]:
    histories = _by_viewer(listing.viewer, listing.title, len(listing.viewers))
    return [
        (name, history)
        for name, history in zip(listing.viewers, histories, strict=True)
        if len(history)
    ]


def _by_viewer(viewer: Ints, title: Ints, viewer_count: int) -> list[Ints]:
    order = np.argsort(viewer, kind="stable")
    ends = np.cumsum(np.bincount(viewer, minlength=viewer_count))
    return [part[part >= 0] for part in np.split(title[order], ends[:-1])]
