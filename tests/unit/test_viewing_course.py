"""A course read off a log small enough to follow by hand."""

from collections.abc import Sequence

import numpy as np
import pytest

from predictor.logs.plays import PlaysLog
from predictor.viewing.course import course_of, successors
from predictor.viewing.episodes import episodes_of, rates_before
from predictor.viewing.measure import KINDS, depths, measure, next_kinds

MIN = 60.0
HOUR = 3600.0


def log_of(rows: Sequence[tuple[str, float, float, str]]) -> PlaysLog:
    """Rows of viewer, start in minutes, minutes watched of 20, and `a1.2` (series, season and
    episode) or the name of a film."""
    rows = sorted(rows, key=lambda row: row[1])
    viewers = sorted({row[0] for row in rows})
    titles = sorted({row[3] for row in rows})
    shows = sorted({title[0] for title in titles if "." in title})
    numbers = [title[1:].split(".") if "." in title else ("0", "0") for title in titles]
    at = np.array([titles.index(row[3]) for row in rows])
    zeros = np.zeros(len(rows), dtype=np.int64)
    return PlaysLog(
        viewer=np.array([viewers.index(row[0]) for row in rows]),
        start_s=np.array([row[1] * MIN for row in rows]),
        watched_s=np.array([row[2] * MIN for row in rows]),
        runtime_s=np.full(len(rows), 20 * MIN),
        title=at,
        series=np.array([shows.index(t[0]) if "." in t else -1 for t in titles])[at],
        season=np.array([int(season) for season, _ in numbers])[at],
        episode=np.array([int(episode) for _, episode in numbers])[at],
        device=zeros,
        region=zeros,
        release_s=np.full(len(rows), np.nan),
        genre=zeros - 1,
        utc_offset_h=np.zeros(len(rows)),
        viewers=tuple(viewers),
        titles=tuple(titles),
        series_names=tuple(shows),
        regions=("here",),
        genres=(),
    )


EVENING: list[tuple[str, float, float, str]] = [
    ("ann", 0, 20, "a1.1"),
    ("ann", 21, 20, "a1.2"),
    ("bob", 30, 20, "film"),
    ("ann", 45, 10, "b1.1"),
    ("ann", 60, 8, "film"),
    ("ann", 200, 12, "b1.1"),
    ("ann", 215, 20, "a2.1"),
    ("bob", 300, 20, "a1.1"),
]


def test_sittings_and_runs_are_told_apart() -> None:
    course = course_of(log_of(EVENING))
    assert course.log.viewer.tolist() == [0, 0, 0, 0, 0, 0, 1, 1]
    assert course.sitting.tolist() == [0, 0, 0, 0, 1, 1, 2, 3]
    assert course.plays_before.tolist() == [0, 1, 2, 3, 0, 1, 0, 0]
    assert course.run_length.tolist() == [1, 2, 1, 1, 1, 1, 1, 1]
    gaps_min = course.gap_s / MIN
    np.testing.assert_allclose(gaps_min, [np.nan, 1, 4, 5, 132, 3, np.nan, 250])


def test_a_successor_is_the_next_number_or_the_next_season() -> None:
    log = log_of(EVENING)
    found = successors(log)
    names = {log.titles[a]: log.titles[b] for a, b in enumerate(found) if b >= 0}
    assert names == {"a1.1": "a1.2", "a1.2": "a2.1"}


def test_the_wait_for_the_successor_looks_past_other_plays() -> None:
    course = course_of(log_of(EVENING))
    waits_min = (course.successor_s / MIN).tolist()
    assert waits_min == [1, 174, *[float("inf")] * 6]


def test_a_start_in_whole_seconds_may_lie_just_before_the_end() -> None:
    log = log_of([("ann", 0, 20.01, "a1.1"), ("ann", 20, 20, "a1.2")])
    assert course_of(log).successor_s[0] == 0.0


def test_what_is_played_next_has_a_kind() -> None:
    course = course_of(log_of(EVENING))
    kinds = [KINDS[kind] if kind >= 0 else None for kind in next_kinds(course)]
    assert kinds[:6] == ["successor", "other_series", "movie", "other_series", "other_series", None]


def test_following_and_resuming_reach_back_over_series() -> None:
    course = course_of(log_of(EVENING))
    follows, resumes = depths(course)
    assert follows.tolist() == [11, 1, 11, 11, 11, 2, 11, 11]  # a2.1 follows a1.2, one series back
    assert resumes.tolist() == [11, 11, 11, 11, 1, 11, 11, 11]  # b1.1 again, a film in between


def test_rates_come_from_the_past_alone() -> None:
    course = course_of(log_of(EVENING))
    viewer_rate, series_rate = rates_before(course)
    # After a1.1 one of one went on; after a1.2 one of two.
    expected = [0.7, 8 / 11, *[8 / 12] * 4]
    np.testing.assert_allclose(viewer_rate[:6], expected)
    np.testing.assert_allclose(series_rate[0], 0.7)
    np.testing.assert_allclose(series_rate[1], (1 + 3 * 8 / 11) / 4)
    np.testing.assert_allclose(series_rate[2], viewer_rate[2])  # nothing known of b


def test_rows_hold_what_was_known_and_whether_the_successor_came() -> None:
    plays = episodes_of(log_of(EVENING))
    assert len(plays) == 6  # films give no rows
    assert plays.labels[:2].tolist() == [[1, 1, 1], [0, 1, 1]]
    assert plays.session_before_s[1] == 21 * MIN
    assert plays.season_no[4] == 2
    assert np.isnan(plays.previous_gap_s[0])


def test_plays_whose_horizon_is_not_over_give_no_rows() -> None:
    days = 24 * 60
    rows = [("ann", day * days, 20.0, f"a1.{day + 1}") for day in range(10)]
    assert len(episodes_of(log_of(rows))) == 3  # seven days must follow


@pytest.mark.parametrize("hour", [0, 13, 23])
def test_hours_are_those_of_the_viewer(hour: int) -> None:
    log = log_of([("ann", hour * 60, 20, "a1.1")])
    assert episodes_of(log).local_hour[0] == hour


def test_who_is_still_away_at_the_end_counts_as_waiting_longer() -> None:
    log = log_of(
        [
            ("ann", 0, 20, "a1.1"),
            ("ann", 80, 20, "a1.2"),  # after an hour
            ("ann", 220, 20, "a2.1"),  # after two; then away for 130 minutes
            ("bob", 0, 20, "a1.1"),
            ("bob", 200, 20, "a1.2"),  # after three; then away for 150 minutes
            ("cat", 0, 20, "b1.1"),
            ("cat", 350, 20, "a1.1"),  # after five and a half
        ]
    )
    found = measure(log).intersession_h
    assert found["0.1"] == pytest.approx(1.0)
    assert found["0.25"] == pytest.approx(2.0)
    assert found["0.5"] == pytest.approx(3.0)  # of the four that are over it would be 2.5
    assert found["0.9"] == pytest.approx(5.5)


def test_a_log_too_short_for_a_long_wait_does_not_invent_one() -> None:
    plays = [("ann", 0.0, 20.0, "a1.1"), ("ann", 80.0, 20.0, "a1.2"), ("bob", 0.0, 20.0, "a1.1")]
    found = measure(log_of(plays)).intersession_h
    assert found["0.25"] == pytest.approx(1.0)
    assert np.isnan(found["0.9"])
