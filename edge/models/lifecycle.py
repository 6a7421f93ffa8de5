"""The life of models on one edge: a machine over edge.models.events.

    registry -> fetched -> verified -> warmed -> shadow -> active -> retired
                   |          |          |         |         |
                   +----------+-- refused+---------+         +--> rolled back

There is one active model, or none: then the rule serves. Beside it runs at most one other. A new
model first answers as a shadow: its answers are compared and scored, and nothing is done by them.
If enough is known and it is not worse, the two swap roles in one step, and the model before goes
on answering beside it until the new one has proved itself: going back is then a swap as well. As
long as too little is known, as on a quiet node, everything stays as it is. What was rolled back or
refused is remembered, and not tried again. A model that fails leaves whatever was active as it was.
"""

from __future__ import annotations

import math

from edge.config import EdgeConfig
from edge.effects import Effect
from edge.events import Predicted
from edge.models import verdicts
from edge.models.book import Book, why
from edge.models.contest import Contest
from edge.models.drift import Drift
from edge.models.effects import StartModel, StopModel, SwitchModel
from edge.models.events import (
    HeldModel,
    ModelEvent,
    ModelFetched,
    ModelLost,
    ModelReady,
    ModelRefused,
    ModelsFound,
    ModelsOffered,
    ModelUnusable,
    Refusal,
    ShadowPredicted,
)
from edge.models.figures import ModelsFigures, figures_of
from edge.models.outcomes import Outcomes, Scored
from edge.models.run import Run, Source
from edge.models.supply import Supply
from nearcast.machine import EffectQueue, soonest
from nearcast.record import Recorder
from predictor.kinds import NEXT_EPISODE

JUDGED_EVERY = 10
"""Outcomes between two looks at whether a model is worse."""


