"""Which edge should hold what, so that most bytes are saved within every budget.

    maximise    sum of value (edge, item)  -  fill_price x fetched bytes
    where       held bytes <= storage, fetched bytes <= fill cap         for each edge
                fetched bytes of all edges <= `Limits.fill_bytes`

Given a price of a fetched byte, the sites fall apart (`sites.py`) and each edge is a greedy pass
(`knapsack.py`). The price is sought until what all fetch together fits: the edge where
another file saves most gets the bytes, which a budget of its own for each edge would not do. What
each solution is worth against the optimum is told by `bound.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from origin.placement.bound import dual_bound
from origin.placement.few import FILES_MAX, Few
from origin.placement.problem import EdgePlacement, EdgeProblem, Limits, Placement, Site, sites_of
from origin.placement.sites import SiteSolver

PROBES_MAX: Final = 24
NEAR_ENOUGH: Final = 0.002
"""Of the budget of all edges, that may be left over."""
NUDGES_MAX: Final = 8
GAP_MIN: Final = 0.005
"""To the bound; a smaller one is not worth a search."""


def solve(problems: Sequence[EdgeProblem | Site], limits: Limits) -> Placement:
    """The placement; same problems, same answer."""
    solvers = [SiteSolver(site) for site in sites_of(problems)]
    price = _price_of_all(solvers, limits)
    sites = [solver.solve(price) for solver in solvers]
    budget = limits.fill_bytes
    if budget is not None:
        for _ in range(NUDGES_MAX):
            if _fetched(sites) <= budget:
                break
            # The price was found by fewer rounds, and without the small files that fill corners.
            price = price * (1.0 + NEAR_ENOUGH) + 1e-12
            sites = [solver.solve(price, repair=False) for solver in solvers]
        left_bytes = budget - _fetched(sites)
        if left_bytes < 0:
            # Files of one worth that only fit the budget not at all.
            sites = [solver.solve(price, caps=[0] * len(solver.caps)) for solver in solvers]
        elif left_bytes > NEAR_ENOUGH * budget and price > limits.fill_price:
            _spend(solvers, sites, limits, left_bytes)
    found = Placement(edges=tuple(one for site in sites for one in site), fill_price=price)
    # In clusters nothing is searched, and their bound alone costs more than the placement.
    if 0 < sum(len(solver.rows) for solver in solvers if len(solver.caps) == 1) <= FILES_MAX:
        bound = dual_bound([solver.site for solver in solvers], limits, found)
        if bound - found.objective(limits) > GAP_MIN * abs(bound):
            _improve(solvers, sites, limits, price)
            return Placement(edges=tuple(one for site in sites for one in site), fill_price=price)
    return found


def _improve(
    solvers: Sequence[SiteSolver], sites: list[list[EdgePlacement]], limits: Limits, price: float
) -> None:
    """Few files: look beyond the greedy answer of the edges that stand alone."""
    alone = [index for index, solver in enumerate(solvers) if len(solver.caps) == 1]
    caps = sum(sum(solver.caps) for solver in solvers)
    if limits.fill_bytes is None or caps <= limits.fill_bytes:
        # Nothing is shared: each is a problem of its own, and a smaller one.
        for index in alone:
            _improve_together([index], solvers, sites, limits, price, caps)
    elif alone:
        theirs = _fetched([site for site in sites if len(site) > 1])
        _improve_together(alone, solvers, sites, limits, price, limits.fill_bytes - theirs)


def _improve_together(
    alone: Sequence[int],
    solvers: Sequence[SiteSolver],
    sites: list[list[EdgePlacement]],
    limits: Limits,
    price: float,
    common_fill_bytes: int,
) -> None:
    offered = [solvers[index].alone(sites[index][0]) for index in alone]
    starts = np.cumsum([0, *(len(taken) for _, taken in offered)])
    edge = np.repeat(np.arange(len(alone)), np.diff(starts))
    size = np.concatenate([offers.size_bytes for offers, _ in offered])
    fill = np.concatenate([offers.fill_bytes for offers, _ in offered])
    value = np.concatenate([offers.value_bytes for offers, _ in offered])
    after = [
        np.where(offers.after >= 0, offers.after + start, -1)
        for (offers, _), start in zip(offered, starts[:-1], strict=True)
    ]
    few = Few(
        edge=edge,
        size_bytes=size,
        fill_bytes=fill,
        gain=value - limits.fill_price * fill,
        after=np.concatenate(after),
        storage_bytes=[solvers[index].site.members[0].storage_bytes for index in alone],
        edge_fill_bytes=[solvers[index].caps[0] for index in alone],
        common_fill_bytes=common_fill_bytes,
    )
    storage_price = np.array([sites[index][0].storage_price for index in alone])[edge]
    fill_price = np.array([sites[index][0].fill_price for index in alone])[edge]
    costs = storage_price * size + (fill_price + price) * fill
    best = few.best(np.concatenate([taken for _, taken in offered]), costs.tolist())
    for index, start, end in zip(alone, starts[:-1], starts[1:], strict=True):
        sites[index] = [solvers[index].with_rows(sites[index][0], best[start:end])]


def _price_of_all(solvers: Sequence[SiteSolver], limits: Limits) -> float:
    """About the least price from `limits.fill_price` at which all fit their common budget."""
    base, budget = limits.fill_price, limits.fill_bytes
    if budget is None or sum(sum(solver.caps) for solver in solvers) <= budget:
        return base

    def fetched(price: float) -> int:
        return sum(solver.fill_bytes(price) for solver in solvers)

    at_low = fetched(base)
    if at_low <= budget:
        return base
    low, high = base, max(base * 2.0, 1.0)
    at_high = fetched(high)
    for _ in range(PROBES_MAX):
        if at_high <= budget:
            break
        low, at_low, high = high, at_high, high * 4.0
        at_high = fetched(high)
    for number in range(PROBES_MAX):
        if (1.0 - NEAR_ENOUGH) * budget <= at_high <= budget or high - low <= 1e-9 * high:
            break
        # Fetched bytes fall about evenly with the price's logarithm; every third time by half, so
        # that a step in them does not hold the search up.
        share = 0.5
        if number % 3 < 2 and at_low > at_high:
            share = min(0.95, max(0.05, (at_low - budget) / (at_low - at_high)))
        middle = low * (high / low) ** share if low > 0.0 else low + (high - low) * share
        found = fetched(middle)
        if found <= budget:
            high, at_high = middle, found
        else:
            low, at_low = middle, found
    return high


def _spend(
    solvers: Sequence[SiteSolver],
    sites: list[list[EdgePlacement]],
    limits: Limits,
    left_bytes: int,
) -> None:
    """Give what large files left of the common budget to one edge after the other."""
    for index, solver in enumerate(solvers):
        for column in range(len(sites[index])):
            if left_bytes <= 0:
                return
            now = sites[index]
            caps = [one.fill_bytes for one in now]
            caps[column] += left_bytes
            then = solver.solve(limits.fill_price, caps=caps)
            more_bytes = _fetched([then]) - _fetched([now])
            if more_bytes <= left_bytes and _worth(then, limits) > _worth(now, limits):
                # The prices remain those at which the budget was shared out.
                sites[index] = [
                    msgspec.structs.replace(
                        new, storage_price=old.storage_price, fill_price=old.fill_price
                    )
                    for new, old in zip(then, now, strict=True)
                ]
                left_bytes -= more_bytes


def _fetched(sites: Sequence[Sequence[EdgePlacement]]) -> int:
    return sum(one.fill_bytes for site in sites for one in site)


def _worth(site: Sequence[EdgePlacement], limits: Limits) -> float:
    return sum(one.value_bytes - limits.fill_price * one.fill_bytes for one in site)
