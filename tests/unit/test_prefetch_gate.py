"""From which probability on a successor is fetched in the replay."""

from __future__ import annotations

import numpy as np
import pytest

from edge.config import PrefetchConfig
from edge.prefetch.value import worth
from simulation.prefetch.gate import NEVER, Gate
from simulation.prefetch.moments import CHECKPOINT, LEFT, LEFT_LATE, START, Moments

KINDS = (START, CHECKPOINT, CHECKPOINT, LEFT, LEFT, LEFT_LATE)
SHARES = (0.0, 0.5, 0.9, 0.6, 0.95, 0.95)
SOON, DAY, WEEK = 0.25, 0.5, 0.75


def _moments() -> Moments:
    count = len(KINDS)
    return Moments(
        at_s=np.arange(count, dtype=np.float64),
        ends_s=np.arange(count, dtype=np.float64),
        kind=np.array(KINDS, dtype=np.int8),
        play=np.arange(count),
        share=np.array(SHARES),
        probabilities=np.tile(np.array([SOON, DAY, WEEK], dtype=np.float32), (count, 1)),
    )


def test_each_moment_asks_for_what_only_it_can_still_serve() -> None:
    chance, _ = Gate(early=0.0, late=0.0, left=0.0).chances(_moments(), np.array(SHARES))

    assert chance.tolist()[1:5] == [DAY, WEEK, SOON, WEEK]


def test_thresholds_are_the_edges_own_at_a_price_for_the_room() -> None:
    _, threshold = Gate(early=0.5, late=0.2, left=0.0).chances(_moments(), np.array(SHARES))

    def least(held_cost: float) -> float:
        return worth(PrefetchConfig(), 0.0, "head", held_cost=held_cost).threshold

    assert threshold.tolist()[1:5] == pytest.approx(
        [least(0.5), least(0.2), least(0.0), least(0.2)]
    )


def test_nothing_is_fetched_at_a_start_or_when_the_next_has_begun() -> None:
    chance, threshold = Gate(early=0.0, late=0.0, left=0.0).chances(_moments(), np.array(SHARES))

    assert threshold[0] == threshold[-1] == NEVER
    assert np.all(chance < NEVER)


def test_a_price_that_no_use_pays_closes_the_gate() -> None:
    _, threshold = Gate(early=2.0, late=0.0, left=0.0).chances(_moments(), np.array(SHARES))

    assert threshold[1] == NEVER
