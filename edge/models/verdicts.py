"""When a model replaces another, and when it is taken back: the rules alone.

A model is worse than another when its log-loss or its calibration error is larger by a margin on
the questions that both answered, and the difference is no chance. Two standard errors are asked for
at the end, more before: who looks fifty times finds chance the more often. Whatever the other one
is like, a model is useless when the share of viewers who go on, said of everybody, does better.
All of this is asked of every horizon, each by itself: what is fetched hangs on all three.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from edge.config import ModelsConfig
from edge.models.events import Refusal
from edge.models.run import Run
from edge.models.score import QUESTIONS_PER_PLAY, Comparison, Figures

EVIDENCE_MIN: Final = 100
"""Plays below which nobody is called worse before the end..."""
EVIDENCE_AT_LAST: Final = 30
"""...and at the end, if a node settles for so few (`models.quiet_outcomes`)."""
ERRORS_OF_BASE: Final = 3.0
"""Standard errors by which a model must be useless, since it is looked at for ever."""
ERRORS_AT_LAST: Final = 2.0
ERRORS_BEFORE: Final = 3.5
SLOWER: Final = 3.0
"""A slow tail that the other model has too on the same questions is the machine's: both must be
asked, and this one be slower by so many times."""


def of_newer(
    run: Run,
    older: Run,
    beside: Sequence[Comparison],
    config: ModelsConfig,
    *,
    is_last: bool,
) -> Refusal | None:
    """Why a model should not become the active one, or not remain it, where the older one still
    answers the same questions. None: nothing is known against it. `beside`: by horizon; `is_last`:
    there will be no further look."""
    reason = _slow(run, older, config.latency_s_max) or _errors(run, config)
    for comparison in beside:
        reason = reason or _worse(comparison, config, is_last=is_last)
    return reason or _useless(run, config)


def of_active(run: Run, config: ModelsConfig, *, late_s: float) -> Refusal | None:
    """Why the only model should be given up: it is compared with itself when it was new, and with
    what anybody could say. `late_s`: answers that took longer were not waited for."""
    p99_s = run.p99_s()
    if p99_s is not None and p99_s > late_s:
        return "slow"
    return _errors(run, config) or _useless(run, config) or _declined(run, config)


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
    margin = max(config.ece_margin, errors * _ece_error(len(beside)))
    return "worse" if beside.ece_worse_by() > margin else None


def _useless(run: Run, config: ModelsConfig) -> Refusal | None:
    for _, figures in _known(run, config):
        above = figures.log_loss - figures.base_log_loss
        if above > max(config.base_margin, ERRORS_OF_BASE * figures.base_error):
            return "worse"
        if figures.ece > config.ece_max + _ece_error(figures.outcome_count / QUESTIONS_PER_PLAY):
            return "worse"
    return None


def _declined(run: Run, config: ModelsConfig) -> Refusal | None:
    for horizon_index, figures in _known(run, config):
        when_new = run.log_loss_when_new.setdefault(horizon_index, figures.log_loss)
        is_declined = figures.log_loss > when_new + config.decline_margin
        if is_declined and figures.log_loss > figures.base_log_loss:
            return "worse"
    return None


def _known(run: Run, config: ModelsConfig) -> Iterator[tuple[int, Figures]]:
    """The horizons of which enough is known to look at a model alone."""
    for horizon_index, window in enumerate(run.windows):
        if len(window) >= min(config.shadow_outcomes, config.window):
            figures = window.figures()
            assert figures is not None
            yield horizon_index, figures


def _ece_error(play_count: float) -> float:
    """The calibration error is no mean of outcomes; its spread is about that of a share."""
    return 0.5 / math.sqrt(play_count)
