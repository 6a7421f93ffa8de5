"""How good models are, by what came true.

Two models are compared on the questions that both answered: what is easy or hard about an hour's
viewers is then the same for both, and a few hundred outcomes tell them apart.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

BINS: Final = 10
QUESTIONS_PER_PLAY: Final = 4
"""A model is asked about a play so often; together these are one piece of evidence."""
_PROBABILITY_MIN: Final = 1e-6
"""A certainty that turns out wrong costs 13.8, not infinity."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Of one model at one horizon, over the last outcomes."""

    outcome_count: int
    share: float
    """Of the outcomes, those that came true."""
    mean_probability: float
    """What the model said on average; above `share`, it promises too much."""
    log_loss: float
    base_log_loss: float
    """Of knowing the share alone."""
    base_error: float
    """Standard error of the difference of the two, if four questions are about one play."""
    brier: float
    ece: float
    """Expected calibration error, in ten bins of equal width."""


class Window:
    """The last outcomes of one model at one horizon."""

    def __init__(self, count_max: int) -> None:
        self._pairs: deque[tuple[float, bool]] = deque(maxlen=count_max)
        self._figures: Figures | None = None

    def __len__(self) -> int:
        return len(self._pairs)

    def add(self, probability: float, is_followed: bool) -> None:
        self._pairs.append((probability, is_followed))
        self._figures = None

    def figures(self) -> Figures | None:
        """None of nothing."""
        if self._figures is None and self._pairs:
            self._figures = _figures(self._pairs)
        return self._figures


class Comparison:
    """One model beside another, on the same questions."""

    def __init__(self, play_count_max: int) -> None:
        self._play_count_max = play_count_max
        self._plays: OrderedDict[int, list[tuple[float, float, bool]]] = OrderedDict()

    def __len__(self) -> int:
        """Plays that both were asked about."""
        return len(self._plays)

    def add(self, play_no: int, probability: float, other: float, is_followed: bool) -> None:
        self._plays.setdefault(play_no, []).append((probability, other, is_followed))
        if len(self._plays) > self._play_count_max:
            self._plays.popitem(last=False)

    def worse_by(self) -> tuple[float, float]:
        """How much larger this one's log-loss is than the other's, and the standard error of that.
        Positive: this one is worse. A play counts once, however often it was asked about."""
        differences = [
            _mean(
                _log_loss(one, is_followed) - _log_loss(other, is_followed)
                for one, other, is_followed in rows
            )
            for rows in self._plays.values()
        ]
        if len(differences) < 2:
            return 0.0, math.inf
        return _mean(differences), _error(differences)

    def ece_worse_by(self) -> float:
        """How much larger this one's calibration error is. Few outcomes make every model look
        uncalibrated, but both alike."""
        rows = [row for rows in self._plays.values() for row in rows]
        one = _ece([(one, is_followed) for one, _, is_followed in rows])
        return one - _ece([(other, is_followed) for _, other, is_followed in rows])


def _figures(pairs: Sequence[tuple[float, bool]] | deque[tuple[float, bool]]) -> Figures:
    count = len(pairs)
    share = sum(is_followed for _, is_followed in pairs) / count
    losses = [_log_loss(*pair) for pair in pairs]
    base_losses = [_log_loss(share, is_followed) for _, is_followed in pairs]
    return Figures(
        outcome_count=count,
        share=share,
        mean_probability=math.fsum(probability for probability, _ in pairs) / count,
        log_loss=_mean(losses),
        base_log_loss=_mean(base_losses),
        base_error=_error([one - base for one, base in zip(losses, base_losses, strict=True)])
        * math.sqrt(QUESTIONS_PER_PLAY),
        brier=_mean((probability - is_followed) ** 2 for probability, is_followed in pairs),
        ece=_ece(pairs),
    )


def _log_loss(probability: float, is_followed: bool) -> float:
    right = probability if is_followed else 1.0 - probability
    return -math.log(min(max(right, _PROBABILITY_MIN), 1.0))


def _ece(pairs: Iterable[tuple[float, bool]]) -> float:
    sums = [[0, 0.0, 0] for _ in range(BINS)]
    count = 0
    for probability, is_followed in pairs:
        one = sums[min(int(probability * BINS), BINS - 1)]
        one[0] += 1
        one[1] += probability
        one[2] += is_followed
        count += 1
    return math.fsum(abs(said - true) for _, said, true in sums) / count if count else 0.0


def _error(values: Sequence[float]) -> float:
    """Standard error of the mean; of fewer than two values it is not known."""
    count = len(values)
    if count < 2:
        return math.inf
    mean = _mean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1) / count)


def _mean(values: Iterable[float]) -> float:
    ordered = list(values)
    return math.fsum(ordered) / len(ordered)
