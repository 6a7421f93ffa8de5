"""Placement under budgets: against brute force and a linear programme."""

import itertools

import numpy as np
import pytest

from nearcast.hashing import keys_of
from nearcast.seeds import Seeds
from origin.placement.bound import dual_bound, linear_bound
from origin.placement.problem import (
    HEAD,
    REST,
    WHOLE,
    EdgeProblem,
    Items,
    Limits,
    Member,
    Placement,
    Site,
    copy_value,
    spread_of,
)
from origin.placement.solver import solve


def whole_items(size: list[int], value: list[float], held: list[int]) -> Items:
    count = len(size)
    return Items(
        file_index=np.arange(count),
        part=np.full(count, WHOLE, dtype=np.int8),
        size_bytes=np.array(size),
        value_bytes=np.array(value, dtype=np.float64),
        held_bytes=np.array(held),
    )


def alone(items: Items, storage: int, fill: int, churn: int | None = None) -> EdgeProblem:
    return EdgeProblem(
        edge="e", items=items, storage_bytes=storage, fill_bytes=fill, churn_bytes=churn
    )


def chosen(placement: Placement, edge: int = 0) -> list[int]:
    return sorted(placement.edges[edge].chosen.tolist())


def best_by_hand(problem: EdgeProblem, fill_price: float) -> float:
    items, best = problem.items, 0.0
    for count in range(len(items) + 1):
        for rows in itertools.combinations(range(len(items)), count):
            at = list(rows)
            fill = int((items.size_bytes[at] - items.held_bytes[at]).sum())
            if items.size_bytes[at].sum() <= problem.storage_bytes and fill <= problem.fill_bytes:
                best = max(best, float(items.value_bytes[at].sum()) - fill_price * fill)
    return best


def test_what_is_held_stays_when_the_fill_budget_is_spent() -> None:
    items = whole_items([10, 10, 10, 10], [100, 90, 80, 10], [0, 0, 0, 10])
    found = solve([alone(items, storage=30, fill=20)], Limits())
    assert chosen(found) == [0, 1, 3]
    assert found.edges[0].fill_bytes == 20
    assert found.edges[0].kept_count == 1
    assert found.edges[0].chosen.tolist() == [3, 0, 1]  # kept, then fetched by density


def test_a_file_must_bring_more_than_fetching_it_costs() -> None:
    items = whole_items([10, 10], [15, 25], [0, 0])
    assert chosen(solve([alone(items, 100, 100)], Limits(fill_price=2.0))) == [1]
    assert chosen(solve([alone(items, 100, 100)], Limits(fill_price=1.0))) == [0, 1]


def test_the_churn_cap_limits_what_is_replaced_and_not_what_fills_free_room() -> None:
    items = whole_items([10, 10, 10, 10], [1, 2, 100, 90], [10, 10, 0, 0])
    assert chosen(solve([alone(items, 30, 100, churn=0)], Limits())) == [0, 1, 2]
    assert chosen(solve([alone(items, 30, 100, churn=10)], Limits())) == [1, 2, 3]


def test_a_rest_comes_only_with_its_head() -> None:
    items = Items(
        file_index=np.array([0, 0, 1]),
        part=np.array([HEAD, REST, WHOLE], dtype=np.int8),
        size_bytes=np.array([10, 40, 45]),
        value_bytes=np.array([100.0, 80.0, 3000.0]),
        held_bytes=np.array([0, 0, 0]),
    )
    # The head does not fit beside the dense file; its rest, which would, is no use alone.
    assert chosen(solve([alone(items, 54, 1000)], Limits())) == [2]
    assert chosen(solve([alone(items, 60, 1000)], Limits())) == [0, 2]
    assert chosen(solve([alone(items, 100, 1000)], Limits())) == [0, 1, 2]


def test_small_problems_come_near_the_best_there_is() -> None:
    draw = Seeds(5).stream("small")
    for _ in range(20):
        size = draw.integers(5, 20, size=9)
        held = np.where(draw.random(9) < 0.4, size, 0)
        items = whole_items(size.tolist(), (size * draw.lognormal(0, 1, 9)).tolist(), held.tolist())
        problem = alone(items, int(size.sum() * 0.5), int(size.sum() * 0.25))
        limits = Limits(fill_price=0.3)
        found, best = solve([problem], limits), best_by_hand(problem, 0.3)
        largest = float(items.value_bytes.max())
        # Greedy misses at most the last file of each of the two budgets.
        assert best - 2 * largest <= found.objective(limits) <= best + 1e-9
        assert linear_bound([problem], limits) >= best - 1e-6
        assert dual_bound([problem], limits, found) >= best - 1e-6


def many(edge_count: int, file_count: int, seed: int = 1) -> list[EdgeProblem]:
    draw = Seeds(seed).stream("many")
    size = draw.lognormal(15, 1, file_count).astype(np.int64)
    popular = 1.0 / (1.0 + draw.permutation(file_count)) ** 0.8
    storage = int(size.sum() * 0.05)
    problems = []
    for index in range(edge_count):
        was, value = (popular * draw.lognormal(0, 1, file_count) * 1e9 for _ in range(2))
        order = np.argsort(-was / size)
        kept = order[np.cumsum(size[order]) <= storage]
        held = np.zeros(file_count, dtype=np.int64)
        held[kept] = size[kept]
        problems.append(
            EdgeProblem(
                edge=f"e{index}",
                items=whole_items(size.tolist(), value.tolist(), held.tolist()),
                storage_bytes=storage,
                fill_bytes=int(storage * draw.uniform(0.05, 0.3)),
            )
        )
    return problems


