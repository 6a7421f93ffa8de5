"""Hits and misses in one forecast, where the edge says nothing."""

import numpy as np
import pytest

from abr.controllers.nearcast.mixture import hit_share, mixed
from abr.view import HISTORY, History
from predictor.bandwidth import Forecast

LEVELS = np.array([0.02, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.98])


def history_of(*hits: bool) -> History:
    kbps = np.full((1, HISTORY), np.nan)
    is_hit = np.zeros((1, HISTORY), dtype=np.bool_)
    if hits:
        kbps[0, -len(hits) :] = 1000.0
        is_hit[0, -len(hits) :] = hits
    blank = np.where(np.isnan(kbps), np.nan, 1.0)
    return History(
        kbps=kbps, bytes=blank, duration_s=blank, ttfb_s=blank, gap_s=blank, is_hit=is_hit
    )


def forecast_of(low_kbps: float, high_kbps: float) -> Forecast:
    quantiles = np.geomspace(low_kbps, high_kbps, LEVELS.size)
    return Forecast(levels=LEVELS, kbps=np.broadcast_to(quantiles, (1, 6, LEVELS.size)))


def test_share_is_nothing_before_the_first_hit_and_grows_with_them() -> None:
    assert hit_share(history_of())[0] == 0.0
    assert hit_share(history_of(*[False] * 10))[0] == 0.0
    shares = [hit_share(history_of(*[True] * count))[0] for count in (1, 3, 8, 20)]
    assert shares == sorted(shares)
    assert 0.0 <= shares[0] < 0.2
    assert 0.6 < shares[-1] < 1.0


def test_share_stays_below_what_was_seen() -> None:
    hits = [index % 3 == 0 for index in range(24)]
    assert 0.0 <= hit_share(history_of(*hits))[0] < 0.2
    rare_misses = [index % 10 != 0 for index in range(24)]
    assert 0.4 < hit_share(history_of(*rare_misses))[0] < 0.9


def test_a_miss_after_hits_lowers_the_share() -> None:
    before = hit_share(history_of(*[True] * 12))[0]
    after = hit_share(history_of(*[True] * 12, False))[0]
    assert after < before


def test_without_hits_the_forecast_is_that_of_a_miss() -> None:
    miss = forecast_of(500.0, 2000.0)
    assert mixed(miss, forecast_of(5000.0, 20000.0), np.zeros(1)) is miss


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_quantiles_are_those_of_drawing_from_both(share: float) -> None:
    miss, hit = forecast_of(500.0, 2000.0), forecast_of(9000.0, 30000.0)
    found = mixed(miss, hit, np.array([share])).kbps[0, 0]
    assert (np.diff(found) >= 0).all()
    # They lie apart, so all levels that only misses fill are rates of misses.
    surely_missed = (1.0 - share - 0.06) > LEVELS
    surely_held = (1.0 - share + 0.06) < LEVELS
    assert (found[surely_missed] <= 2000.0).all()
    assert (found[surely_held] >= 9000.0).all()
    # A mixture of a distribution with itself is that distribution, nearly.
    same = mixed(miss, miss, np.array([share])).kbps[0, 0]
    assert np.abs(np.log2(same / miss.kbps[0, 0])).max() < 0.15


def test_rows_do_not_mix() -> None:
    miss = Forecast(levels=LEVELS, kbps=np.repeat(forecast_of(500.0, 2000.0).kbps, 2, axis=0))
    hit = Forecast(levels=LEVELS, kbps=np.repeat(forecast_of(9e3, 3e4).kbps, 2, axis=0))
    found = mixed(miss, hit, np.array([0.0, 0.6])).kbps
    assert (found[0] == miss.kbps[0]).all()
    assert (found[1] >= miss.kbps[1]).all()
    assert found[1].max() > 2000.0
