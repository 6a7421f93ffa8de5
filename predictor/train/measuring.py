"""What is measured of a trained model, and on which rows: the end of plays, and each checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import numpy as np

from predictor.bench import Latency
from predictor.calibrate import Scores, mean_scores, scores
from predictor.columns import END, HORIZONS, Plays, reached, rows_at, rows_at_end
from predictor.features import CHECKPOINTS
from predictor.runtime import Graph
from predictor.train.baselines import Answers
from predictor.train.network import Array
from predictor.viewing.agreement import Row

MEASURE_BATCH = 256
_SHIFT_ROWS = 2000

OnProgress = Callable[[str, float], None]
ByStage = dict[str, dict[str, Scores]]  # stage -> horizon or "all" -> scores


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was trained and how good it is. `test` is at the end of plays that no part of training
    or calibration saw."""

    model_id: str
    seed: int
    source: str  # what the plays to learn from are
    plays: int
    test_plays: int
    test: dict[str, dict[str, Scores]]  # horizon or "all" -> float/int8
    checkpoints: dict[str, dict[str, dict[str, Scores]]]  # "0.10".. -> horizon -> float/int8
    baselines: dict[str, ByStage]  # name -> stage -> horizon
    unseen: dict[str, Scores]  # at the end of training plays, by the network kept from each
    int8_shift_max: float  # largest move of a probability from float to int8, row by row
    int8_batch_shift_max: float  # largest move between asking alone and in a batch of 256
    size_bytes: int
    size_bytes_float: int
    latency_s: dict[str, dict[str, float]]  # batch 1; CPU time
    latency_by_batch_s: dict[str, tuple[Latency, ...]]
    agreement: tuple[Row, ...]  # of drawn plays with the statistics they were fitted to
    agreement_share: float | None  # of those rows, met within 10 %


class GraphAnswers:
    """A graph asked in batches, as a baseline is."""

    def __init__(self, model: bytes, source: str) -> None:
        self.graph = Graph(model, source=source)

    def probabilities(self, rows: Array) -> Array:
        starts = range(0, len(rows), MEASURE_BATCH)
        return np.concatenate([self.graph.run(rows[at : at + MEASURE_BATCH]) for at in starts])


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Scores by stage."""

    test: dict[str, dict[str, Scores]]
    checkpoints: dict[str, dict[str, dict[str, Scores]]]
    baselines: dict[str, ByStage]


def measure_stages(
    models: Mapping[str, Answers],
    baselines: Mapping[str, Answers],
    plays: Plays,
    on_progress: OnProgress,
) -> Measured:
    """The models and their baselines, on the same rows of each stage."""
    stages: list[tuple[str, float | str]] = [(f"{at:.2f}", at) for at in CHECKPOINTS]
    checkpoints: dict[str, dict[str, dict[str, Scores]]] = {}
    by_baseline: dict[str, ByStage] = {name: {} for name in baselines}
    for done, (name, stage) in enumerate([(END, END), *stages]):
        on_progress(f"measure, stage {name}", done / (len(stages) + 1))
        if stage != END and not (plays.completion >= float(stage)).any():
            continue
        table = by_horizon({**models, **baselines}, plays, stage)
        checkpoints[name] = {
            horizon: {kind: row[kind] for kind in models} for horizon, row in table.items()
        }
        for baseline, by_stage in by_baseline.items():
            by_stage[name] = {horizon: row[baseline] for horizon, row in table.items()}
    return Measured(test=checkpoints.pop(END), checkpoints=checkpoints, baselines=by_baseline)


def by_horizon(
    answers: Mapping[str, Answers], plays: Plays, stage: float | str
) -> dict[str, dict[str, Scores]]:
    """Horizon, and "all" for the mean over horizons -> who answered -> scores."""
    if isinstance(stage, str):
        rows = rows_at_end(plays)
    else:
        plays = reached(plays, stage)
        rows = rows_at(plays, stage)
    table: dict[str, dict[str, Scores]] = {name: {} for name in (*HORIZONS, "all")}
    for who, answering in answers.items():
        probabilities = answering.probabilities(rows)
        parts = [scores(probabilities[:, at], plays.labels[:, at]) for at in range(len(HORIZONS))]
        for horizon, part in zip(HORIZONS, parts, strict=True):
            table[horizon][who] = part
        table["all"][who] = mean_scores(parts)
    return table


def shifts(models: Mapping[str, GraphAnswers], rows: Array) -> tuple[float, float]:
    """Largest moves of a probability: float to int8, and int8 alone to int8 in a batch."""
    chosen = rows[np.linspace(0, len(rows) - 1, _SHIFT_ROWS).astype(int)]
    alone = np.concatenate([models["int8"].graph.run(row[None, :]) for row in chosen])
    together = models["int8"].probabilities(chosen)
    exact = models["float"].probabilities(chosen)
    return float(np.abs(alone - exact).max()), float(np.abs(alone - together).max())
