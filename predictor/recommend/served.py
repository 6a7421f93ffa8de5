"""A title model as a node uses it: the graph of an artifact, and the names of its titles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from nearcast.errors import ModelError, SchemaMismatch
from predictor import artifact
from predictor.artifact import Artifact
from predictor.kinds import RECOMMEND
from predictor.recommend.blend import HISTORY_PLAYS
from predictor.recommend.history import Floats, Ints
from predictor.recommend.recommendations import Recommendation
from predictor.recommend.rows import TitleNumbers
from predictor.runtime import open_graph
from predictor.signature import Trust

TITLES_FILE: Final = "titles.json"
FEATURE_VERSION: Final = 1
FEATURE_NAMES: Final = tuple(f"play_{age}" for age in range(HISTORY_PLAYS, 0, -1))
OUTPUTS: Final = ("scores",)


class TitleModel:
    """Recommends by the graph of an artifact of kind `recommend`."""

    def __init__(self, loaded: Artifact, *, device: str = "cpu") -> None:
        manifest = loaded.manifest
        if manifest.feature_version != FEATURE_VERSION or manifest.feature_names != FEATURE_NAMES:
            raise SchemaMismatch(
                f"the model in {loaded.folder} takes histories of version "
                f"{manifest.feature_version}, this version gives {FEATURE_VERSION}; train it again"
            )
        self.manifest = manifest
        self.numbers = TitleNumbers(_titles(loaded))
        self.graph = open_graph(loaded, device=device)
        width = self.graph.run(as_input([np.zeros(0, dtype=np.int64)])).shape[1]
        if width != len(self.numbers.titles):
            raise SchemaMismatch(
                f"the model in {loaded.folder} answers {width} titles, its {TITLES_FILE} names "
                f"{len(self.numbers.titles)}; train it again"
            )

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu", trust: Trust | None = None) -> TitleModel:
        """The checked and tried model. Raises ModelError, SchemaMismatch or SignatureError."""
        return cls(artifact.load(folder, kind=RECOMMEND, trust=trust), device=device)

    def probabilities(self, history: Ints) -> Floats:
        """(titles,) P(next = title), seen ones included; `history` is (plays,) from 0."""
        return np.asarray(self.graph.run(as_input([history]))[0], dtype=np.float64)

    def top(
        self, history: Sequence[str], count: int, *, exclude_seen: bool = True
    ) -> tuple[Recommendation, ...]:
        """As `predictor.recommend.recommendations.Recommender` promises."""
        plays = self.numbers.history(history)
        return self.numbers.top(self.probabilities(plays), plays, count, exclude_seen=exclude_seen)


def as_input(histories: Sequence[Ints]) -> Ints:
    """(batch, HISTORY_PLAYS) as the graph wants them: numbers from 1, padded with 0 in front."""
    rows = np.zeros((len(histories), HISTORY_PLAYS), dtype=np.int64)
    for row, history in zip(rows, histories, strict=True):
        recent = history[-HISTORY_PLAYS:]
        if len(recent):
            row[-len(recent) :] = recent + 1
    return rows


def _titles(loaded: Artifact) -> tuple[str, ...]:
    if TITLES_FILE not in loaded.files:
        raise SchemaMismatch(f"the model in {loaded.folder} does not name {TITLES_FILE}")
    try:
        titles = msgspec.json.decode(loaded.files[TITLES_FILE], type=tuple[str, ...])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{TITLES_FILE} in {loaded.folder} is no list of titles") from error
    if len(set(titles)) != len(titles):
        raise ModelError(f"{TITLES_FILE} in {loaded.folder} names a title twice")
    return titles
