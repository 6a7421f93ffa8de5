"""Trains, calibrates, exports, quantises and measures the next-episode model.

Plays are drawn from aggregate statistics and split by viewer: most train, some stop the training
in time, some calibrate. Each play gives a row for every checkpoint it reached and one for its end.
Calibration is fitted twice, for the float graph and again for the int8 graph, because quantising
moves the log-odds. Real plays, where given, are only measured on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from nearcast.seeds import Seeds
from nearcast.whole_file import write_whole
from predictor import artifact
from predictor.artifact import Golden, Manifest
from predictor.bench import measure
from predictor.calibrate import Scores, fit_platt, log_odds
from predictor.columns import END, HORIZONS, Plays, reached, rows_at, rows_at_end
from predictor.export import OPSET, to_onnx, with_platt
from predictor.features import CHECKPOINTS, FEATURE_NAMES, FEATURE_VERSION
from predictor.quantize import quantize_int8
from predictor.runtime import Graph
from predictor.train.agreement import compare
from predictor.train.baselines import fit_baselines
from predictor.train.measuring import (
    MEASURE_BATCH,
    GraphAnswers,
    OnProgress,
    Report,
    by_horizon,
    measure_on_real,
    shifts,
)
from predictor.train.network import Array, FitSettings, fit
from predictor.train.plays import draw_plays
from predictor.train.statistics import ViewingStatistics

PLAYS_DEFAULT = 400_000
# Viewers differ, so a calibration is as good as its viewers are many: with 100 of them the error on
# real plays moved by 0.02 from seed to seed, see docs/results/next-episode.md.
_SHARE_STOPPING, _SHARE_CALIBRATING = 0.10, 0.30
_GOLDEN_ROWS = 24
# Processors with VNNI add int8 products in wider sums; answers may differ by this much, no more.
_GOLDEN_TOLERANCE = 0.03


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The files' contents; `artifact.write` makes a folder of them."""

    model: bytes
    model_float: bytes
    manifest: Manifest
    report: Report


@dataclass(frozen=True, kw_only=True)
class _Split:
    training: Plays
    stopping: Plays
    calibrating: Plays


