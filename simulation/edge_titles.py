"""The model of titles of a simulated edge: asked and answered in virtual time.

What edge.drivers.titles does live: the model is in this process, and its answer comes after what a
scenario says that takes. A test may bring its own, and change it while the edge runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge import effects
from edge.titles.events import NotRecommended, Recommend, Recommended, TitlesModelChanged
from predictor.recommend.recommendations import Recommender
from simulation.edge_models import Feed
from simulation.scenario import Costs
from simulation.scheduler import Scheduler


class EdgeTitles:
    """Answers what titles viewers take up next, once there is a model to ask."""

    def __init__(self, feed: Callable[[], Feed], scheduler: Scheduler, costs: Costs) -> None:
        """`feed` gives the ear of the process that runs."""
        self._ear = feed
        self._scheduler = scheduler
        self._costs = costs
        self._model: Recommender | None = None
        self._model_id = ""
        self._titles: tuple[str, ...] = ()
        self.asked_count = 0
        self.handlers: dict[type[effects.Effect], Callable[..., object]] = {Recommend: self._ask}

    def use(self, model: Recommender, titles: Sequence[str], *, model_id: str) -> None:
        """This one answers from the next `start` on; it knows these titles."""
        self._model, self._model_id, self._titles = model, model_id, tuple(titles)

    def start(self) -> None:
        """The edge's process has begun, or another model is there."""
        if self._model is not None:
            self._ear()(TitlesModelChanged(model_id=self._model_id, titles=self._titles))

    def _ask(self, effect: Recommend) -> None:
        self.asked_count += 1
        feed = self._ear()  # of this process: what it asked for is nobody's when it was killed
        if self._model is None:
            feed(NotRecommended(question_id=effect.question_id, detail="no model"))
            return
        answer = Recommended(
            question_id=effect.question_id, titles=self._model.top(effect.history, effect.count)
        )
        self._scheduler.after(self._costs.predict_s, lambda: feed(answer))
