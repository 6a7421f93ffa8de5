"""Demand of the next day or week, from an artifact of kind `demand`.

The graph holds the trees: features in, corrections out, one per quantile, as log ratios to what the
decay table expects. The table travels beside it as `decay.json`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nearcast.errors import ModelError, SchemaMismatch
from predictor import artifact
from predictor.artifact import Artifact
from predictor.demand.causal import causal
from predictor.demand.features import FEATURE_NAMES, FEATURE_VERSION, rows_at
from predictor.demand.history import DemandHistory, Floats, check_history
from predictor.demand.table import (
    OUTPUTS,
    TABLE_FILE,
    DecayTable,
    check_fits,
    decode_table,
    outlooks,
)
from predictor.kinds import DEMAND
from predictor.runtime import open_graph
from predictor.signature import Trust


class DemandModel:
    """Foresees one period: next day's demand and next week's are two models."""

    def __init__(self, loaded: Artifact) -> None:
        manifest = loaded.manifest
        if (
            manifest.feature_version != FEATURE_VERSION
            or manifest.feature_names != FEATURE_NAMES
            or manifest.outputs != OUTPUTS
        ):
            raise SchemaMismatch(
                f"the demand model in {loaded.folder} was trained on features of version "
                f"{manifest.feature_version}, this version computes {FEATURE_VERSION}; "
                "train the model again"
            )
        self.manifest = manifest
        self.table = table_of(loaded)
        self._graph = open_graph(loaded)

    @classmethod
    def load(cls, folder: Path, *, trust: Trust | None = None) -> DemandModel:
        """The checked and tried model. Raises ModelError, SchemaMismatch or SignatureError."""
        return cls(artifact.load(Path(folder), kind=DEMAND, trust=trust))

    @property
    def period(self) -> str:
        return self.table.period

    def forecast(self, history: DemandHistory) -> Floats:
        """(titles, regions, 3): the amounts of the period after the last at QUANTILES.

        0 where nothing can be said: a title not seen yet, or not named by the list's last period.
        Raises SchemaMismatch for a history of other periods, InputError for a broken one.
        """
        check_history(history)
        check_fits(self.table, history)
        known = causal(history)
        *_, outlook = outlooks(history, self.table, known)
        at = history.period_count - 1
        rows = rows_at(history, self.table, known, outlook, at)
        answer = np.zeros((*history.amounts.shape[:2], len(OUTPUTS)))
        if len(rows.base):
            corrections = self._graph.run(rows.features)
            answer[rows.title, rows.region] = corrected(rows.base, corrections, self.table.floor)
        return answer


def corrected(base: Floats, corrections: NDArray[np.floating], floor: float) -> Floats:
    """(rows, 3) amounts, from 0 and rising: quantiles fitted one by one may cross."""
    ratio = np.exp(np.clip(corrections.astype(np.float64), -20.0, 20.0))
    return np.sort(np.maximum((base + floor)[:, None] * ratio - floor, 0.0), axis=1)


def table_of(loaded: Artifact) -> DecayTable:
    """The decay table of an artifact: it needs no runtime. Raises ModelError, SchemaMismatch."""
    if TABLE_FILE not in loaded.files:
        raise ModelError(f"the demand model in {loaded.folder} lacks {TABLE_FILE}")
    return decode_table(loaded.files[TABLE_FILE], f"{loaded.folder}/{TABLE_FILE}")
