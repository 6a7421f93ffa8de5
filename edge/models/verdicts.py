"""When a model replaces another, and when it is taken back: the rules alone.

A model is worse than another when its log-loss or its calibration error is larger by a margin on
the questions that both answered, and the difference is no chance. Two standard errors are asked for
at the end, more before: who looks fifty times finds chance the more often.
"""

from __future__ import annotations

from typing import Final

from edge.config import ModelsConfig
from edge.models.events import Refusal
from edge.models.run import Run
from edge.models.score import Comparison

EVIDENCE_MIN: Final = 100
"""Plays below which nobody is called worse before the end..."""
EVIDENCE_AT_LAST: Final = 10
"""...and at the end, when a quiet node has no more."""
ERRORS_AT_LAST: Final = 2.0
ERRORS_BEFORE: Final = 3.5
SLOWER: Final = 3.0
"""A slow tail that the other model has too on the same questions is the machine's: both must be
asked, and this one be slower by so many times."""


def of_newer(
    run: Run, older: Run, beside: Comparison, config: ModelsConfig, *, is_last: bool
) -> Refusal | None:
    """Why a model should not become the active one, or not remain it, where the older one still
    answers the same questions. None: nothing is known against it. `is_last`: there will be no
    further look."""
    slow = _slow(run, older, config.latency_s_max)
    return slow or _errors(run, config) or _worse(beside, config, is_last=is_last)


def of_active(run: Run, config: ModelsConfig, *, late_s: float) -> Refusal | None:
    """Why the only model should be given up. It has nothing to be compared with but itself when
    it was new. `late_s`: answers that took longer were not waited for."""
    p99_s = run.p99_s()
    if p99_s is not None and p99_s > late_s:
        return "slow"
    return _errors(run, config) or _declined(run, config)


def _slow(run: Run, other: Run, latency_s_max: float) -> Refusal | None:
    p99_s, other_s = run.p99_s(), other.p99_s()
    if p99_s is None or p99_s <= latency_s_max:
        return None
    return "slow" if other_s is None or p99_s > SLOWER * other_s else None


def _errors(run: Run, config: ModelsConfig) -> Refusal | None:
    return "errors" if run.errors_in_a_row > config.errors_max else None


def _worse(beside: Comparison, config: ModelsConfig, *, is_last: bool) -> Refusal | None:
    if len(beside) < (EVIDENCE_AT_LAST if is_last else EVIDENCE_MIN):
        return None
    errors = ERRORS_AT_LAST if is_last else ERRORS_BEFORE
    worse_by, error = beside.worse_by()
    if worse_by > max(config.log_loss_margin, errors * error):
        return "worse"
    # The calibration error is no mean of outcomes; its spread is about that of a share.
    error = 0.5 / len(beside) ** 0.5
    return "worse" if beside.ece_worse_by() > max(config.ece_margin, errors * error) else None


def _declined(run: Run, config: ModelsConfig) -> Refusal | None:
    window = run.windows[0]
    if len(window) < min(config.shadow_outcomes, config.window):
        return None
    figures = window.figures()
    assert figures is not None
    if run.log_loss_when_new is None:
        run.log_loss_when_new = figures.log_loss
    is_declined = figures.log_loss > run.log_loss_when_new + config.decline_margin
    return "worse" if is_declined and figures.log_loss > figures.base_log_loss else None
