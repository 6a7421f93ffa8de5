"""What the origin foresees of edges' demand: origin/placement/forecast*.py."""

import numpy as np
import pytest

from origin.placement.demand import WATCHED_BINS, HourDemand, Titles, no_demand
from origin.placement.forecast import Forecaster, file_values, part_densities
from origin.placement.forecast_popularity import Popularity
from origin.placement.forecast_reserve import reserved_density

NEVER = -np.inf


def films(count: int, *, genre: list[int] | None = None, release: float = NEVER) -> Titles:
    return Titles(
        genre=np.array(genre or [0] * count),
        is_film=np.ones(count, dtype=np.bool_),
        episode=np.zeros(count, dtype=np.int64),
        series=np.arange(count),
        successor=np.full(count, -1),
        release_hour=np.array([NEVER] * (count - 1) + [release]),
        duration_s=np.full(count, 6000.0),
        size_bytes=np.tile([1e9, 2e9], (count, 1)),
    )


def episodes(count: int) -> Titles:
    number = np.arange(count)
    return Titles(
        genre=np.zeros(count, dtype=np.int64),
        is_film=np.zeros(count, dtype=np.bool_),
        episode=number,
        series=np.zeros(count, dtype=np.int64),
        successor=np.where(number + 1 < count, number + 1, -1),
        release_hour=np.full(count, NEVER),
        duration_s=np.full(count, 1500.0),
        size_bytes=np.full((count, 2), 1e9),
    )


def hour(
    views: dict[tuple[int, int], float],
    *,
    rendition: int = 0,
    waiting: dict[tuple[int, int], float] | None = None,
    watched: np.ndarray | None = None,
) -> HourDemand:
    """Viewings by (edge, title), and viewers who begin to wait for one."""
    waiting = waiting or {}
    return HourDemand(
        edge=np.array([edge for edge, _ in views], dtype=np.int64),
        title=np.array([title for _, title in views], dtype=np.int64),
        rendition=np.full(len(views), rendition),
        sessions=np.array(list(views.values()), dtype=np.float64),
        next_edge=np.array([edge for edge, _ in waiting], dtype=np.int64),
        next_title=np.array([title for _, title in waiting], dtype=np.int64),
        next_sessions=np.array(list(waiting.values()), dtype=np.float64),
        watched=np.zeros((2, WATCHED_BINS)) if watched is None else watched,
    )


def test_a_steady_demand_is_foreseen_in_viewings_a_day() -> None:
    forecaster = Forecaster(films(3), 1)
    for _ in range(24 * 5):
        forecaster.take(hour({(0, 0): 2.0, (0, 1): 0.5}))
    found = forecaster.forecast().sessions_per_day[0]
    assert found[0] == pytest.approx(48.0, rel=0.05)
    assert found[1] == pytest.approx(12.0, rel=0.1)
    assert found[2] < 1.0


def test_the_same_reports_give_the_same_forecast() -> None:
    def forecast() -> np.ndarray:
        rng = np.random.default_rng(3)
        forecaster = Forecaster(films(20), 2)
        for _ in range(60):
            views = {(e, t): float(rng.poisson(0.3)) for e in range(2) for t in range(20)}
            forecaster.take(hour(views))
        return forecaster.forecast().sessions_per_day

    assert np.array_equal(forecast(), forecast())


def test_without_any_reports_nothing_is_wanted_and_nothing_breaks() -> None:
    forecaster = Forecaster(films(4), 2)
    for _ in range(80):
        forecaster.take(no_demand())
    found = forecaster.forecast()
    assert np.isfinite(found.sessions_per_day).all()
    assert found.sessions_per_day.max() == 0.0


def test_reports_after_days_of_silence_are_believed() -> None:
    forecaster = Forecaster(films(3), 1)
    for _ in range(48):
        forecaster.take(no_demand())
    for _ in range(48):
        forecaster.take(hour({(0, 1): 3.0}))
    found = forecaster.forecast().sessions_per_day[0]
    assert found[1] > 20.0
    assert found[1] > 10 * found[0]


def test_a_popular_title_follows_a_change_that_a_rare_one_is_not_believed() -> None:
    shares = Popularity(np.full(2, NEVER), drift=0.03)
    for _ in range(24 * 6):
        shares.take(np.array([10.0, 0.1]), 0)
    before = shares.shares().copy()
    for _ in range(12):  # both twice as popular, out of many viewings and of few
        shares.take(np.array([10.0, 0.2]), 0)
    grown = shares.shares() / before
    assert 1.0 < grown[1] < 1.5
    for _ in range(12):
        shares.take(np.array([5.0, 0.1]), 0)
    more = Popularity(np.full(3, NEVER), drift=0.03)
    for _ in range(24 * 6):
        more.take(np.array([50.0, 50.0, 0.1]), 0)
    at_first = more.shares()[0]
    for _ in range(12):
        more.take(np.array([80.0, 20.0, 0.1]), 0)
    assert more.shares()[0] / at_first > 1.5


