"""How good a placement could be at most, to compare one with.

`dual_bound`: any prices of the budgets bound the optimum from above, since budgets may then be
broken at that price; at the best prices this is the optimum of the relaxed problem. It is computed
from a placement's own prices, and some below, at any scale.

`linear_bound`: the relaxed problem itself (files may be held in part), solved by HiGHS. It needs
scipy, and minutes and gigabytes beyond some 100,000 unknowns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from origin.placement.problem import (
    REST,
    EdgeProblem,
    Limits,
    Placement,
    Site,
    fill_cap_bytes,
    sites_of,
)

FACTORS: Final = (1.0, 0.9, 0.8)
"""Of a site's mean price of a fetched byte, the highest that its members saw."""


def dual_bound(
    problems: Sequence[EdgeProblem | Site], limits: Limits, placement: Placement
) -> float:
    """No placement saves more than this, less the price of what it fetches."""
    total = 0.0
    # The price of all edges is paid by nobody when they have no common budget.
    common = placement.fill_price - limits.fill_price
    if limits.fill_bytes is not None:
        total += common * limits.fill_bytes
    else:
        common = 0.0
    at = 0
    for site in sites_of(problems):
        edges = placement.edges[at : at + len(site.members)]
        at += len(edges)
        storage = np.array([edge.storage_price for edge in edges])
        fill = np.array([edge.fill_price for edge in edges])
        price = limits.fill_price + common
        tries = [(storage, fill)]
        if len(edges) > 1:
            # Files that one member declines go to another, so a byte costs much the same at all.
            even = np.ones(len(edges))
            tries += [(even * storage.mean(), even * fill.mean() * factor) for factor in FACTORS]
        total += min(_site_bound(site, *prices, price) for prices in tries)
    return total


def _site_bound(
    site: Site, storage: NDArray[np.float64], fill: NDArray[np.float64], price: float
) -> float:
    items = site.items
    needed = np.maximum(0, items.size_bytes[:, None] - items.held_bytes)
    cost = storage * items.size_bytes[:, None] + (price + fill) * needed
    cost.sort(axis=1)
    profit = np.zeros(len(items))
    for index in range(len(site.members)):
        number = index + 1
        gain = items.value_bytes
        if number > 1:
            gain = gain * site.spread / (number * (number - 1))
        profit += np.maximum(0.0, gain - cost[:, index])
    # A rest needs its head: what the head loses counts against the rest. Without that the bound
    # holds as well, and is looser.
    budgets = 0.0
    for column, member in enumerate(site.members):
        cap_bytes = fill_cap_bytes(member, int(items.held_bytes[:, column].sum()))
        budgets += storage[column] * member.storage_bytes + fill[column] * cap_bytes
    return float(profit.sum() + budgets)


def linear_bound(problems: Sequence[EdgeProblem | Site], limits: Limits) -> float:
    """The optimum of the relaxed problem. Raises RuntimeError when HiGHS finds none."""
    from scipy.optimize import linprog
    from scipy.sparse import coo_array

    rows: list[NDArray[np.int64]] = []
    columns: list[NDArray[np.int64]] = []
    weights: list[NDArray[np.float64]] = []
    gains: list[NDArray[np.float64]] = []
    budgets: list[float] = []
    fetched: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []

    def constrain(at: NDArray[np.int64], weight: NDArray[np.float64], budget: float) -> None:
        rows.append(np.full(len(at), len(budgets)))
        columns.append(at)
        weights.append(weight)
        budgets.append(budget)

    count = 0
    for site in sites_of(problems):
        items, members = site.items, site.members
        useful = np.flatnonzero(items.value_bytes > 0)
        size = items.size_bytes[useful].astype(np.float64)
        number = len(useful)
        held_at: list[NDArray[np.int64]] = []
        for column, member in enumerate(members):
            at = np.arange(count, count + number)
            count += number
            held_at.append(at)
            needed = np.maximum(0.0, size - items.held_bytes[useful, column])
            gains.append(-limits.fill_price * needed)
            constrain(at, size, member.storage_bytes)
            cap_bytes = fill_cap_bytes(member, int(items.held_bytes[:, column].sum()))
            constrain(at, needed, cap_bytes)
            fetched.append((at, needed))
        if len(members) == 1:
            gains[-1] = gains[-1] + items.value_bytes[useful]
        else:
            # The copies that pay, of which there are no more than are held.
            paid_at: list[NDArray[np.int64]] = []
            for copy_no in range(1, len(members) + 1):
                paid_at.append(np.arange(count, count + number))
                count += number
                gain = items.value_bytes[useful]
                if copy_no > 1:
                    gain = gain * site.spread[useful] / (copy_no * (copy_no - 1))
                gains.append(gain)
            rows.append(np.tile(np.arange(len(budgets), len(budgets) + number), 2 * len(members)))
            columns.append(np.concatenate([*paid_at, *held_at]))
            weights.append(np.repeat([1.0, -1.0], number * len(members)))
            budgets.extend([0.0] * number)
        # A rest is held no more than its head.
        rests = np.flatnonzero(items.part[useful] == REST)
        is_after = useful[rests - 1] == useful[rests] - 1
        for at in held_at:
            rest_at, head_at = at[rests[is_after]], at[rests[is_after] - 1]
            rows.append(np.tile(np.arange(len(budgets), len(budgets) + len(rest_at)), 2))
            columns.append(np.concatenate([rest_at, head_at]))
            weights.append(np.repeat([1.0, -1.0], len(rest_at)))
            budgets.extend([0.0] * len(rest_at))
    if limits.fill_bytes is not None:
        constrain(
            np.concatenate([at for at, _ in fetched]),
            np.concatenate([needed for _, needed in fetched]),
            limits.fill_bytes,
        )
    matrix = coo_array(
        (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))),
        shape=(len(budgets), count),
    ).tocsr()
    found = linprog(
        -np.concatenate(gains), A_ub=matrix, b_ub=np.array(budgets), bounds=(0, 1), method="highs"
    )
    if not found.success:
        raise RuntimeError(f"HiGHS found no bound: {found.message}")
    return -float(found.fun)
