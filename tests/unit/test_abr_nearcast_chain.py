"""A forecast's quantiles as levels, and the chances between them."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from abr.controllers.nearcast.chain import SLICES, Levels, transitions

QUANTILE_LEVELS = np.array([0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98])


def lognormal(median_kbps: float, sigma: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    scores = [NormalDist().inv_cdf(level) for level in QUANTILE_LEVELS]
    return median_kbps * np.exp(sigma * np.array(scores))


def test_levels_are_the_middles_of_slices_that_make_up_the_whole() -> None:
    levels = Levels()
    assert levels.weights.sum() == pytest.approx(1.0)
    edges = np.cumsum([0.0, *SLICES])
    assert levels.middles == pytest.approx((edges[:-1] + edges[1:]) / 2)
    assert levels.count == len(SLICES)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.644, 0.95])
def test_each_level_is_followed_by_some_level_and_the_weights_stay(correlation: float) -> None:
    levels = Levels()
    chance = transitions(levels, correlation)
    assert chance.sum(axis=1) == pytest.approx(np.ones(levels.count))
    assert (chance >= 0).all()
    # A step drawn from the weights is followed by one drawn from the weights.
    assert levels.weights @ chance == pytest.approx(levels.weights, abs=0.005)
    # Better levels are followed by better ones, stochastically.
    assert (np.diff(np.cumsum(chance, axis=1), axis=0) <= 1e-12).all()


def test_without_correlation_every_step_is_drawn_afresh() -> None:
    levels = Levels()
    expected = np.tile(levels.weights, (levels.count, 1))
    assert transitions(levels, 0.0) == pytest.approx(expected)


def test_near_full_correlation_the_level_stays() -> None:
    chance = transitions(Levels(), 0.999)
    assert (np.diag(chance) > 0.9).all()


def test_quantiles_of_a_known_distribution_are_read_between_and_beyond() -> None:
    levels = Levels((0.04, 0.46, 0.46, 0.04))
    found = levels.rates(QUANTILE_LEVELS, lognormal(3000.0, 0.8))
    scores = np.array([NormalDist().inv_cdf(middle) for middle in levels.middles])
    assert found == pytest.approx(3000.0 * np.exp(0.8 * scores), rel=1e-6)


def test_line_goes_on_beyond_the_ends_for_half_its_span_at_most() -> None:
    levels = Levels((1e-6, 1 - 2e-6, 1e-6))
    quantiles = lognormal(3000.0, 0.8)
    lowest, _, highest = levels.rates(QUANTILE_LEVELS, quantiles)
    assert lowest == pytest.approx(quantiles[0] / np.sqrt(quantiles[1] / quantiles[0]))
    assert highest == pytest.approx(quantiles[-1] * np.sqrt(quantiles[-1] / quantiles[-2]))


def test_rates_rise_with_the_level_and_all_rows_are_read_alike() -> None:
    draw = np.random.default_rng(4)
    quantiles = np.sort(draw.lognormal(8.0, 1.0, (5, 6, QUANTILE_LEVELS.size)), axis=2)
    levels = Levels()
    rates = levels.rates(QUANTILE_LEVELS, quantiles)
    assert rates.shape == (5, 6, levels.count)
    assert (np.diff(rates, axis=2) >= 0).all()
    assert rates[3, 2].tolist() == levels.rates(QUANTILE_LEVELS, quantiles[3, 2]).tolist()


def test_equal_quantiles_are_one_rate() -> None:
    assert Levels().rates(QUANTILE_LEVELS, np.full(7, 500.0)) == pytest.approx(np.full(7, 500.0))
