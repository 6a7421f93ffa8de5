"""Probabilities per horizon, read at any time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.horizons import HORIZONS, HORIZONS_S, are_probabilities, within
from predictor.columns import HORIZONS as TRAINED_HORIZONS

MEASURED = (0.703, 0.860, 0.904)
"""Of finished episodes, per horizon (the viewing logs' table)."""

shares = st.floats(0.0, 1.0)


def test_the_horizons_are_those_that_models_are_trained_for() -> None:
    assert HORIZONS == TRAINED_HORIZONS


def test_at_a_horizon_it_is_what_was_said() -> None:
    assert [within(MEASURED, time_s) for time_s in HORIZONS_S] == pytest.approx(MEASURED)
    assert within(MEASURED, 1e9) == MEASURED[-1]
    assert within(MEASURED, 0.0) == 0.0


@pytest.mark.parametrize(("time_s", "share"), [(60.0, 0.475), (300.0, 0.598), (7200.0, 0.746)])
def test_between_horizons_it_is_near_what_logs_say(time_s: float, share: float) -> None:
    assert within(MEASURED, time_s) == pytest.approx(share, abs=0.03)


@given(st.tuples(shares, shares, shares), st.floats(0.0, 1e7), st.floats(0.0, 1e7))
def test_longer_is_never_less_likely(
    probabilities: tuple[float, float, float], one_s: float, other_s: float
) -> None:
    early, late = sorted((one_s, other_s))
    answers = within(probabilities, early), within(probabilities, late)
    assert 0.0 <= answers[0] <= answers[1] + 1e-12
    assert answers[1] <= max(probabilities)


@pytest.mark.parametrize(
    "answer", [(), (0.5,), (0.1, 0.2, float("nan")), (0.1, 0.2, 1.5), (-0.1, 0.2, 0.3)]
)
def test_nonsense_is_no_answer(answer: tuple[float, ...]) -> None:
    assert not are_probabilities(answer)
