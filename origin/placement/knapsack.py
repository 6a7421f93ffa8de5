"""What one edge should hold of what it is offered: two budgets, one greedy pass.

Without cooperation the relaxed problem is a knapsack with two nested budgets (what is fetched is
also held), so going down by density is optimal but for the last file of each budget: an offer is
taken if both budgets have room, and the ones that are held already go on when the fill budget is
spent. Densities are net of the price of a fetched byte. What the last file leaves free is given to
smaller ones further down.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

REPAIR_OFFERS_MAX: Final = 4_000
"""How far down the list smaller offers are looked for, once a budget is spent."""


class Offers(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What could be held, one row each."""

    size_bytes: NDArray[np.int64]
    fill_bytes: NDArray[np.int64]  # of them, not there yet
    value_bytes: NDArray[np.float64]
    after: NDArray[np.int64]  # row that must be taken before this one, or -1
    reluctance: NDArray[np.float64]  # share of the value that does not count in the ranking

    def density(self, fill_price: float) -> NDArray[np.float64]:
        counted = self.value_bytes * (1.0 - self.reluctance)
        return (counted - fill_price * self.fill_bytes) / self.size_bytes


class Taken(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    rows: NDArray[np.bool_]  # (offer,)
    storage_price: float
    fill_price: float


def take(
    offers: Offers, storage_bytes: int, fill_bytes: int, price: float, *, repair: bool = True
) -> Taken:
    """What to hold. Offers that bring nothing after `price` per fetched byte are left."""
    density = offers.density(price)
    order = np.flatnonzero(density > 0.0)
    order = order[np.argsort(-density[order], kind="stable")]
    fills = offers.fill_bytes[order]
    fits_fill = np.cumsum(fills) <= fill_bytes
    fits_fill |= fills == 0
    open_rows = order[fits_fill]
    fits = np.cumsum(offers.size_bytes[open_rows]) <= storage_bytes
    taken = np.zeros(len(density), dtype=np.bool_)
    taken[open_rows[fits]] = True
    _leave_orphans(offers, taken)
    storage_price, fill_price = _prices(density, order, fits_fill, open_rows, fits)
    if repair:
        _use_what_is_left(offers, order, taken, storage_bytes, fill_bytes)
    return Taken(rows=taken, storage_price=storage_price, fill_price=fill_price)


def _prices(
    density: NDArray[np.float64],
    order: NDArray[np.int64],
    fits_fill: NDArray[np.bool_],
    open_rows: NDArray[np.int64],
    fits: NDArray[np.bool_],
) -> tuple[float, float]:
    """Of a byte held, and of one fetched beyond that: the densities at which the budgets ended."""
    storage_price = 0.0 if fits.all() else float(density[open_rows[np.argmin(fits)]])
    if fits_fill.all():
        return storage_price, 0.0
    first_unfilled = float(density[order[np.argmin(fits_fill)]])
    return storage_price, max(0.0, first_unfilled - storage_price)


def _leave_orphans(offers: Offers, taken: NDArray[np.bool_]) -> None:
    """Give back what was taken without what must come before it."""
    after = offers.after
    taken &= (after < 0) | taken[after]


def _use_what_is_left(
    offers: Offers,
    order: NDArray[np.int64],
    taken: NDArray[np.bool_],
    storage_bytes: int,
    fill_bytes: int,
) -> None:
    storage_left = storage_bytes - int(offers.size_bytes[taken].sum())
    fill_left = fill_bytes - int(offers.fill_bytes[taken].sum())
    sizes, fills = offers.size_bytes[order], offers.fill_bytes[order]
    may_fit = ~taken[order] & (sizes <= storage_left) & (fills <= fill_left)
    for row in order[may_fit][:REPAIR_OFFERS_MAX].tolist():
        size, fill, after = offers.size_bytes[row], offers.fill_bytes[row], offers.after[row]
        if size <= storage_left and fill <= fill_left and (after < 0 or taken[after]):
            taken[row] = True
            storage_left -= int(size)
            fill_left -= int(fill)
