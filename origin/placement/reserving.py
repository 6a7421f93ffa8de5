"""Shares out an edge's room between what it holds, what it will fetch, and what it may get to hold.

The solver says what is worth fetching. Far more would be worth keeping once a viewer has pulled it:
the plan names that as well, as reserved places, and an edge fetches nothing for them. All compete
for the same bytes by what they save, held and fetched ones at their full value, the others at what
is left of it after a first miss (`forecast_reserve.py`). So a file that is fetched is dropped again
if the room is better used, and one that is held makes way for one that is wanted far more often.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.hashing import scores
from nearcast.units import DAY_S
from origin.placement.forecast_reserve import reserved_density
from origin.placement.problem import REST, EdgePlacement, Site


class Share(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What an edge of a site has room for; rows of the site's items."""

    placed: NDArray[np.int64]
    """Held or to be fetched, as the solver has it."""
    reserved: NDArray[np.int64]


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
    items = site.items
    free = np.flatnonzero(is_offered)
    rows = np.concatenate([placed.chosen, free])
    size = items.size_bytes[rows].astype(np.float64)
    held_share = items.held_bytes[free, column] / items.size_bytes[free]
    days = valid_s / DAY_S
    density = items.value_bytes[free] / items.size_bytes[free] / days
    kept = density * held_share + reserved_density(density) * (1.0 - held_share)
    worth = np.concatenate([value_of_placed / size[: len(placed.chosen)] / days, kept])
    order = np.lexsort((rows, -worth))
    order = order[worth[order] > 0.0]
    fits = np.cumsum(size[order]) <= site.members[column].storage_bytes
    is_in = np.zeros(len(items), dtype=np.bool_)
    is_in[rows[order[fits]]] = True
    # Nothing follows a head that is not there.
    rests = np.flatnonzero(items.part == REST)
    is_in[rests] &= is_in[rests - 1]
    is_placed = np.zeros(len(items), dtype=np.bool_)
    is_placed[placed.chosen] = True
    return Share(
        placed=placed.chosen[is_in[placed.chosen]],
        reserved=np.flatnonzero(is_in & ~is_placed),
    )


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
