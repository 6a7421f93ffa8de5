"""The value of plans against a plain recursion without a grid."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import msgspec
import numpy as np
import pytest

from abr.controllers.nearcast import induction
from abr.controllers.nearcast.induction import (
    Prices,
    Scratch,
    Singles,
    Steps,
    Values,
    outcomes,
    solve,
    transfer_s,
)

CHANCE = np.array([[0.6, 0.3, 0.1], [0.25, 0.5, 0.25], [0.1, 0.3, 0.6]], np.float32)
PRICES = Prices(
    stall=4.0,
    switch=1.0,
    buffer_share=0.6,
    change_share=0.7,
    reserve_s=1.5,
    reserve_decay_s=6.0,
    patience_s=4.0,
    giving_up_s=1.0,
)


def some_steps(
    *, seed: int = 1, rungs: int = 3, steps: int = 3, n: int = 2, is_end: bool = False
) -> Steps:
    draw = np.random.default_rng(seed)
    rates = np.cumsum(draw.uniform(0.4, 2.0, rungs)).astype(np.float32)
    bps = np.sort(draw.lognormal(14.3, 0.9, (3, 1, n, steps)), axis=0)
    return Steps(
        rates=rates,
        durations_s=np.full((n, steps), 4.0, np.float32),
        bits=(rates[:, None, None] * 4e6 * draw.uniform(0.7, 1.4, (1, n, steps))).astype("f4"),
        bps=bps.astype(np.float32),
        later_bps=np.maximum(bps, bps.mean(axis=0)).astype(np.float32),
        latency_s=np.array([0.05, 0.2], np.float32)[:n],
        limit_s=np.array([25.0, 14.0], np.float32)[:n],
        is_end=is_end,
    )


class Plainly:
    """One session's plans, by recursion: no arrays, no grid."""

    def __init__(self, steps: Steps, prices: Prices, row: int) -> None:
        self.rates: list[float] = steps.rates.tolist()
        self.prices = prices
        self.count = steps.durations_s.shape[1]
        self.duration_s: list[float] = steps.durations_s[row].tolist()
        self.bits: list[list[float]] = steps.bits[:, row].tolist()
        self.bps: list[list[float]] = steps.bps[:, 0, row].tolist()
        self.later_bps: list[list[float]] = steps.later_bps[:, 0, row].tolist()
        self.latency_s = float(steps.latency_s[row])
        self.limit_s = float(steps.limit_s[row])
        self.is_end = steps.is_end
        self.best: Callable[[int, int, int, float], float] = cache(self._best)

    def took_s(self, step: int, rung: int, level: int, patience_s: float) -> float:
        left_bits, bps = self.bits[rung][step], self.bps[level][step]
        quick_s = left_bits / bps
        if quick_s <= patience_s:
            return quick_s
        return min(patience_s + (left_bits - bps * patience_s) / self.later_bps[level][step], 2e3)

    def follows(self, step: int, rung: int, level: int, buffer_s: float, took_s: float) -> float:
        after_s = max(buffer_s - took_s, 0.0) + self.duration_s[step]
        stalled_s = max(took_s - buffer_s, 0.0)
        return self.best(step + 1, rung, level, after_s) - self.prices.stall * stalled_s

    def earned(self, step: int, rung: int, level: int, buffer_s: float) -> float:
        prices, rates = self.prices, self.rates
        buffer_s = min(buffer_s, max(self.limit_s - self.duration_s[step], 0.0))
        took_s = self.took_s(step, rung, level, prices.patience_s) + self.latency_s
        going_on = rates[rung] + self.follows(step, rung, level, buffer_s, took_s)
        rest_s = max(prices.patience_s - prices.giving_up_s, 0.0)
        again_s = prices.giving_up_s + self.took_s(step, 0, level, rest_s) + self.latency_s
        if len(rates) == 1 or took_s <= again_s:
            return going_on
        giving_up = rates[0] + self.follows(step, 0, level, buffer_s, again_s)
        return max(going_on, giving_up - prices.switch * (rates[rung] - rates[0]))

    def _best(self, step: int, before: int, level: int, buffer_s: float) -> float:
        """With the rung and the level of the step before."""
        if step == self.count:
            return self._end(before, level, buffer_s)
        worth = []
        for rung, rate in enumerate(self.rates):
            expected = sum(
                float(CHANCE[level, each]) * self.earned(step, rung, each, buffer_s)
                for each in range(3)
            )
            worth.append(expected - self.prices.switch * abs(rate - self.rates[before]))
        return max(worth)

    def _end(self, rung: int, level: int, buffer_s: float) -> float:
        if self.is_end:
            return 0.0
        prices = self.prices
        usable = min(self.bps[level][-1] / 1e6, self.rates[-1])
        reserve = prices.stall * prices.reserve_s * np.exp(-buffer_s / prices.reserve_decay_s)
        change = prices.change_share * prices.switch * abs(self.rates[rung] - usable)
        worth = prices.buffer_share * usable / self.duration_s[-1] * buffer_s
        return worth - change - float(reserve)


