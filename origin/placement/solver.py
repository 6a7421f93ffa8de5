"""Which edge should hold what, so that most bytes are saved within every budget.

    maximise    sum of value (edge, item)  -  fill_price x fetched bytes
    where       held bytes <= storage, fetched bytes <= fill cap         for each edge
                fetched bytes of all edges <= `Limits.fill_bytes`

Given a price of a fetched byte, the sites fall apart (`sites.py`) and each edge is a greedy pass
(`knapsack.py`). The price is sought by halving until what all fetch together fits: the edge where
another file saves most gets the bytes, which a budget of its own for each edge would not do. What
each solution is worth against the optimum is told by `bound.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from origin.placement.problem import EdgeProblem, Limits, Placement, Site, sites_of
from origin.placement.sites import SiteSolver

HALVINGS_MAX: Final = 24
NEAR_ENOUGH: Final = 0.002
"""Of the budget of all edges, that may be left over."""


def solve(problems: Sequence[EdgeProblem | Site], limits: Limits) -> Placement:
    """The placement; same problems, same answer."""
    return solve_sites([SiteSolver(site) for site in sites_of(problems)], limits)


def solve_sites(solvers: Sequence[SiteSolver], limits: Limits) -> Placement:
    price = _price_of_all(solvers, limits)
    edges = [one for solver in solvers for one in solver.solve(price)]
    if limits.fill_bytes is not None and sum(one.fill_bytes for one in edges) > limits.fill_bytes:
        # Room that was used up by smaller files, beyond what was counted on.
        edges = [one for solver in solvers for one in solver.solve(price, repair=False)]
    return Placement(edges=tuple(edges), fill_price=price)


def _price_of_all(solvers: Sequence[SiteSolver], limits: Limits) -> float:
    """The least price from `limits.fill_price` at which all fit their common budget."""
    base = limits.fill_price
    budget = limits.fill_bytes
    if budget is None or sum(sum(solver.caps) for solver in solvers) <= budget:
        return base

    def fetched(price: float) -> int:
        return sum(solver.fill_bytes(price) for solver in solvers)

    if fetched(base) <= budget:
        return base
    low, high = base, max(base * 2.0, 1.0)
    for _ in range(HALVINGS_MAX):
        if fetched(high) <= budget:
            break
        low, high = high, high * 4.0
    for _ in range(HALVINGS_MAX):
        middle = (low + high) / 2.0
        found = fetched(middle)
        low, high = (low, middle) if found <= budget else (middle, high)
        if (1.0 - NEAR_ENOUGH) * budget <= found <= budget:
            break
    return high
