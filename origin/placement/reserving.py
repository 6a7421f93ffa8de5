"""Shares out an edge's room between what it holds, what it will fetch, and what it may get to hold.

The solver says what is worth fetching. Far more would be worth keeping once a viewer has pulled it:
the plan names that as well, as reserved places, and an edge fetches nothing for them. All compete
for the same bytes by what they save, held and fetched ones at their full value, the others at what
is left of it after a first miss (`forecast_reserve.py`). So a file that is fetched is dropped again
if the room is better used, and one that is held makes way for one that is wanted far more often;
but of what is held no more makes way than a plan may replace (`Member.churn_bytes`).
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.hashing import scores
from nearcast.units import DAY_S
from origin.placement.forecast_reserve import reserved_density
from origin.placement.problem import REST, EdgePlacement, Items, Site


class Share(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What an edge of a site has room for; rows of the site's items."""

    placed: NDArray[np.int64]
    """Held or to be fetched, as the solver has it."""
    reserved: NDArray[np.int64]
    is_churn_bound: bool
    """Something stays only because no more may be replaced."""


def share_out(site: Site, placed: list[EdgePlacement], valid_s: float) -> list[Share]:
    """For each member of the site. What the solver places at one member is reserved at no other."""
    items = site.items
    is_free = np.ones(len(items), dtype=np.bool_)
    for one in placed:
        is_free[one.chosen] = False
    owner = _owners(site)
    value = _full_values(site, placed)
    return [
        _share(site, column, one, is_free & (owner == column), value[column], valid_s)
        for column, one in enumerate(placed)
    ]


def _share(
    site: Site,
    column: int,
    placed: EdgePlacement,
    is_offered: NDArray[np.bool_],
    value_of_placed: NDArray[np.float64],
    valid_s: float,
) -> Share:
    items, member = site.items, site.members[column]
    held = items.held_bytes[:, column]
    is_placed = np.zeros(len(items), dtype=np.bool_)
    is_placed[placed.chosen] = True
    # What another member is to hold is worth nothing more here, but its bytes are here.
    is_spare = (held > 0) & ~is_offered & ~is_placed
    free = np.flatnonzero(is_offered | is_spare)
    rows = np.concatenate([placed.chosen, free])
    size = items.size_bytes[rows].astype(np.float64)
    held_share = held[free] / items.size_bytes[free]
    days = valid_s / DAY_S
    density = items.value_bytes[free] / items.size_bytes[free] / days
    kept = density * held_share + reserved_density(density) * (1.0 - held_share)
    kept[is_spare[free]] = 0.0
    worth = np.concatenate([value_of_placed / size[: len(placed.chosen)] / days, kept])
    order = np.lexsort((rows, -worth))
    is_in = _best(items, rows[order[worth[order] > 0.0]], member.storage_bytes)
    is_churn_bound = member.churn_bytes is not None and int(held[~is_in].sum()) > member.churn_bytes
    if is_churn_bound:
        assert member.churn_bytes is not None
        must_stay = _must_stay(items, held, rows[order], member.churn_bytes)
        is_first = must_stay[rows[order]]
        is_wanted = ~is_first & (worth[order] > 0.0)
        first = rows[order[is_first]]
        # What is held in part needs room for all of it: where that is short, most bytes stay so.
        first = first[np.argsort(-held[first] / items.size_bytes[first], kind="stable")]
        ranked = np.concatenate([first, rows[order[is_wanted]]])
        is_in = _best(items, ranked, member.storage_bytes)
    return Share(
        placed=placed.chosen[is_in[placed.chosen]],
        reserved=np.flatnonzero(is_in & ~is_placed),
        is_churn_bound=is_churn_bound,
    )


def _best(items: Items, ranked: NDArray[np.int64], storage_bytes: int) -> NDArray[np.bool_]:
    """(item,): the first of these that find room together."""
    fits = np.cumsum(items.size_bytes[ranked]) <= storage_bytes
    is_in = np.zeros(len(items), dtype=np.bool_)
    is_in[ranked[fits]] = True
    # Nothing follows a head that is not there.
    rests = np.flatnonzero(items.part == REST)
    is_in[rests] &= is_in[rests - 1]
    return is_in


def _must_stay(
    items: Items, held: NDArray[np.int64], ranked: NDArray[np.int64], churn_bytes: int
) -> NDArray[np.bool_]:
    """(item,): of what is held, all but what is worth least and may be replaced together."""
    there = ranked[held[ranked] > 0][::-1]
    must_stay = np.zeros(len(held), dtype=np.bool_)
    must_stay[there[np.cumsum(held[there]) > churn_bytes]] = True
    rests = np.flatnonzero(must_stay & (items.part == REST))
    must_stay[rests - 1] = True
    return must_stay


def _full_values(site: Site, placed: list[EdgePlacement]) -> list[NDArray[np.float64]]:
    """What each placed item saves where it is."""
    found = []
    for one in placed:
        steps = np.where(one.copy_no > 1, one.copy_no * (one.copy_no - 1), 1)
        share = np.where(one.copy_no > 1, site.spread[one.chosen] / steps, 1.0)
        found.append(site.items.value_bytes[one.chosen] * share)
    return found


def _owners(site: Site) -> NDArray[np.int64]:  # (item,)
    """The member at which each item is reserved: who holds most of it, else as hashing says."""
    members = site.members
    if len(members) == 1:
        return np.zeros(len(site.items), dtype=np.int64)
    score = scores(
        site.keys, [member.edge for member in members], [member.weight for member in members]
    )
    held = site.items.held_bytes
    owner = np.where((held > 0).any(axis=1), held.argmax(axis=1), score.argmax(axis=1))
    # A rest is where its head is.
    rests = np.flatnonzero(site.items.part == REST)
    owner[rests] = owner[rests - 1]
    found: NDArray[np.int64] = owner.astype(np.int64)
    return found
