"""What an edge says about its models."""

from __future__ import annotations

import msgspec

from edge.models.drift import FeatureDrift
from edge.models.events import RefusedModel
from edge.models.run import Run, Source, State
from edge.models.score import Figures

DRIFT_SHOWN = 5


class ModelFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One model that runs."""

    model_id: str | None
    source: Source
    state: State
    state_s: float
    """For how long it has been in this state."""
    is_answering: bool
    """Not while its process is being started, for the first time or anew."""
    answer_count: int
    error_count: int
    p99_s: float | None
    within_30min: Figures | None
    within_24h: Figures | None
    within_7d: Figures | None
    drift_row_count: int
    drift: tuple[FeatureDrift, ...]
    """The features that are furthest from the training rows; none: too few rows, or the model
    does not say what it was trained on."""


class ModelsFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The active model first."""

    models: tuple[ModelFigures, ...]
    fetching: str | None
    compared_count: int
    """Plays on which the two that answer have been compared, within the horizon (half an hour or a
    day) of which less is known."""
    decides_count: int
    """Plays after which it is decided; with fewer both go on answering. 0: nothing to decide."""
    pending_count: int
    """Questions whose outcome is not known yet."""
    lost_count: int
    """Questions that made room before it was."""
    switch_count: int
    refusals: dict[str, int]
    rollbacks: dict[str, int]
    refused: tuple[RefusedModel, ...]


def figures_of(run: Run, now_s: float) -> ModelFigures:
    return ModelFigures(
        model_id=run.model_id,
        source=run.source,
        state=run.state,
        state_s=now_s - run.since_s,
        is_answering=run.is_answering,
        answer_count=run.answer_count,
        error_count=run.error_count,
        p99_s=run.p99_s(),
        within_30min=run.windows[0].figures(),
        within_24h=run.windows[1].figures(),
        within_7d=run.windows[2].figures(),
        drift_row_count=run.drift.row_count,
        drift=run.drift.figures()[:DRIFT_SHOWN],
    )
