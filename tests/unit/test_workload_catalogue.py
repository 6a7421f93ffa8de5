import numpy as np
import pytest

from nearcast.errors import InputError
from simulation.workload.catalogue import (
    DEMAND_FLOOR,
    WEEK_RATIOS,
    Catalogue,
    CatalogueSpec,
    demand_curve,
    weekly_demand,
)
from simulation.workload.concentration import SHARES, title_weights, top_share

WEEK_S = 7 * 86_400.0


def catalogue(weeks: int = 4, regions: int = 2, **spec: float) -> Catalogue:
    settings = CatalogueSpec(**{"title_count": 3000, **spec})  # type: ignore[arg-type]
    return Catalogue(settings, weeks=weeks, regions=regions, rng=np.random.default_rng(5))


def picked(shelf: Catalogue, week: int, region: int, count: int = 20_000) -> np.ndarray:
    start_s = np.full(count, (week + 0.5) * WEEK_S)
    where = np.full(count, region)
    return shelf.pick_series(start_s, where, np.random.default_rng(7))


@pytest.mark.parametrize(("titles", "hours"), SHARES[:-1])
@pytest.mark.parametrize("count", [2000, 18_000])
def test_few_titles_hold_most_hours_as_published(titles: float, hours: float, count: int) -> None:
    weights = title_weights(count)
    assert top_share(weights, titles) == pytest.approx(hours, abs=0.002)
    assert (np.diff(weights) <= 1e-12).all()


def test_a_lower_power_is_flatter() -> None:
    assert top_share(title_weights(1000, power=0.5), 0.05) < top_share(title_weights(1000), 0.05)
    assert np.ptp(title_weights(1000, power=0.0)) == pytest.approx(0.0)


def test_a_level_head_holds_less_than_a_peaked_one() -> None:
    level = title_weights(1000, level_share=0.02)
    assert np.ptp(level[:20]) == pytest.approx(0.0)
    assert (level[30:] > title_weights(1000)[30:]).all()  # the sum stays


def test_seasons_are_a_third_of_the_titles_and_two_thirds_of_the_hours() -> None:
    shelf = catalogue(title_count=18_000)
    seasons, films = shelf.season_weights, shelf.film_weights
    assert len(seasons) / (len(seasons) + len(films)) == pytest.approx(0.36, abs=0.02)
    assert seasons.sum() == pytest.approx(0.69, abs=0.03)
    assert shelf.season_length.min() >= 8
    assert shelf.season_length.max() <= 13
    assert shelf.season_count.sum() == len(seasons)


def test_demand_falls_week_by_week_as_charts_do() -> None:
    curve = demand_curve(30)
    np.testing.assert_allclose(curve[1:7] / curve[:6], WEEK_RATIOS)
    assert curve[-1] == DEMAND_FLOOR


def test_a_title_has_no_demand_before_its_release_and_its_own_sum_after() -> None:
    demand = weekly_demand(np.array([-30.0, 0.0, 2.2]) * WEEK_S, 8)
    assert (demand[0] == 1.0).all()
    assert demand[2, :2].tolist() == [0.0, 0.0]
    assert demand[2, 2] > 2.0
    np.testing.assert_allclose(demand.mean(axis=1), 1.0)


def test_nothing_is_picked_before_its_release() -> None:
    shelf = catalogue(new_share=0.5)
    for week in range(4):
        chosen = picked(shelf, week, 0)
        assert (shelf.series_release_s[chosen] < (week + 1) * WEEK_S).all()


def test_launches_draw_viewers() -> None:
    shelf = catalogue(new_share=0.3)
    is_new = (shelf.series_release_s >= WEEK_S) & (shelf.series_release_s < 2 * WEEK_S)
    at_launch, later = (is_new[picked(shelf, week, 0)].mean() for week in (1, 3))
    assert at_launch > 1.5 * later


def test_regions_like_different_titles() -> None:
    def distance(spread: float) -> float:
        shelf = catalogue(region_spread=spread, new_share=0.0)
        counts = [np.bincount(picked(shelf, 0, region), minlength=2000) for region in (0, 1)]
        return float(np.abs(counts[0] - counts[1]).sum() / counts[0].sum())

    assert distance(0.5) > distance(0.0) + 0.2


def test_a_catalogue_too_large_for_its_table_is_refused() -> None:
    with pytest.raises(InputError, match="are too many"):
        catalogue(weeks=520, regions=200, new_share=0.1)


def test_settings_outside_their_range_are_refused() -> None:
    with pytest.raises(ValueError, match="new_share must be from 0 to 1"):
        CatalogueSpec(new_share=1.5)
