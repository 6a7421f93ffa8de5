"""What came true, how good an answer was, and whether the viewers are still the same."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import msgspec
import numpy as np
import pytest

from edge.config import ModelsConfig
from edge.models import verdicts
from edge.models.drift import ROWS_MAX, ROWS_MIN, Drift
from edge.models.outcomes import Outcomes
from edge.models.run import Run
from edge.models.score import Comparison, Window
from edge.sessions import Session
from edge.viewers import Viewer, Viewers

RUN = {"source": "registry", "folder": "", "manifest_sha256": "", "now_s": 0.0, "window": 9}
TITLE, NEXT, OTHER = "http://o/e1", "http://o/e2", "http://o/film"
HALF_HOUR_S, DAY_S, WEEK_S = 1800.0, 86_400.0, 604_800.0


def session(viewer: Viewer, title_url: str = TITLE, at_s: float = 0.0, name: str = "s") -> Session:
    return Session(f"{name}/{title_url}", title_url, 100.0, viewer, at_s)


# -- outcomes


def outcomes_after(gap_s: float | None, title_url: str = NEXT) -> list[tuple[int, bool]]:
    """Of a question about a play that ended at 0; the viewer starts something `gap_s` later."""
    outcomes, viewer = Outcomes(10), Viewer()
    first = session(viewer)
    outcomes.asked(1, first, NEXT)
    outcomes.answered(1, 7, (0.5, 0.6, 0.7))
    outcomes.ended(first)
    if gap_s is not None:
        outcomes.started(session(viewer, title_url, gap_s), gap_s)
    outcomes.advance(2 * WEEK_S)
    assert len(outcomes) == 0
    return [(one.horizon_index, one.is_followed) for one in outcomes.take()]


@pytest.mark.parametrize(
    ("gap_s", "expected"),
    [
        (10.0, [(0, True), (1, True), (2, True)]),
        (HALF_HOUR_S + 1.0, [(0, False), (1, True), (2, True)]),
        (DAY_S + 1.0, [(0, False), (1, False), (2, True)]),
        (WEEK_S + 1.0, [(0, False), (1, False), (2, False)]),
        (None, [(0, False), (1, False), (2, False)]),
    ],
)
def test_the_truth_depends_on_the_horizon(
    gap_s: float | None, expected: list[tuple[int, bool]]
) -> None:
    assert outcomes_after(gap_s) == expected


def test_who_starts_the_successor_again_later_started_it_at_once() -> None:
    outcomes, viewer = Outcomes(10), Viewer()
    first = session(viewer)
    outcomes.asked(1, first, NEXT)
    outcomes.answered(1, 7, (0.5, 0.5, 0.5))
    outcomes.ended(first)
    for at_s in (10.0, 1.5 * DAY_S):
        outcomes.started(session(viewer, NEXT, at_s), at_s)
    outcomes.advance(2 * DAY_S)
    assert [one.is_followed for one in outcomes.take()] == [True, True]


def test_another_title_is_no_successor() -> None:
    assert outcomes_after(10.0, OTHER) == [(0, False), (1, False), (2, False)]


def test_what_came_true_at_once_is_not_told_sooner_than_what_did_not() -> None:
    outcomes, viewer = Outcomes(10), Viewer()
    first = session(viewer)
    outcomes.asked(1, first, NEXT)
    outcomes.answered(1, 7, (0.9, 0.9, 0.9))
    outcomes.started(session(viewer, NEXT), 5.0)  # while the first one is still open
    outcomes.ended(first)
    outcomes.advance(HALF_HOUR_S - 1.0)
    assert outcomes.take() == []
    assert outcomes.deadline_s() == HALF_HOUR_S
    outcomes.advance(HALF_HOUR_S)
    (one,) = outcomes.take()
    assert (one.is_followed, one.answers) == (True, {7: 0.9})


def test_the_oldest_questions_make_room_and_are_counted() -> None:
    outcomes = Outcomes(3)
    for number in range(1, 6):
        play = session(Viewer(), name=str(number))
        outcomes.asked(number, play, NEXT)
        outcomes.ended(play)
    assert (len(outcomes), outcomes.lost_count) == (3, 2)
    for number in range(1, 6):
        outcomes.answered(number, 7, (0.5, 0.5, 0.5))
    outcomes.advance(HALF_HOUR_S)
    assert len(outcomes.take()) == 3


def test_a_forgotten_viewer_leaves_no_question() -> None:
    outcomes, one, two = Outcomes(10), Viewer(), Viewer()
    for number, viewer in ((1, one), (2, two), (3, one)):
        play = session(viewer, name=str(number))
        outcomes.asked(number, play, NEXT)
        outcomes.answered(number, 7, (0.5, 0.5, 0.5))
    assert outcomes.forget(one) == 2
    assert len(outcomes) == 1
    outcomes.ended(session(one, name="3"))
    outcomes.ended(session(two, name="2"))
    outcomes.advance(HALF_HOUR_S)
    assert len(outcomes.take()) == 1
    assert outcomes.forget(one) == 0


def test_of_many_plays_a_part_is_waited_for_evenly_over_the_time() -> None:
    outcomes, hour_s = Outcomes(400), 3600.0
    for number in range(24 * 7 * 30):  # one every two minutes, for a week
        at_s = number * 120.0
        outcomes.advance(at_s)
        play = session(Viewer(), at_s=at_s, name=str(number))
        outcomes.asked(number, play, NEXT)
        outcomes.answered(number, 7, (0.5, 0.5, 0.5))
        outcomes.ended(play)
        assert len(outcomes) <= 15 + 100 + 100 + 1
    counts = Counter(one.horizon_index for one in outcomes.take())
    assert outcomes.lost_count == 0
    assert counts[0] == 24 * 7 * 30 - 15  # those of the last half hour are not known yet
    assert 6 * 50 <= counts[1] <= 6 * 100 + 50  # of a quarter of 400, half is for the spread
    outcomes.advance(14 * DAY_S)
    told = [one for one in outcomes.take() if one.horizon_index == 2]
    assert 80 <= len(told) <= 120
    plays = sorted(one.play_no for one in told)
    assert max(b - a for a, b in itertools.pairwise(plays)) * 120.0 < 12 * hour_s
    assert len(outcomes) == 0


def test_a_horizon_longer_than_the_history_is_not_told_of() -> None:
    outcomes, viewer = Outcomes(10, history_s=2 * DAY_S), Viewer()
    first = session(viewer)
    outcomes.asked(1, first, NEXT)
    outcomes.answered(1, 7, (0.5, 0.6, 0.7))
    outcomes.ended(first)
    outcomes.advance(2 * WEEK_S)
    assert [one.horizon_index for one in outcomes.take()] == [0, 1]
    assert len(outcomes) == 0


def test_of_viewers_who_were_let_go_nothing_is_told() -> None:
    viewers, outcomes = Viewers(1, b"key"), Outcomes(10)
    for number in (1, 2):  # the second makes the first go
        play = session(viewers.choose(str(number), None), name=str(number))
        outcomes.asked(number, play, NEXT)
        outcomes.answered(number, 7, (0.5, 0.5, 0.5))
        outcomes.ended(play)
    outcomes.advance(HALF_HOUR_S)
    assert [one.play_no for one in outcomes.take()] == [2]
    assert (len(outcomes), outcomes.lost_count) == (1, 1)


# -- scores


def test_figures_are_those_of_the_formulas() -> None:
    window = Window(100)
    assert window.figures() is None
    for probability, is_followed in ((0.9, True), (0.8, False), (0.3, False), (0.35, True)):
        window.add(probability, is_followed)
    figures = window.figures()
    assert figures is not None
    losses = [-math.log(0.9), -math.log(0.2), -math.log(0.7), -math.log(0.35)]
    assert figures.log_loss == pytest.approx(sum(losses) / 4)
    assert figures.base_log_loss == pytest.approx(math.log(2))
    assert figures.brier == pytest.approx((0.01 + 0.64 + 0.09 + 0.4225) / 4)
    assert figures.ece == pytest.approx((0.1 + 0.8 + abs(0.65 - 1.0)) / 4)
    assert (figures.share, figures.outcome_count) == (0.5, 4)


def test_the_share_is_that_of_what_came_true() -> None:
    window = Window(100)
    for is_followed in (True, True, True, False):
        window.add(0.5, is_followed)
    figures = window.figures()
    assert figures is not None
    assert (figures.share, figures.mean_probability) == (0.75, 0.5)
    assert figures.base_log_loss == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))


def test_promising_too_much_is_worse_though_the_log_loss_hardly_shows_it() -> None:
    comparison, config = Comparison(1000), ModelsConfig()
    for number in range(500):
        comparison.add(number, 0.565, 0.5, number % 2 == 0)
    assert comparison.worse_by()[0] < config.log_loss_margin
    promising, level = Run(1, **RUN), Run(2, **RUN)  # type: ignore[arg-type]
    unknown = Comparison(9)
    for beside in ((comparison, unknown, unknown), (unknown, unknown, comparison)):
        assert verdicts.of_newer(promising, level, beside, config, is_last=True) == "worse"
    assert verdicts.of_newer(promising, level, (unknown,) * 3, config, is_last=True) is None


def test_a_window_forgets_the_oldest_and_a_wrong_certainty_costs_much_but_not_all() -> None:
    window = Window(2)
    for probability, is_followed in ((0.0, True), (1.0, True), (0.5, True)):
        window.add(probability, is_followed)
    figures = window.figures()
    assert figures is not None
    assert figures.log_loss == pytest.approx(math.log(2) / 2)
    window.add(0.0, True)
    figures = window.figures()
    assert figures is not None
    assert figures.log_loss == pytest.approx((math.log(2) + math.log(1e6)) / 2)


def test_figures_after_much_has_come_and_gone_are_those_of_what_is_left() -> None:
    rng = np.random.Generator(np.random.PCG64(6))
    rows = [
        (float(one), float(other), bool(one > level))
        for one, other, level in rng.uniform(size=(5_000, 3))
    ]
    window, last = Window(200), Window(200)
    sliding, rest = Comparison(200), Comparison(200)
    for number, (one, other, is_followed) in enumerate(rows):
        for bound, (figures, beside) in ((0, (window, sliding)), (4_800, (last, rest))):
            if number >= bound:
                figures.add(one, is_followed)
                beside.add(number, one, other, is_followed)
    have, want = window.figures(), last.figures()
    assert have is not None
    assert want is not None
    assert msgspec.structs.astuple(have) == pytest.approx(msgspec.structs.astuple(want))
    assert sliding.worse_by() == pytest.approx(rest.worse_by())
    assert sliding.ece_worse_by() == pytest.approx(rest.ece_worse_by())
    share = want.share
    above = [
        -math.log(one if true else 1.0 - one) + math.log(share if true else 1.0 - share)
        for one, _, true in rows[-200:]
    ]
    assert want.base_error == pytest.approx(2.0 * np.std(above, ddof=1) / math.sqrt(200))


def test_a_comparison_tells_worse_from_chance() -> None:
    rng = np.random.Generator(np.random.PCG64(3))
    truth = rng.uniform(0.1, 0.9, 500)
    followed = rng.uniform(size=500) < truth
    for blur, is_worse in ((0.0, False), (0.02, False), (0.9, True)):
        comparison = Comparison(1000)
        for number, (value, is_followed) in enumerate(zip(truth, followed, strict=True)):
            blurred = float(value * (1 - blur) + 0.5 * blur)
            comparison.add(number, blurred, float(value), bool(is_followed))
        worse_by, error = comparison.worse_by()
        assert (worse_by > max(0.01, 2 * error)) is is_worse


def test_asking_often_about_one_play_is_no_more_evidence() -> None:
    once, often = Comparison(1000), Comparison(1000)
    rng = np.random.Generator(np.random.PCG64(4))
    for number in range(200):
        value, is_followed = float(rng.uniform(0.2, 0.8)), bool(rng.uniform() < 0.5)
        once.add(number, value, 0.5, is_followed)
        for _ in range(4):
            often.add(number, value, 0.5, is_followed)
    assert len(often) == 200
    assert often.worse_by() == pytest.approx(once.worse_by())


# -- drift


def drifted(values: np.ndarray, deciles: list[float]) -> float:
    drift = Drift(("a",), {"a": deciles})
    for value in values:
        drift.add((float(value),))
    (one,) = drift.figures()
    return one.psi


def test_the_same_viewers_have_not_drifted_and_others_have() -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    deciles = list(np.quantile(rng.normal(size=50_000), np.arange(1, 10) / 10))
    assert drifted(rng.normal(size=2_000), deciles) < 0.02
    assert 0.15 < drifted(rng.normal(0.5, 1.0, 2_000), deciles) < 0.35  # 0.25 in the limit
    assert drifted(rng.normal(2.0, 1.0, 2_000), deciles) > 1.0


@pytest.mark.parametrize("share", [0.05, 0.3, 0.47, 0.9])
def test_a_flag_drifts_only_when_its_share_does(share: float) -> None:
    rng = np.random.Generator(np.random.PCG64(2))
    trained = (rng.uniform(size=50_000) < share).astype(float)
    deciles = list(np.quantile(trained, np.arange(1, 10) / 10))
    same = (rng.uniform(size=2_000) < share).astype(float)
    assert drifted(same, deciles) < 0.05
    other = (rng.uniform(size=2_000) < (share + 0.5) % 1.0).astype(float)
    assert drifted(other, deciles) > 0.25


def test_few_rows_say_nothing_and_when_the_edge_asks_is_no_drift() -> None:
    names = ("progress", "a")
    drift = Drift(names, {"progress": (0.1,) * 9, "a": tuple(float(i) for i in range(1, 10))})
    for number in range(ROWS_MIN - 1):
        drift.add((0.5, float(number % 10)))
    assert drift.figures() == ()
    drift.add((0.5, 9.0))
    assert [one.feature for one in drift.figures()] == ["a"]


def test_old_rows_are_let_go() -> None:
    drift = Drift(("a",), {"a": tuple(float(i) for i in range(1, 10))})
    for _ in range(1000):
        drift.add((100.0,))
    for number in range(ROWS_MAX):
        drift.add((number % 10 + 0.5,))
    assert drift.row_count == ROWS_MAX
    assert drift.figures()[0].psi < 1e-9