def test_an_edge_is_expected_to_like_other_titles_of_its_genre() -> None:
    # Both edges' viewings of titles 0 and 1 tell their tastes; title 2 is of genre 0, and so far
    # only edge 0 shows a taste for that.
    titles = films(4, genre=[0, 1, 0, 1])
    forecaster = Forecaster(titles, 2, parts=frozenset({"popularity", "taste"}))
    for _ in range(24 * 4):
        views = {(0, 0): 2.0, (1, 1): 2.0, (0, 2): 0.3, (1, 3): 0.3}
        forecaster.take(hour(views))
    found = forecaster.forecast().sessions_per_day
    assert found[0, 2] > 3 * found[1, 2]
    assert found[1, 3] > 3 * found[0, 3]


def test_a_title_of_no_genre_or_a_new_one_is_liked_as_any_other() -> None:
    def foreseen(genre: list[int]) -> np.ndarray:
        forecaster = Forecaster(films(6, genre=genre), 2, parts=frozenset({"popularity", "taste"}))
        for _ in range(24 * 4):
            views = {(0, 0): 2.0, (1, 1): 2.0, (0, 2): 0.3, (1, 3): 0.3}
            forecaster.take(hour(views))
        return forecaster.forecast().sessions_per_day

    untold = foreseen([-1] * 6)
    assert np.allclose(untold, foreseen([0] * 6))
    told = foreseen([0, 1, 0, 1, -1, 2])
    assert told[0, 2] > 1.5 * untold[0, 2]
    # Nobody viewed titles 4 and 5; nobody said of which genre 4 is, and 5 is alone of its own.
    assert np.allclose(told[:, 4:], untold[:, 4:])


def test_viewers_who_wait_make_the_next_episode_wanted() -> None:
    def foreseen(waits: bool) -> float:
        forecaster = Forecaster(episodes(5), 2)
        for _ in range(24 * 4):
            waiting = {(0, 1): 0.5, (1, 1): 0.5}
            forecaster.take(hour({(0, 0): 1.0, (1, 0): 1.0, (1, 2): 0.2}, waiting=waiting))
        if waits:
            for _ in range(6):
                forecaster.take(hour({(0, 1): 1.0}, waiting={(0, 2): 4.0}))
        else:
            for _ in range(6):
                forecaster.take(hour({(0, 1): 1.0}))
        return float(forecaster.forecast().sessions_per_day[0, 2])

    assert foreseen(waits=True) > 1.5 * foreseen(waits=False)


def test_a_title_is_expected_on_its_first_day_as_earlier_releases_were() -> None:
    def first_day(early: float) -> float:
        count = 12
        release = np.full(count, NEVER)
        release[8:] = [30.0, 40.0, 50.0, 96.0]
        titles = films(count)
        titles = Titles(
            **{
                name: getattr(titles, name)
                for name in titles.__struct_fields__
                if name != "release_hour"
            },
            release_hour=release,
        )
        forecaster = Forecaster(titles, 1)
        for at in range(97):
            views = {(0, title): 1.0 for title in range(8)}
            views |= {(0, t): early for t in (8, 9, 10) if at >= release[t]}
            forecaster.take(hour(views))
        return float(forecaster.forecast().sessions_per_day[0, 11])

    assert first_day(early=6.0) > 2 * first_day(early=0.2)


def test_nothing_is_expected_of_a_title_before_its_release() -> None:
    forecaster = Forecaster(films(3, release=500.0), 1)
    for _ in range(72):
        forecaster.take(hour({(0, 0): 2.0}))
    assert forecaster.forecast().sessions_per_day[0, 2] == 0.0


def test_parts_of_a_file_are_worth_what_viewers_reach() -> None:
    watched = np.zeros((2, WATCHED_BINS))
    watched[1, 0], watched[1, -1] = 30.0, 70.0  # of films: three in ten leave at once
    forecaster = Forecaster(films(2), 1)
    for _ in range(48):
        forecaster.take(hour({(0, 0): 5.0}, rendition=1, watched=watched))
    found = forecaster.forecast()
    density = part_densities(found, films(2), 0)[0, 1]
    assert (np.diff(density[:-1]) <= 1e-6).all()
    assert density[5] / density[0] == pytest.approx(0.7 / 0.85, rel=0.03)
    whole, head = file_values(found, films(2), 0, np.full((2, 2), 0.1))
    assert 0.1 * whole[0, 1] < head[0, 1] < 0.2 * whole[0, 1]
    assert whole[0, 1] > 5 * whole[0, 0]  # everyone takes the second rendition


def test_what_is_reserved_is_worth_less_than_what_is_held_and_never_nothing_for_the_popular() -> (
    None
):
    density = np.array([0.0, 0.1, 1.0, 50.0])
    found = reserved_density(density, days=3.0)
    assert (found <= density).all()
    assert (found >= 0).all()
    assert found[1] < 0.02
    assert found[3] == pytest.approx(50.0 - 1 / 3)
