"""Small catalogues: the solver against the integer optimum by HiGHS."""

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from nearcast.seeds import Seeds
from origin.placement.files import FileEntry, files_of, increments
from origin.placement.problem import REST, EdgeProblem, Limits
from origin.placement.solver import solve


def small_problem(seed: int) -> tuple[list[EdgeProblem], Limits]:
    draw = Seeds(seed).stream("few")
    count, edges = int(draw.integers(10, 60)), int(draw.integers(1, 4))
    size = (draw.lognormal(14, 1.2, count) + 1000).astype(np.int64)
    total = int(size.sum())
    files = files_of(
        FileEntry(
            title=f"{index:03d}",
            rendition="v",
            manifest="m",
            size_bytes=int(size[index]),
            head_bytes=int(size[index] * draw.uniform(0.02, 0.4)) if draw.random() < 0.6 else 0,
            head_s=60.0,
        )
        for index in range(count)
    )
    problems = []
    for edge in range(edges):
        value = size * draw.zipf(1.5, count).clip(0, 1000) * draw.random(count) * 0.1
        held = np.where(draw.random(count) < 0.2, size, 0)
        problems.append(
            EdgeProblem(
                edge=f"e{edge}",
                items=increments(files, value, value * draw.random(count), held),
                storage_bytes=int(total * draw.uniform(0.05, 0.5)),
                fill_bytes=int(total * draw.uniform(0.02, 0.4)),
            )
        )
    common = int(total * edges * draw.uniform(0.01, 0.3)) if draw.random() < 0.7 else None
    return problems, Limits(fill_bytes=common, fill_price=float(draw.choice([0.0, 0.5, 1.0])))


def best_of_all(problems: list[EdgeProblem], limits: Limits) -> float:
    count = sum(len(problem.items) for problem in problems)
    gains, budgets, rows = np.zeros(count), [], []
    fetched, start = np.zeros(count), 0
    for problem in problems:
        items = problem.items
        at = slice(start, start + len(items))
        start += len(items)
        missing = np.maximum(0, items.size_bytes - items.held_bytes)
        gains[at] = items.value_bytes - limits.fill_price * missing
        fetched[at] = missing
        for weight, budget in (
            (items.size_bytes, problem.storage_bytes),
            (missing, problem.fill_bytes),
        ):
            rows.append(np.zeros(count))
            rows[-1][at] = weight
            budgets.append(float(budget))
        for rest in np.flatnonzero(items.part == REST):
            rows.append(np.zeros(count))
            rows[-1][at.start + rest] = 1.0
            rows[-1][at.start + rest - 1] = -1.0
            budgets.append(0.0)
    if limits.fill_bytes is not None:
        rows.append(fetched)
        budgets.append(float(limits.fill_bytes))
    found = milp(
        -gains,
        constraints=LinearConstraint(np.vstack(rows), ub=np.array(budgets)),
        integrality=np.ones(count),
        bounds=Bounds(0, 1),
        options={"time_limit": 5.0, "mip_rel_gap": 1e-4},
    )
    return -float(found.fun)


@pytest.mark.parametrize("seed", range(25))
def test_small_catalogues_come_near_the_integer_optimum(seed: int) -> None:
    problems, limits = small_problem(seed)
    found = solve(problems, limits)
    best = best_of_all(problems, limits)
    assert 0.985 * best <= found.objective(limits) <= best * (1 + 1e-3) + 1e-6
    for problem, one in zip(problems, found.edges, strict=True):
        assert one.stored_bytes <= problem.storage_bytes
        assert one.fill_bytes <= problem.fill_bytes
    assert limits.fill_bytes is None or found.fill_bytes <= limits.fill_bytes


def test_a_file_that_takes_the_whole_budget_displaces_many_that_are_worth_more_by_the_byte() -> (
    None
):
    files = files_of(
        FileEntry(
            title=name, rendition="v", manifest="m", size_bytes=size, head_bytes=0, head_s=60.0
        )
        for name, size in (("large", 100), ("small", 30))
    )
    items = increments(files, np.array([200.0, 90.0]), np.zeros(2), np.zeros(2, dtype=np.int64))
    problem = EdgeProblem(edge="e", items=items, storage_bytes=100, fill_bytes=100)
    assert solve([problem], Limits()).value_bytes == 200.0
    assert solve([problem], Limits(fill_bytes=100)).value_bytes == 200.0