def planned(steps: Steps, prices: Prices, buffer_s: float) -> Singles:
    """(rungs, levels, n)"""
    scratch = Scratch()
    after = solve(steps, [CHANCE] * 8, prices, scratch)
    held_s = np.full((steps.limit_s.size, 1), buffer_s, np.float32)
    return outcomes(steps, 0, after, held_s, prices, scratch)[..., 0].copy()


def by_recursion(steps: Steps, prices: Prices, buffer_s: float) -> Singles:
    out = np.empty((steps.rates.size, 3, steps.limit_s.size), np.float32)
    for row in range(steps.limit_s.size):
        plain = Plainly(steps, prices, row)
        for rung in range(steps.rates.size):
            for level in range(3):
                out[rung, level, row] = plain.earned(0, rung, level, buffer_s)
    return out


@pytest.mark.parametrize("is_end", [False, True])
@pytest.mark.parametrize("buffer_s", [0.0, 3.0, 9.5, 25.0])
def test_plans_are_worth_what_a_recursion_finds(
    monkeypatch: pytest.MonkeyPatch, is_end: bool, buffer_s: float
) -> None:
    monkeypatch.setattr(induction, "BUFFER_COUNT", 500)
    steps = some_steps(is_end=is_end)
    found = planned(steps, PRICES, buffer_s)
    assert found == pytest.approx(by_recursion(steps, PRICES, buffer_s), abs=0.01)


@pytest.mark.parametrize("seed", range(6))
def test_grid_in_use_costs_little_where_it_decides(seed: int) -> None:
    weights = [0.3, 0.4, 0.3]
    steps = some_steps(seed=seed, rungs=4)
    for buffer_s in (0.5, 2.0, 6.0, 15.0):
        found = planned(steps, PRICES, buffer_s)
        exact = by_recursion(steps, PRICES, buffer_s)
        assert np.abs(found - exact).max() < 1.0  # of values that spread over tens of Mbit/s
        rung = np.einsum("rln,l->rn", found, weights).argmax(axis=0)
        worth = np.einsum("rln,l->rn", exact, weights)
        lost = worth.max(axis=0) - worth[rung, np.arange(2)]
        assert lost.max() < 0.1  # Mbit/s of one segment


@pytest.mark.parametrize(
    "change",
    [
        {"stall": 20.0},
        {"switch": 0.0},
        {"switch": 5.0},
        {"patience_s": 0.5},
        {"patience_s": 1000.0},
        {"giving_up_s": 0.0},
        {"giving_up_s": 30.0},
        {"reserve_s": 0.0, "buffer_share": 0.0},
        {"change_share": 0.0},
    ],
)
def test_each_price_means_the_same_as_in_the_recursion(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, float]
) -> None:
    monkeypatch.setattr(induction, "BUFFER_COUNT", 500)
    prices = msgspec.structs.replace(PRICES, **change)
    steps = some_steps(seed=2, n=1)
    as_before = planned(steps, PRICES, 5.0)
    found = planned(steps, prices, 5.0)
    assert found == pytest.approx(by_recursion(steps, prices, 5.0), abs=0.02)
    assert np.abs(found - as_before).max() > 0.02


def test_lone_rung_and_lone_step_are_planned_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(induction, "BUFFER_COUNT", 500)
    for rungs, steps in ((1, 3), (3, 1)):
        made = some_steps(rungs=rungs, steps=steps)
        assert planned(made, PRICES, 4.0) == pytest.approx(
            by_recursion(made, PRICES, 4.0), abs=0.01
        )