class Lifecycle:
    """Starts, compares, switches and stops models."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        outcomes: Outcomes,
        effects: EffectQueue[Effect],
        recorder: Recorder,
    ) -> None:
        self._config = config.models
        self._late_s = config.prefetch.answer_wait_s
        self._restarts_max = config.inference.restarts_max
        self._outcomes = outcomes
        self._effects = effects
        self._book = Book(effects, recorder)
        self._supply = Supply(NEXT_EPISODE, config.models.poll_s, effects)
        self._next_run_id = 1
        self._active: Run | None = None
        self._other: Run | None = None
        """The shadow, or the model before the active one while that is on probation."""
        self._starting: Run | None = None
        """To become active at once: at the start, and to go back to."""
        self._previous: str | None = None
        """The model of the registry to go back to; None: the local one."""
        self._contest: Contest | None = None
        """While two models answer."""
        self._outcome_count = 0
        self._advanced_s = -math.inf
        self._switch_count = 0

    # -- what happens

    def handle(self, event: ModelEvent, now_s: float) -> None:
        match event:
            case ModelsFound():
                self._found(event, now_s)
            case ModelsOffered(offers=offers):
                self._supply.offered(offers)
            case ModelFetched(held=held):
                self._fetched(held, now_s)
            case ModelRefused():
                offer = self._supply.take_failed()
                if offer is not None:
                    self._refused(
                        offer.model_id, offer.manifest_sha256, event.reason, event.detail, now_s
                    )
            case ModelReady():
                self._ready(event, now_s)
            case ModelUnusable(run_id=run_id, reason=reason, detail=detail):
                run = self._run(run_id)
                if run is not None:
                    self._end(run, reason, detail, now_s)
            case ModelLost(run_id=run_id, detail=detail, is_final=is_final):
                self._lost(run_id, detail, is_final=is_final, now_s=now_s)
            case ShadowPredicted():
                run = self._run(event.run_id)
                if run is not None:
                    self._answered(
                        run, event.prediction_id, event.probabilities, event.took_s, now_s
                    )
        self._drop_withdrawn(now_s)
        self.advance(now_s)

    def predicted(self, event: Predicted, now_s: float) -> None:
        """The answer that counts."""
        run = self._run(event.run_id)
        if run is not None:
            self._answered(run, event.prediction_id, event.probabilities, event.took_s, now_s)
            self._consider(now_s)

    def asked(self, row: tuple[float, ...]) -> None:
        """The models were asked about this row."""
        for run in (self._active, self._other):
            if run is not None:
                run.drift.add(row)

    def advance(self, now_s: float) -> None:
        self._outcomes.advance(now_s)
        before, last_s = self._outcome_count, self._advanced_s
        self._advanced_s = now_s
        for scored in self._outcomes.take():
            self._score(scored)
        is_due = self._contest is not None and last_s < self._contest.until_s <= now_s
        if is_due or self._outcome_count // JUDGED_EVERY > before // JUDGED_EVERY:
            self._judge(now_s)
        self._consider(now_s)

    def deadline_s(self, now_s: float) -> float | None:
        contest_s = self._contest.until_s if self._contest is not None else -math.inf
        return soonest(
            self._outcomes.deadline_s(),
            self._supply.deadline_s(now_s),
            contest_s if contest_s > now_s else None,
        )

    # -- the start

    def _found(self, event: ModelsFound, now_s: float) -> None:
        self._book.local = event.local
        remembered = event.remembered
        self._supply.found(event.held, remembered.refused)
        wanted = None
        if remembered.local == event.local:
            wanted, self._previous = remembered.active, remembered.previous
        self._start_active(wanted, now_s)

    def _start_active(self, model_id: str | None, now_s: float) -> None:
        """The model of the registry, if it is there and good, else the local one."""
        held = self._supply.usable(model_id)
        source: Source = "registry" if held is not None else "local"
        self._starting = self._start(source, held, now_s, restarts_max=self._restarts_max)

    def _start(
        self, source: Source, held: HeldModel | None, now_s: float, *, restarts_max: int
    ) -> Run:
        run = Run(
            self._next_run_id,
            source=source,
            folder=held.folder if held is not None else self._book.local,
            manifest_sha256=held.manifest_sha256 if held is not None else "",
            model_id=held.model_id if held is not None else None,
            now_s=now_s,
            window=self._config.window,
        )
        self._next_run_id += 1
        self._effects.emit(
            StartModel(
                run_id=run.run_id,
                folder=run.folder,
                is_fetched=source == "registry",
                restarts_max=restarts_max,
            )
        )
        return run

    # -- from the registry

    def _consider(self, now_s: float) -> None:
        """Fetch the next model, when there is room to try one."""
        if self._other is None and self._starting is None and self._book.local:
            self._supply.fetch(self._active.model_id if self._active else None, now_s)

    def _fetched(self, held: HeldModel, now_s: float) -> None:
        if not self._supply.fetched(held):
            return
        self._book.note(held.model_id, "fetched", "", now_s)
        # One that dies before it has shown anything is not worth a second try.
        self._other = self._start("registry", held, now_s, restarts_max=0)

    def _drop_withdrawn(self, now_s: float) -> None:
        for run in (self._other, self._active):
            if run is None or run.source != "registry":
                continue
            if not self._supply.is_listed(run.model_id):
                self._end(run, "withdrawn", "the registry lists it no more", now_s)

    # -- processes

    def _ready(self, event: ModelReady, now_s: float) -> None:
        run = self._run(event.run_id)
        if run is None:
            return
        if run.model_id not in (None, event.model_id):
            self._end(run, "changed", f"it calls itself {event.model_id}", now_s)
            return
        is_new = run.state == "starting"
        run.is_answering = True
        run.model_id = event.model_id
        if is_new:
            run.drift = Drift(event.feature_names, event.deciles)
            self._book.note(run.name, "verified", "", now_s)
            self._book.note(run.name, "warmed", f"{event.warm_s * 1e6:.0f} us a row", now_s)
        if run is self._starting:
            self._starting = None
            self._activate(run, now_s)
        elif run is self._active:
            self._effects.emit(SwitchModel(run_id=run.run_id))
        elif is_new and event.warm_s > self._config.latency_s_max:
            self._end(run, "slow", f"{event.warm_s:.3f} s for one row", now_s)
        elif is_new and self._active is None:
            # Anything that was signed and tried is better than nothing.
            self._other = None
            self._activate(run, now_s)
        elif is_new:
            assert self._active is not None
            run.became("shadow", now_s)
            outcomes = self._config.shadow_outcomes
            self._contest = Contest(run, self._active, self._config, outcomes=outcomes, now_s=now_s)
            self._book.note(run.name, "shadow", "", now_s)

    def _activate(self, run: Run, now_s: float) -> None:
        run.became("active", now_s)
        self._active = run
        self._switch_count += 1
        self._effects.emit(SwitchModel(run_id=run.run_id))
        self._book.note(run.name, "active", "", now_s)
        self._remember()

    def _lost(self, run_id: int, detail: str, *, is_final: bool, now_s: float) -> None:
        run = self._run(run_id)
        if run is not None:
            run.is_answering = False
        has_spare = self._other is not None and self._other.state == "previous"
        if run is not None and (is_final or run is self._other or has_spare):
            self._end(run, "failed", detail, now_s)

    # -- how they do

    def _answered(
        self,
        run: Run,
        prediction_id: int,
        rows: tuple[tuple[float, ...], ...],
        took_s: float | None,
        now_s: float,
    ) -> None:
        if run.answered(rows, took_s):
            self._outcomes.answered(prediction_id, run.run_id, rows[0])
        if run.errors_in_a_row > self._config.errors_max or run.answer_count % JUDGED_EVERY == 0:
            self._judge(now_s)

    def _score(self, scored: Scored) -> None:
        for run in (self._active, self._other):
            if run is not None and run.run_id in scored.answers:
                window = run.windows[scored.horizon_index]
                window.add(scored.answers[run.run_id], scored.is_followed)
        self._outcome_count += 1
        if self._contest is not None:
            self._contest.score(scored)

    def _judge(self, now_s: float) -> None:
        contest, active = self._contest, self._active
        reason = contest.reason(now_s) if contest is not None else None
        if contest is not None and reason is not None:
            self._end(contest.newer, reason, why(contest.newer), now_s)
            return
        if active is not None and (contest is None or contest.older is active):
            reason = verdicts.of_active(active, self._config, late_s=self._late_s)
            if reason is not None:
                self._end(active, reason, why(active), now_s)
                return
        if contest is not None and contest.is_over(now_s):
            if contest.newer is active:
                self._settle(contest.older, "", now_s)
            else:
                self._promote(contest.newer, contest.older, now_s)

    def _promote(self, run: Run, before: Run, now_s: float) -> None:
        """Swap roles: both run, so that nothing has to be loaded."""
        self._active, self._other = run, before
        self._previous = before.model_id if before.source == "registry" else None
        run.became("probation", now_s)
        before.became("previous", now_s)
        outcomes = self._config.probation_outcomes
        self._contest = Contest(run, before, self._config, outcomes=outcomes, now_s=now_s)
        self._switch_count += 1
        self._effects.emit(SwitchModel(run_id=run.run_id))
        self._book.note(run.name, "active", "", now_s)
        self._remember()

    # -- ends

    def _end(self, run: Run, reason: Refusal, detail: str, now_s: float) -> None:
        """This model serves no more; what served before goes on, or comes back."""
        if run is self._other and run.state == "previous":
            self._settle(run, detail, now_s)
            return
        self._contest = None
        self._effects.emit(StopModel(run_id=run.run_id))
        if run.source == "registry" and reason != "withdrawn":
            self._supply.refuse(run.name, run.manifest_sha256, reason, detail, now_s)
        if run is self._other:
            self._other = None
            self._book.refused(run.name, reason, detail, now_s)
        elif run is self._starting:
            self._starting = None
            self._book.refused(run.name, reason, detail, now_s)
            self._go_back(run, detail, now_s)
        else:
            self._active = None
            self._book.rolled_back(run.name, reason, detail, now_s)
            self._go_back(run, detail, now_s)
        self._remember()

    def _go_back(self, run: Run, detail: str, now_s: float) -> None:
        """From the active model, or what should have become it, to the next best."""
        other, self._other = self._other, None
        if other is not None and other.state != "starting":
            self._activate(other, now_s)
            return
        if other is not None:  # it is tried again, beside the one that is started now
            self._effects.emit(StopModel(run_id=other.run_id))
        self._effects.emit(SwitchModel(run_id=None, detail=f"{run.name}: {detail}"))
        if run.source == "registry":
            before, self._previous = self._previous, None
            self._start_active(before if before != run.model_id else None, now_s)

    def _settle(self, before: Run, detail: str, now_s: float) -> None:
        """The model before the active one goes: the new one has proved itself, or stands alone."""
        assert self._active is not None
        self._active.became("active", now_s)
        self._other = self._contest = None
        self._effects.emit(StopModel(run_id=before.run_id))
        self._book.note(before.name, "retired", detail, now_s)

    def _refused(
        self, model_id: str, sha256: str, reason: Refusal, detail: str, now_s: float
    ) -> None:
        """It did not get as far as a process."""
        self._supply.refuse(model_id, sha256, reason, detail, now_s)
        self._book.refused(model_id, reason, detail, now_s)
        self._remember()

    # -- for others

    def _run(self, run_id: int | None) -> Run | None:
        for run in (self._active, self._other, self._starting):
            if run is not None and run.run_id == run_id:
                return run
        return None

    def _remember(self) -> None:
        active = self._active if self._active is not None else self._starting
        others = (
            self._other.model_id if self._other is not None else None,
            self._supply.fetching_id,
        )
        kept = self._book.remember(active, self._previous, others, self._supply.refused)
        self._supply.keep(kept)

    def figures(self, now_s: float) -> ModelsFigures:
        """What runs, how it does, and what was refused."""
        runs = [run for run in (self._active, self._other, self._starting) if run is not None]
        return ModelsFigures(
            models=tuple(figures_of(run, now_s) for run in runs),
            fetching=self._supply.fetching_id,
            compared_count=len(self._contest) if self._contest is not None else 0,
            decides_count=self._contest.decides(now_s) if self._contest is not None else 0,
            pending_count=len(self._outcomes),
            lost_count=self._outcomes.lost_count,
            switch_count=self._switch_count,
            refusals=dict(sorted(self._book.refusals.items())),
            rollbacks=dict(sorted(self._book.rollbacks.items())),
            refused=self._supply.refused,
        )
