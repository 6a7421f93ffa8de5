"""The models inside a simulation, in process: the next-episode model row by row, that of titles."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from nearcast.errors import ModelError
from predictor.recommend.served import TitleModel
from predictor.runtime import NextEpisodeModel, default_model_folder

logger = logging.getLogger(__name__)


class ModelPredictor:
    """Answers from a loaded model. Rows are asked one by one, so that answers repeat exactly."""

    def __init__(self, model: NextEpisodeModel) -> None:
        self.model_id = model.manifest.model_id
        self._model = model

    def probabilities(self, rows: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
        answers = []
        for row in rows:
            batch = np.asarray([row], dtype=np.float32)
            answers.append(tuple(self._model.probabilities(batch)[0].tolist()))
        return tuple(answers)


def load_titles(folder: str) -> TitleModel | None:
    """The model of titles an edge's `titles.model` names; None when it cannot be used."""
    try:
        return TitleModel.load(Path(folder))
    except ModelError as error:
        logger.warning("simulate.no_titles cause=%s", error)
        return None


def load_predictor(setting: str) -> tuple[ModelPredictor | None, str]:
    """The model an edge's `prefetch.model` names, or None and why the rule serves."""
    if setting == "rule":
        return None, "the settings ask for the rule"
    folder = default_model_folder() if setting == "default" else Path(setting)
    try:
        model = NextEpisodeModel.load(folder)
    except ModelError as error:
        logger.warning("simulate.rule_serves cause=%s", error)
        return None, str(error)
    return ModelPredictor(model), ""
