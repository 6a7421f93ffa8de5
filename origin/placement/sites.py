"""Which member of a site holds which copy of what: proposals in the order of rendezvous hashing.

Copies of an item propose to the members in the item's order: first those that hold it already,
then by weighted rendezvous hashing. A member takes the best of what is proposed to it
(`knapsack.take`); what it declines goes on to the next member, as an earlier copy if the one before
it found no place. So items are where hashing says but for what one member has no room for, and
when a member leaves, only what it held moves, and the little that this displaces.

A member is asked again for an item it declined only as an earlier copy, which is worth more; so
what each member has declined only grows, and the rounds end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.hashing import scores
from origin.placement.knapsack import Offers, Taken, take
from origin.placement.problem import HEAD, REST, EdgePlacement, Site, fill_cap_bytes

ROUNDS_MAX: Final = 24
"""Then proposals that are still declined find no place; what is left to gain is a few files."""
FEW_ROUNDS: Final = 4
"""Enough to see what a price does."""
COPIES_MAX: Final = 32
FEW_ITEMS: Final = 1_000
RELUCTANCE: Final = 0.35
"""A file that a member holds moves to another only where it is worth so much more than what it
displaces. Without that, an edge of eight that leaves moves up to 1.5 times what it held: each file
that finds a new place displaces one, which finds another's. With .2 one of eight small stores (20
files each) moved up to 1.43 times that, with .35 up to 1.2, and a thousandth less is saved; .5 is
no better."""
SLACK: Final = 1.6
"""How many times the site's storage is put up for proposals: hashing fills no two members alike."""


