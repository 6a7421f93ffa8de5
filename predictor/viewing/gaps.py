"""How long viewers wait: a moment within a sitting, hours or days between two."""

from __future__ import annotations

import numpy as np

from nearcast.units import HOUR_S
from predictor.features import CONTINUE_WITHIN_S
from predictor.viewing.behaviour import SAME, SUCCESSOR, Behaviour
from predictor.viewing.course import Bools, Floats, Ints
from predictor.viewing.statistics import WITHIN_S

_CANDIDATE_COUNT = 6  # start times among which the hours choose
_BREAK_S = (20.0, 1500.0)  # before something else in the same sitting


class Gaps:
    """Draws waits for all viewers at once."""

    def __init__(self, behaviour: Behaviour, rng: np.random.Generator) -> None:
        self._behaviour, self._rng = behaviour, rng
        self._log_gap = np.log(np.array(behaviour.gap_h) * HOUR_S)
        self._hour_weights = np.array(behaviour.start_hour)

    def within_sitting(self, is_soon: Bools, eager: Floats) -> Floats:
        """To the successor by measured shares, sooner for the `eager` (log-odds); else a while to
        choose."""
        rng, count = self._rng, len(is_soon)
        edges = np.array([5.0, *WITHIN_S[:3]])
        late = rng.logistic(size=count) - self._behaviour.eager_at_once * eager
        shares = np.cumsum(self._behaviour.soon_shares)[:2]
        bucket = np.searchsorted(np.log(shares / (1.0 - shares)), late)
        draw = rng.random(count)
        soon = edges[bucket] + (edges[bucket + 1] - edges[bucket]) * draw
        low, high = np.log(_BREAK_S)
        return np.asarray(np.where(is_soon, soon, np.exp(low + (high - low) * draw)))

    def between_sittings(
        self, end_s: Floats, kind: Ints, activity: Floats, liking: Floats
    ) -> Floats:
        """By what is played next, how active the viewer is, and how much the series is liked."""
        rng, behaviour, count = self._rng, self._behaviour, len(end_s)
        sooner = np.where(kind == SUCCESSOR, behaviour.successor_sooner, 0.0)
        sooner = np.where(kind == SAME, behaviour.resume_sooner, sooner)
        sooner += np.where(kind <= SAME, behaviour.liking_gap * liking, 0.0)
        draws = rng.random((_CANDIDATE_COUNT, count)) ** (activity * np.exp(sooner))
        draws *= np.where(kind == SUCCESSOR, behaviour.gap_successor_span, 1.0)
        gaps = np.exp(np.interp(draws, behaviour.gap_at, self._log_gap))
        hours = ((end_s + gaps) / HOUR_S % 24.0).astype(np.int64)
        weights = np.cumsum(self._hour_weights[hours], axis=0)
        pick = (weights < weights[-1] * rng.random(count)).sum(axis=0)
        found = gaps[np.minimum(pick, _CANDIDATE_COUNT - 1), np.arange(count)]
        return np.asarray(np.maximum(found, CONTINUE_WITHIN_S + 1.0))
