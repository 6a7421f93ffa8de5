"""What the part that keeps models wants done; the order is in edge.models.events."""

from __future__ import annotations

from edge.effects import Effect
from edge.models.events import Offer, Remembered


class ModelEffect(Effect, frozen=True, kw_only=True):
    """Something to do with models."""


class FetchModel(ModelEffect, frozen=True, kw_only=True):
    """Bring this model into the store."""

    offer: Offer


class StartModel(ModelEffect, frozen=True, kw_only=True):
    """Verify and load a model in a process of its own. `folder` may be `default`."""

    run_id: int
    folder: str
    is_fetched: bool
    """From the registry: only with a signature."""
    restarts_max: int
    """In a row, when its process dies."""


class SwitchModel(ModelEffect, frozen=True, kw_only=True):
    """From now on this run's answers count; None: no model's, for the reason in `detail`."""

    run_id: int | None
    detail: str = ""


class StopModel(ModelEffect, frozen=True, kw_only=True):
    run_id: int


class RememberModels(ModelEffect, frozen=True, kw_only=True):
    """Write this down, and let go the fetched models that are not among `kept`."""

    remembered: Remembered
    kept: tuple[str, ...]
