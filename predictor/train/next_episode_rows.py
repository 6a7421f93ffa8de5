"""The rows that plays give: one for every checkpoint they reached, and one for their end."""

from __future__ import annotations

import msgspec
import numpy as np

from predictor.columns import Plays, reached, rows_at, rows_at_end
from predictor.features import CHECKPOINTS
from predictor.train.network import Array


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of plays at all stages."""

    features: Array
    labels: Array
    chance: Array  # of taking part in an epoch


def training_rows(plays: Plays) -> Rows:
    """A row for every checkpoint each play reached, and one for its end; with labels."""
    parts = [reached(plays, checkpoint) for checkpoint in CHECKPOINTS]
    rows = [rows_at(part, at) for part, at in zip(parts, CHECKPOINTS, strict=True)]
    # The same for plays that end early and late: dealt out among the checkpoints a play reached,
    # those who leave soon counted most at the first ones, which then foretold too little.
    chances = [np.ones(len(plays))] + [np.full(len(part), 1 / len(CHECKPOINTS)) for part in parts]
    return Rows(
        features=np.concatenate([rows_at_end(plays), *rows]),
        labels=np.concatenate([plays.labels, *(part.labels for part in parts)]),
        chance=np.concatenate(chances).astype(np.float32),
    )