class SiteSolver:
    """One site, to be solved at several prices of a fetched byte."""

    def __init__(self, site: Site) -> None:
        self.site = site
        items = site.items
        held = items.held_bytes
        self.caps = [
            fill_cap_bytes(member, int(held[:, column].sum()))
            for column, member in enumerate(site.members)
        ]
        self.rows = self._shortlist()
        self._size = items.size_bytes[self.rows]
        self._value = items.value_bytes[self.rows]
        self._fill = np.maximum(0, self._size[:, None] - held[self.rows])
        self._is_held = (self._fill == 0).any(axis=1)
        self._spread = site.spread[self.rows]
        self._order = self._members_in_order()
        self._after = _heads(items.part[self.rows])

    def solve(
        self, price: float, *, repair: bool = True, caps: Sequence[int] | None = None
    ) -> list[EdgePlacement]:
        """The placement of each member, at a price of a fetched byte; `caps`: what each may fetch,
        where that is less than its own cap."""
        copies, taken = self._propose(price, repair=repair, caps=caps)
        return [
            self._placement(column, copies[:, column], taken[column])
            for column in range(len(self.site.members))
        ]

    def with_rows(self, old: EdgePlacement, rows: NDArray[np.bool_]) -> EdgePlacement:
        """Of an edge that stands alone: these rows of the shortlist, at the prices of `old`."""
        taken = Taken(rows=rows, storage_price=old.storage_price, fill_price=old.fill_price)
        return self._placement(0, np.ones(len(self.rows), dtype=np.int64), taken)

    def alone(self, old: EdgePlacement) -> tuple[Offers, NDArray[np.bool_]]:
        """What an edge that stands alone is offered, and which of it `old` has."""
        every = np.arange(len(self.rows))
        return self._offers(0, every, np.ones_like(every)), np.isin(self.rows, old.chosen)

    def fill_bytes(self, price: float) -> int:
        """About what all members would fetch at this price."""
        copies, taken = self._propose(price, repair=False, rounds=FEW_ROUNDS)
        return sum(
            int(self._fill[np.flatnonzero(copies[:, column])[one.rows], column].sum())
            for column, one in enumerate(taken)
        )

    def _shortlist(self) -> NDArray[np.int64]:
        """Items that could find a place, in their order; a rest stays with its head."""
        site, items = self.site, self.site.items
        density = items.value_bytes / items.size_bytes
        storage_bytes = sum(member.storage_bytes for member in site.members)
        cap_bytes = sum(self.caps)
        held = items.held_bytes.max(axis=1)
        # New ones as far as all budgets reach, whatever the prices; held ones as far as the store.
        # Where there are few files, a large one may take what smaller ones leave of a budget.
        keep = (density > 0) & (len(items) <= FEW_ITEMS)
        for rows, budget_bytes in (
            (np.flatnonzero((held > 0) & (density > 0)), storage_bytes),
            (np.flatnonzero((held == 0) & (density > 0)), min(storage_bytes, cap_bytes)),
        ):
            ordered = rows[np.argsort(-density[rows], kind="stable")]
            before = np.cumsum(items.size_bytes[ordered]) - items.size_bytes[ordered]
            keep[ordered[before <= SLACK * budget_bytes]] = True
        rests = np.flatnonzero(items.part == REST)
        keep[rests[keep[rests]] - 1] = True
        return np.flatnonzero(keep)

    def _members_in_order(self) -> NDArray[np.int64]:  # (row, rank) -> member
        members = self.site.members
        if len(members) == 1:
            return np.zeros((len(self.rows), 1), dtype=np.int64)
        score = scores(
            self.site.keys[self.rows],
            [member.edge for member in members],
            [member.weight for member in members],
        )
        is_new = self.site.items.held_bytes[self.rows] == 0
        return np.lexsort((-score, is_new), axis=1)

    def _propose(
        self,
        price: float,
        *,
        repair: bool,
        caps: Sequence[int] | None = None,
        rounds: int = ROUNDS_MAX,
    ) -> tuple[NDArray[np.int64], list[Taken]]:  # copies: (row, member), 0: not proposed
        members = self.site.members
        count = len(members)
        if caps is None:
            caps = self.caps
        # In the last round little or nothing is declined: what a byte costs shows in those before.
        storage_price, fill_price = [0.0] * count, [0.0] * count
        # The latest copy of each item that each member would still look at.
        level = np.full((len(self.rows), count), min(COPIES_MAX, count), dtype=np.int64)
        for round_no in range(1, rounds + 1):
            copies = self._copies(level)
            is_last = count == 1 or round_no == rounds
            taken, declined = [], False
            for column, member in enumerate(members):
                rows = np.flatnonzero(copies[:, column])
                one = take(
                    self._offers(column, rows, copies[rows, column]),
                    member.storage_bytes,
                    min(caps[column], self.caps[column]),
                    price,
                    repair=repair,
                )
                storage_price[column] = max(storage_price[column], one.storage_price)
                fill_price[column] = max(fill_price[column], one.fill_price)
                taken.append(one)
                refused = rows[~one.rows]
                level[refused, column] = copies[refused, column] - 1
                declined = declined or bool(len(refused))
            if is_last or not declined:
                break
        priced = [
            msgspec.structs.replace(one, storage_price=held, fill_price=fetched)
            for one, held, fetched in zip(taken, storage_price, fill_price, strict=True)
        ]
        return copies, priced

    def _copies(self, level: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which copy of each item is proposed to which member."""
        count = level.shape[1]
        copies = np.zeros_like(level)
        next_no = np.ones(len(self.rows), dtype=np.int64)
        # Further copies without worth would only be declined.
        last_no = np.where(self._spread > 0.0, min(COPIES_MAX, count), 1)
        rows = np.arange(len(self.rows))
        for rank in range(count):
            member = self._order[:, rank]
            proposes = (next_no <= level[rows, member]) & (next_no <= last_no)
            copies[rows[proposes], member[proposes]] = next_no[proposes]
            next_no += proposes
        return copies

    def _offers(self, column: int, rows: NDArray[np.int64], copy_no: NDArray[np.int64]) -> Offers:
        place = np.full(len(self.rows) + 1, -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        value = self._value[rows]
        later = copy_no > 1
        steps = np.where(later, copy_no * (copy_no - 1), 1)
        value = np.where(later, value * self._spread[rows] / steps, value)
        after = place[self._after[rows]]  # -1 looks at the last place, which is none
        # A rest whose head was not proposed to this member has nothing to follow here.
        value = np.where((self._after[rows] >= 0) & (after < 0), 0.0, value)
        return Offers(
            size_bytes=self._size[rows],
            fill_bytes=self._fill[rows, column],
            value_bytes=value,
            after=after,
            reluctance=np.where(
                self._is_held[rows] & (self._fill[rows, column] > 0), RELUCTANCE, 0.0
            ),
        )

    def _placement(self, column: int, copies: NDArray[np.int64], taken: Taken) -> EdgePlacement:
        proposed = np.flatnonzero(copies)
        offers = self._offers(column, proposed, copies[proposed])
        fill, value = offers.fill_bytes, offers.value_bytes
        chosen = np.flatnonzero(taken.rows)
        is_fill = fill[chosen] > 0
        worth = value[chosen] / np.where(is_fill, fill[chosen], offers.size_bytes[chosen])
        order = chosen[np.lexsort((chosen, -worth, is_fill))]
        return EdgePlacement(
            edge=self.site.members[column].edge,
            chosen=self.rows[proposed[order]],
            copy_no=copies[proposed[order]],
            kept_count=int((~is_fill).sum()),
            stored_bytes=int(offers.size_bytes[chosen].sum()),
            fill_bytes=int(fill[chosen].sum()),
            value_bytes=float(value[chosen].sum()),
            storage_price=taken.storage_price,
            fill_price=taken.fill_price,
        )


def _heads(part: NDArray[np.int8]) -> NDArray[np.int64]:
    """For each row the row of its head, or -1."""
    found = np.full(len(part), -1, dtype=np.int64)
    rests = np.flatnonzero(part == REST)
    assert (part[rests - 1] == HEAD).all()
    found[rests] = rests - 1
    return found