def test_a_budget_of_all_edges_goes_where_it_saves_most() -> None:
    problems = many(4, 1_000)
    budget = sum(problem.storage_bytes for problem in problems) // 20
    limits = Limits(fill_bytes=budget, fill_price=0.1)
    found = solve(problems, limits)
    assert 0.9 * budget <= found.fill_bytes <= budget
    assert found.objective(limits) >= 0.99 * linear_bound(problems, limits)
    # A fourth of it for each is worse.
    shared = [
        capped(problem, fill_bytes=min(problem.fill_bytes, budget // 4)) for problem in problems
    ]
    assert solve(shared, Limits(fill_price=0.1)).objective(limits) < found.objective(limits)


def capped(problem: EdgeProblem, *, fill_bytes: int) -> EdgeProblem:
    return EdgeProblem(
        edge=problem.edge,
        items=problem.items,
        storage_bytes=problem.storage_bytes,
        fill_bytes=fill_bytes,
    )


def site_of(weights: list[float], file_count: int, seed: int, names: list[str]) -> Site:
    draw = Seeds(seed).stream("site")
    size = draw.integers(8_000, 12_000, file_count)
    value = (1e8 / (1.0 + draw.permutation(file_count)) ** 0.8).astype(np.float64)
    share = size.sum() * 0.3 / sum(weights)
    return Site(
        members=tuple(
            Member(edge=name, storage_bytes=int(share * weight), fill_bytes=10**12, weight=weight)
            for name, weight in zip(names, weights, strict=True)
        ),
        items=Items(
            file_index=np.arange(file_count),
            part=np.full(file_count, WHOLE, dtype=np.int8),
            size_bytes=size,
            value_bytes=value,
            held_bytes=np.zeros((file_count, len(weights)), dtype=np.int64),
        ),
        keys=keys_of([str(index) for index in range(file_count)]),
        spread=spread_of(value, 2e8, 1.0),
    )


EIGHT = [f"edge{index}" for index in range(8)]


def without(site: Site, placement: Placement, gone: int) -> Site:
    """The site after one edge has left; the others hold what was placed."""
    held = np.zeros(site.items.held_bytes.shape, dtype=np.int64)
    for column, edge in enumerate(placement.edges):
        held[edge.chosen, column] = site.items.size_bytes[edge.chosen]
    stay = [column for column in range(len(site.members)) if column != gone]
    items = site.items
    return Site(
        members=tuple(site.members[column] for column in stay),
        items=Items(
            file_index=items.file_index,
            part=items.part,
            size_bytes=items.size_bytes,
            value_bytes=items.value_bytes,
            held_bytes=held[:, stay],
        ),
        keys=site.keys,
        spread=site.spread,
    )


@pytest.mark.parametrize("weights", [[1.0] * 8, [0.5, 0.5, 1.0, 1.0, 1.0, 1.0, 2.0, 3.0]])
@pytest.mark.parametrize("gone", [0, 4, 7])
@pytest.mark.parametrize("file_count", [500, 1_500])
def test_an_edge_that_leaves_moves_little_more_than_it_held(
    weights: list[float], gone: int, file_count: int
) -> None:
    site = site_of(weights, file_count, 3, EIGHT)
    before = solve([site], Limits())
    after = solve([without(site, before, gone)], Limits())
    stored = sum(edge.stored_bytes for edge in before.edges)
    share = weights[gone] / sum(weights)
    assert after.fill_bytes <= 1.2 * share * stored


def test_hot_files_have_copies_and_rare_ones_have_one() -> None:
    site = site_of([1.0] * 8, 1_000, 3, EIGHT)
    found = solve([site], Limits())
    copies = np.zeros(1_000, dtype=int)
    for edge in found.edges:
        copies[edge.chosen] += 1
    by_value = np.argsort(-site.items.value_bytes)
    assert copies[by_value[0]] >= 5
    assert copies[by_value[:3]].min() >= 3
    assert copies[by_value[100:]].max() <= 1
    # The copies of a file fall with its demand.
    held = copies[by_value][copies[by_value] > 0]
    assert np.corrcoef(held, np.arange(len(held)))[0, 1] < 0


def test_members_of_a_site_get_the_share_of_their_weight_and_the_site_comes_near_its_bound() -> (
    None
):
    site = site_of([1.0, 1.0, 2.0, 4.0], 1_000, 4, EIGHT[:4])
    limits = Limits()
    found = solve([site], limits)
    for member, edge in zip(site.members, found.edges, strict=True):
        assert 0.97 * member.storage_bytes <= edge.stored_bytes <= member.storage_bytes
    assert found.objective(limits) >= 0.99 * dual_bound([site], limits, found)


def test_further_copies_add_less_and_less() -> None:
    gains = [copy_value(100.0, 0.5, number) for number in range(1, 6)]
    assert gains == sorted(gains, reverse=True)
    assert sum(gains) == pytest.approx(100.0 * (1 + 0.5 * (1 - 1 / 5)))


def test_same_problem_same_answer() -> None:
    one, two = (solve(many(3, 500), Limits(fill_price=0.2)) for _ in range(2))
    for a, b in zip(one.edges, two.edges, strict=True):
        assert a.chosen.tolist() == b.chosen.tolist()