def test_nothing_follows_a_last_segment() -> None:
    steps = some_steps(steps=1, is_end=True)
    assert solve(steps, [CHANCE] * 8, PRICES) is None
    scratch_free = outcomes(steps, 0, None, np.full((2, 1), 1e3, np.float32), PRICES)
    room = np.maximum(steps.limit_s - 4.0, 0)
    assert (scratch_free[:, :, :, 0] <= steps.rates[:, None, None] + 1e-5).all()
    assert room.min() > 0


def test_memory_that_was_used_for_other_shapes_changes_nothing() -> None:
    scratch, sizes = Scratch(), [(3, 2), (2, 1), (3, 1), (3, 2)]
    for rungs, n in sizes:
        steps = some_steps(rungs=rungs, n=n)
        held_s = np.full((n, 1), 7.0, np.float32)
        kept = solve(steps, [CHANCE] * 8, PRICES, scratch)
        again = outcomes(steps, 0, kept, held_s, PRICES, scratch)
        fresh = outcomes(steps, 0, solve(steps, [CHANCE] * 8, PRICES), held_s, PRICES)
        assert again.tolist() == fresh.tolist()


def test_values_are_read_at_the_grid_exactly_and_between_in_proportion() -> None:
    draw = np.random.default_rng(3)
    values = draw.normal(size=(2, 3, 2, induction.BUFFER_COUNT)).astype(np.float32)
    limit_s = np.array([25.0, 16.0], np.float32)
    kept = Values(values, limit_s, Scratch(), "values")
    place = np.array([0.0, 1.0, 7.0, 7.5, 14.25, 15.0])
    buffer_s = ((place / 15) ** 2 * limit_s[:, None]).astype(np.float32)
    at = np.ascontiguousarray(np.broadcast_to(buffer_s, (2, 3, 2, place.size)))
    low = np.minimum(place.astype(int), 14)
    share = place - low
    expected = values[..., low] * (1 - share) + values[..., low + 1] * share
    assert kept.at(at.copy(), Scratch()) == pytest.approx(expected, abs=1e-4)
    past_it = np.full_like(at, 100.0)
    last = np.broadcast_to(values[..., -1:], past_it.shape)
    assert kept.at(past_it, Scratch()) == pytest.approx(last)


@pytest.mark.parametrize(
    ("bits", "expected_s"),
    [(1e6, 1.0), (4e6, 4.0), (6e6, 4.0 + 1.0), (1e12, induction.TRANSFER_S_MAX)],
)
def test_patience_ends_and_the_rest_comes_at_what_follows(bits: float, expected_s: float) -> None:
    assert float(transfer_s(bits, 1e6, 2e6, 4.0)) == pytest.approx(expected_s)


def chosen(stall: float, switch: float = 1.0) -> float:
    """The mean rate of the best first rungs of many sessions, from the middle rung."""
    draw = np.random.default_rng(9)
    rates = []
    for seed in range(40):
        steps = some_steps(seed=seed, rungs=4, n=2)
        prices = msgspec.structs.replace(PRICES, stall=stall, switch=switch, change_share=0.0)
        buffer_s = float(draw.uniform(0, 12))
        worth = np.einsum("rln,l->rn", planned(steps, prices, buffer_s), [0.3, 0.4, 0.3])
        worth -= switch * np.abs(steps.rates - steps.rates[1])[:, None]
        rates.append(steps.rates[worth.argmax(axis=0)].mean())
    return float(np.mean(rates))


def test_dearer_stalls_never_raise_the_mean_rate_chosen() -> None:
    means = [chosen(stall) for stall in (0.0, 1.0, 4.0, 16.0, 64.0)]
    assert means == sorted(means, reverse=True)
    assert means[-1] < 0.8 * means[0]


def test_dear_changes_keep_the_rung_before() -> None:
    steps = some_steps(seed=40, rungs=4, n=2)
    prices = msgspec.structs.replace(
        PRICES, switch=1000.0, stall=0.01, reserve_s=0.0, change_share=0.0
    )
    after = solve(steps, [CHANCE] * 8, prices)
    assert after is not None
    values = after.flat.reshape(after.shape)
    assert values[0].max() < values[3].max()  # nobody changes: the higher rung earns more
    assert chosen(4.0, switch=1000.0) == pytest.approx(
        np.mean([some_steps(seed=s, rungs=4).rates[1] for s in range(40)]), rel=1e-5
    )
