"""How good models are, by what came true.

Two models are compared on the questions that both answered: what is easy or hard about an hour's
viewers is then the same for both, and a few hundred outcomes tell them apart.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
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


class _Calibration:
    """What was said and what came true, in bins: added to and taken from in no time, since all of
    it is looked at every few outcomes."""

    def __init__(self) -> None:
        self._said = [0.0] * BINS
        self._true = [0] * BINS
        self._count = 0

    def count(self, probability: float, is_followed: bool, step: int) -> None:
        at = min(int(probability * BINS), BINS - 1)
        self._said[at] += step * probability
        self._true[at] += step * is_followed
        self._count += step

    def error(self) -> float:
        gaps = (abs(said - true) for said, true in zip(self._said, self._true, strict=True))
        return math.fsum(gaps) / self._count if self._count else 0.0


class _Losses:
    """Sums over answers that had the same outcome."""

    def __init__(self) -> None:
        self.count = 0
        self.said = 0.0
        self.log_loss = 0.0
        self.log_loss_squared = 0.0
        self.brier = 0.0

    def add(self, probability: float, is_followed: bool, step: int) -> None:
        log_loss = _log_loss(probability, is_followed)
        self.count += step
        self.said += step * probability
        self.log_loss += step * log_loss
        self.log_loss_squared += step * log_loss * log_loss
        self.brier += step * (probability - is_followed) ** 2

    def squared_from(self, base: float) -> float:
        """The sum of squares of how far each log-loss is from this one."""
        return self.log_loss_squared - 2.0 * base * self.log_loss + self.count * base * base


class Window:
    """The last outcomes of one model at one horizon."""

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._pairs: deque[tuple[float, bool]] = deque()
        self._losses = (_Losses(), _Losses())  # of those that did not come true, and of the others
        self._calibration = _Calibration()

    def __len__(self) -> int:
        return len(self._pairs)

    def add(self, probability: float, is_followed: bool) -> None:
        self._pairs.append((probability, is_followed))
        self._count(probability, is_followed, 1)
        if len(self._pairs) > self._count_max:
            self._count(*self._pairs.popleft(), -1)

    def _count(self, probability: float, is_followed: bool, step: int) -> None:
        self._losses[is_followed].add(probability, is_followed, step)
        self._calibration.count(probability, is_followed, step)

    def figures(self) -> Figures | None:
        """None of nothing."""
        count = len(self._pairs)
        if not count:
            return None
        missed, followed = self._losses
        share = followed.count / count
        bases = [_log_loss(share, is_followed) for is_followed in (False, True)]
        log_loss = (missed.log_loss + followed.log_loss) / count
        base_log_loss = (missed.count * bases[0] + followed.count * bases[1]) / count
        above = log_loss - base_log_loss
        squares = missed.squared_from(bases[0]) + followed.squared_from(bases[1])
        variance = (
            max(squares - count * above * above, 0.0) / (count - 1) if count > 1 else math.inf
        )
        return Figures(
            outcome_count=count,
            share=share,
            mean_probability=(missed.said + followed.said) / count,
            log_loss=log_loss,
            base_log_loss=base_log_loss,
            base_error=math.sqrt(variance / count * QUESTIONS_PER_PLAY),
            brier=(missed.brier + followed.brier) / count,
            ece=self._calibration.error(),
        )


class Comparison:
    """One model beside another, on the same questions."""

    def __init__(self, play_count_max: int) -> None:
        self._play_count_max = play_count_max
        self._plays: OrderedDict[int, list[tuple[float, float, bool]]] = OrderedDict()
        self._differences: dict[int, float] = {}  # of log-losses, summed over a play
        self._calibrations = (_Calibration(), _Calibration())

    def __len__(self) -> int:
        """Plays that both were asked about."""
        return len(self._plays)

    def add(self, play_no: int, probability: float, other: float, is_followed: bool) -> None:
        self._plays.setdefault(play_no, []).append((probability, other, is_followed))
        difference = _log_loss(probability, is_followed) - _log_loss(other, is_followed)
        self._differences[play_no] = self._differences.get(play_no, 0.0) + difference
        self._count(probability, other, is_followed, 1)
        if len(self._plays) > self._play_count_max:
            oldest, rows = self._plays.popitem(last=False)
            del self._differences[oldest]
            for row in rows:
                self._count(*row, -1)

    def _count(self, probability: float, other: float, is_followed: bool, step: int) -> None:
        ours, theirs = self._calibrations
        ours.count(probability, is_followed, step)
        theirs.count(other, is_followed, step)

    def worse_by(self) -> tuple[float, float]:
        """How much larger this one's log-loss is than the other's, and the standard error of that.
        Positive: this one is worse. A play counts once, however often it was asked about."""
        count = len(self._plays)
        if count < 2:
            return 0.0, math.inf
        differences = [
            self._differences[play_no] / len(rows) for play_no, rows in self._plays.items()
        ]
        mean = math.fsum(differences) / count
        variance = math.fsum((value - mean) ** 2 for value in differences) / (count - 1)
        return mean, math.sqrt(variance / count)

    def ece_worse_by(self) -> float:
        """How much larger this one's calibration error is. Few outcomes make every model look
        uncalibrated, but both alike."""
        ours, theirs = self._calibrations
        return ours.error() - theirs.error()


def _log_loss(probability: float, is_followed: bool) -> float:
    right = probability if is_followed else 1.0 - probability
    return -math.log(min(max(right, _PROBABILITY_MIN), 1.0))
