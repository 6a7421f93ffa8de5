"""What an edge writes down of its models: for itself, for operators and for reports."""

from __future__ import annotations

from collections.abc import Sequence

from edge.effects import Effect
from edge.models.effects import RememberModels
from edge.models.events import Refusal, RefusedModel, Remembered
from edge.models.records import ModelMoved, ModelState
from edge.models.run import Run
from nearcast.machine import EffectQueue
from nearcast.record import Recorder


class Book:
    """Counts, records, and the memory that outlives the node."""

    def __init__(self, effects: EffectQueue[Effect], recorder: Recorder) -> None:
        self._effects = effects
        self._recorder = recorder
        self.local = ""
        """The setting `prefetch.model`."""
        self.refusals: dict[Refusal, int] = {}
        self.rollbacks: dict[Refusal, int] = {}

    def note(self, model_id: str, state: ModelState, detail: str, now_s: float) -> None:
        """A model has got so far."""
        self._recorder.record(ModelMoved(at_s=now_s, model_id=model_id, state=state, detail=detail))

    def refused(self, model_id: str, reason: Refusal, detail: str, now_s: float) -> None:
        """It came no further."""
        self.refusals[reason] = self.refusals.get(reason, 0) + 1
        self.note(model_id, "refused", _reason(reason, detail), now_s)

    def rolled_back(self, model_id: str, reason: Refusal, detail: str, now_s: float) -> None:
        """It was active, and is no more."""
        self.rollbacks[reason] = self.rollbacks.get(reason, 0) + 1
        self.note(model_id, "rolled back", _reason(reason, detail), now_s)

    def remember(
        self,
        active: Run | None,
        previous: str | None,
        others: Sequence[str | None],
        refused: tuple[RefusedModel, ...],
    ) -> tuple[str, ...]:
        """Have it written down; the ids of the fetched models that are still wanted. `others`
        are those besides the active and the one to go back to."""
        is_fetched = active is not None and active.source == "registry"
        active_id = active.model_id if active is not None and is_fetched else None
        kept = tuple(one for one in (active_id, previous, *others) if one is not None)
        remembered = Remembered(
            local=self.local, active=active_id, previous=previous, refused=refused
        )
        self._effects.emit(RememberModels(remembered=remembered, kept=kept))
        return kept


def why(run: Run) -> str:
    """In figures, for whoever reads that a model was given up."""
    p99_s = run.p99_s()
    parts = [f"{run.errors_in_a_row} errors in a row"] if run.errors_in_a_row else []
    for words, window in zip(("30 min", "24 h", "7 d"), run.windows, strict=True):
        figures = window.figures()
        if figures is not None:
            parts.append(
                f"{words}: log-loss {figures.log_loss:.3f} (base {figures.base_log_loss:.3f}), "
                f"calibration error {figures.ece:.3f}, {figures.outcome_count} outcomes"
            )
    if p99_s is not None:
        parts.append(f"p99 {p99_s * 1e3:.1f} ms")
    return ", ".join(parts)


def _reason(reason: Refusal, detail: str) -> str:
    return f"{reason}: {detail}" if detail else reason