def train(
    statistics: ViewingStatistics,
    *,
    data_sha256: str,
    test: Plays | None,
    seed: int,
    play_count: int = PLAYS_DEFAULT,
    settings: FitSettings | None = None,
    latency_calls: int = 2000,
    on_progress: OnProgress = lambda stage, share: None,
) -> Trained:
    """Train on drawn plays; the same statistics and seed give the same model, byte for byte."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1):  # sums depend on how many threads share them
        return _train(
            statistics,
            data_sha256=data_sha256,
            test=test,
            seed=seed,
            play_count=play_count,
            settings=settings or FitSettings(),
            latency_calls=latency_calls,
            on_progress=on_progress,
        )


def _train(
    statistics: ViewingStatistics,
    *,
    data_sha256: str,
    test: Plays | None,
    seed: int,
    play_count: int,
    settings: FitSettings,
    latency_calls: int,
    on_progress: OnProgress,
) -> Trained:
    seeds = Seeds(seed)
    on_progress("fit the workload to the statistics", 0.0)
    drawn = draw_plays(
        statistics,
        play_count=play_count,
        seeds=seeds,
        on_step=lambda done, total: on_progress("draw plays", done / total),
    )
    agreement = compare(statistics, drawn)
    split = _split(drawn.plays, seeds.stream("predictor/split"))
    rows, labels = training_rows(split.training)
    stopping = training_rows(split.stopping)
    network = fit(
        rows,
        labels,
        stopping,
        settings=settings,
        rng=seeds.stream("predictor/network"),
        on_epoch=lambda epoch, loss: on_progress(
            f"train, epoch {epoch}, log-loss {loss:.4f}", epoch / settings.epochs_max
        ),
    )
    on_progress("fit the baselines", 0.0)
    baselines = fit_baselines(rows, labels, stopping, seeds.stream("predictor/baselines"))

    on_progress("calibrate and quantise", 0.0)
    held_out, held_out_labels = training_rows(split.calibrating)
    uncalibrated = to_onnx(network)
    model_float = with_platt(uncalibrated, _platt(uncalibrated, held_out, held_out_labels))
    quantised = quantize_int8(uncalibrated)
    model = with_platt(quantised, _platt(quantised, held_out, held_out_labels))

    models = {
        "float": GraphAnswers(model_float, "the float graph"),
        "int8": GraphAnswers(model, "the int8 graph"),
    }
    golden = _golden(models["int8"].graph, held_out)
    on_progress("measure", 0.0)
    drawn_scores = by_horizon(models, split.calibrating, END)
    moved = shifts(models, held_out)
    latency = measure(
        {name: answers.graph for name, answers in models.items()},
        rows=held_out[:MEASURE_BATCH],
        calls=latency_calls,
    )
    measured = measure_on_real(models, baselines, test, on_progress)
    manifest = _manifest(
        model,
        golden,
        metrics=_metrics(measured.test or drawn_scores, "test" if test is not None else "drawn"),
        data_sha256=data_sha256,
        seed=seed,
    )
    report = Report(
        model_id=manifest.model_id,
        seed=seed,
        plays=len(drawn.plays),
        test_plays=len(test) if test is not None else 0,
        test=measured.test,
        checkpoints=measured.checkpoints,
        baselines=measured.baselines,
        drawn=drawn_scores,
        int8_shift_max=moved[0],
        int8_batch_shift_max=moved[1],
        size_bytes=len(model),
        size_bytes_float=len(model_float),
        latency_s={
            name: {"p50": rows_[0].p50, "p99": rows_[0].p99} for name, rows_ in latency.items()
        },
        latency_by_batch_s=latency,
        agreement=agreement,
        agreement_share=sum(row.agrees for row in agreement) / max(1, len(agreement)),
    )
    return Trained(model=model, model_float=model_float, manifest=manifest, report=report)


def training_rows(plays: Plays) -> tuple[Array, Array]:
    """A row for every checkpoint each play reached, and one for its end; with labels."""
    parts = [reached(plays, checkpoint) for checkpoint in CHECKPOINTS]
    rows = [rows_at(part, at) for part, at in zip(parts, CHECKPOINTS, strict=True)]
    labels = [part.labels for part in parts]
    return np.concatenate([*rows, rows_at_end(plays)]), np.concatenate([*labels, plays.labels])


def _split(plays: Plays, rng: np.random.Generator) -> _Split:
    """By viewer: what is measured on a viewer must not have been learnt from them."""
    share = rng.permutation(int(plays.viewer.max()) + 1)[plays.viewer] / (plays.viewer.max() + 1)
    is_calibrating = share < _SHARE_CALIBRATING
    is_stopping = ~is_calibrating & (share < _SHARE_CALIBRATING + _SHARE_STOPPING)
    return _Split(
        training=plays.take(~is_calibrating & ~is_stopping),
        stopping=plays.take(is_stopping),
        calibrating=plays.take(is_calibrating),
    )


def _platt(model: bytes, rows: Array, labels: Array) -> list[tuple[float, float]]:
    answers = log_odds(GraphAnswers(model, "the uncalibrated graph").probabilities(rows))
    return [fit_platt(answers[:, at], labels[:, at].astype(float)) for at in range(len(HORIZONS))]


def _golden(graph: Graph, rows: Array) -> Golden:
    chosen = rows[np.linspace(0, len(rows) - 1, _GOLDEN_ROWS).astype(int)].copy()
    chosen = np.round(chosen, 4)
    answers = np.concatenate([graph.run(row[None, :]) for row in chosen])
    return Golden(
        inputs=tuple(tuple(round(float(v), 4) for v in row) for row in chosen),
        outputs=tuple(tuple(round(float(v), 6) for v in row) for row in answers),
        tolerance=_GOLDEN_TOLERANCE,
    )


def _metrics(table: Mapping[str, Mapping[str, Scores]], name: str) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for horizon in HORIZONS:
        found = table[horizon]["int8"]
        for measure_name in ("auc", "log_loss", "ece"):
            value = round(float(getattr(found, measure_name)), 5)
            metrics[f"{name}_{horizon}_{measure_name}"] = value
    return metrics


def _manifest(
    model: bytes, golden: Golden, *, metrics: dict[str, float], data_sha256: str, seed: int
) -> Manifest:
    sha256 = artifact.digest(model)
    return Manifest(
        format_version=artifact.FORMAT_VERSION,
        kind=artifact.NEXT_EPISODE,
        model_id=f"{artifact.NEXT_EPISODE}-{sha256[:12]}",
        feature_version=FEATURE_VERSION,
        feature_names=FEATURE_NAMES,
        outputs=HORIZONS,
        opset=OPSET,
        precision="int8",
        sha256=sha256,
        size_bytes=len(model),
        golden=golden,
        metrics=metrics,
        training_data_sha256=data_sha256,
        seed=seed,
        created_by=f"nearcast {version('nearcast')}",
    )


def write(folder: Path, trained: Trained) -> None:
    """The model folder: int8 graph, manifest, and the float graph beside for comparison."""
    artifact.write(folder, trained.model, trained.manifest)
    write_whole(folder / artifact.MODEL_FLOAT_FILE, trained.model_float)
