"""What a trained next-episode model says of itself in its manifest."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from predictor.artifact import Golden, Manifest, Reference
from predictor.calibrate import Floats, Scores, reliability
from predictor.columns import HORIZONS
from predictor.export import OPSET
from predictor.features import CHECKPOINTS, FEATURE_NAMES, FEATURE_VERSION
from predictor.kinds import NEXT_EPISODE
from predictor.runtime import Graph
from predictor.train.describing import deciles, describe
from predictor.train.network import Array
from predictor.train.next_episode_rows import Rows

_GOLDEN_ROWS = 24
# Processors with VNNI add int8 products in wider sums; answers may differ by this much, no more.
_GOLDEN_TOLERANCE = 0.03
# An edge asks while an episode plays, mostly from here on: drift is told against such rows.
_REFERENCE_CHECKPOINTS = tuple(at for at in CHECKPOINTS if at >= 0.5)


def _is_reference(rows: Rows) -> np.ndarray:
    """Rows of plays that go on, from half-way."""
    names = {name: at for at, name in enumerate(FEATURE_NAMES)}
    progress, ended = rows.features[:, names["progress"]], rows.features[:, names["has_ended"]]
    return np.asarray((ended < 0.5) & (progress > min(_REFERENCE_CHECKPOINTS) - 1e-3))


def reference_of(parts: list[Rows], unseen: list[Floats]) -> Reference:
    """What rows an edge asks about were like, and how far the answers were right on them; `unseen`
    has the answers to each part by a network that has not seen it."""
    rows = np.concatenate([part.features[_is_reference(part)] for part in parts])
    labels = np.concatenate([part.labels[_is_reference(part)] for part in parts]).astype(float)
    foretold = np.concatenate(
        [p[_is_reference(part)] for p, part in zip(unseen, parts, strict=True)]
    )
    return Reference(
        deciles=deciles(rows, FEATURE_NAMES),
        reliability={
            name: reliability(foretold[:, at], labels[:, at]) for at, name in enumerate(HORIZONS)
        },
    )


def golden_of(graph: Graph, rows: Array) -> Golden:
    chosen = rows[np.linspace(0, len(rows) - 1, _GOLDEN_ROWS).astype(int)].copy()
    chosen = np.round(chosen, 4)
    answers = np.concatenate([graph.run(row[None, :]) for row in chosen])
    return Golden(
        inputs=tuple(tuple(round(float(v), 4) for v in row) for row in chosen),
        outputs=tuple(tuple(round(float(v), 6) for v in row) for row in answers),
        tolerance=_GOLDEN_TOLERANCE,
    )


def metrics_of(table: Mapping[str, Mapping[str, Scores]]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for horizon in HORIZONS:
        found = table[horizon]["int8"]
        for measure_name in ("auc", "log_loss", "ece"):
            value = round(float(getattr(found, measure_name)), 5)
            metrics[f"test_{horizon}_{measure_name}"] = value
    return metrics


def manifest_of(
    model: bytes,
    golden: Golden,
    *,
    reference: Reference,
    metrics: dict[str, float],
    data_sha256: str,
    seed: int,
) -> Manifest:
    return describe(
        NEXT_EPISODE,
        model,
        features=(FEATURE_VERSION, FEATURE_NAMES),
        outputs=HORIZONS,
        opset=OPSET,
        precision="int8",
        golden=golden,
        metrics=metrics,
        reference=reference,
        data_sha256=data_sha256,
        seed=seed,
    )
