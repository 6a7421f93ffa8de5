"""A viewer's rates in training are those that an edge would have counted, weeks later too."""

from __future__ import annotations

import numpy as np

from edge.viewers import Viewer
from nearcast.seeds import Seeds
from predictor.features import HISTORY_S
from predictor.viewing.course import course_of
from predictor.viewing.draw import draw_log
from predictor.viewing.episodes import rates_before
from predictor.viewing.fitted import fitted_behaviour
from predictor.viewing.shelf import PlainShelf


def test_rates_of_half_a_year_are_those_an_edge_counts() -> None:
    seeds = Seeds(4)
    shelf = PlainShelf(seeds.stream("shelf"))
    log = draw_log(fitted_behaviour(), shelf, viewers=8, days=180.0, seeds=seeds)
    course = course_of(log)
    plays = course.log
    counted: list[tuple[float, float]] = []
    for at in range(len(course)):
        if course.is_first[at]:
            viewer = Viewer(HISTORY_S)
        series = str(plays.series[at]) if course.is_episode[at] else None
        title = str(plays.title[at])
        start_s = float(plays.start_s[at])
        viewer.begin(title, series, is_next=bool(course.follows[at]), at_s=start_s)
        counted.append((viewer.rate(), viewer.series_rate(series or "")))
        viewer.seen(title, float(course.completion[at]), float(course.end_s[at]))
    viewer_rate, series_rate = rates_before(course)
    is_asked = course.is_episode
    assert np.count_nonzero(is_asked) > 500
    np.testing.assert_allclose(viewer_rate, [rate for rate, _ in counted])
    np.testing.assert_allclose(series_rate[is_asked], np.array(counted)[is_asked, 1])
