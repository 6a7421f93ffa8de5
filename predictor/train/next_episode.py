"""Trains, calibrates, exports, quantises and measures the next-episode model.

Each play gives a row for every checkpoint it reached and one for its end; each network learns from
every end and from a draw of the checkpoints. The model is the mean of a few networks, each of which
was kept from one fold of the viewers and taught by trees that were too (`predictor.train.boosted`):
that fold chooses its epoch and tells how to calibrate, so no row is calibrated by a network that
knows it. Calibration is fitted twice, for the float graphs and again for the int8 ones, because
quantising moves the log-odds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from nearcast.seeds import Seeds
from nearcast.whole_file import write_whole
from predictor import artifact
from predictor.artifact import Manifest
from predictor.bench import measure
from predictor.calibrate import Floats, Scores, fit_platt, log_odds, scores
from predictor.columns import HORIZONS, Plays, rows_at_end
from predictor.export import to_onnx, with_platt
from predictor.features import FEATURE_NAMES
from predictor.quantize import quantize_int8
from predictor.train.baselines import Answers, fit_baselines
from predictor.train.boosted import BoostSettings, Teacher, lesson
from predictor.train.measuring import (
    MEASURE_BATCH,
    GraphAnswers,
    OnProgress,
    Report,
    measure_stages,
    shifts,
)
from predictor.train.network import FitSettings, Network, Ramps, fit
from predictor.train.next_episode_card import golden_of, manifest_of, metrics_of, reference_of
from predictor.train.next_episode_data import Data, fold_of
from predictor.train.next_episode_rows import Rows, training_rows

MEMBERS_DEFAULT = 4
_TEST_FOLDS = 5  # one of them measures, where no test is given
_STAGE_COLUMNS = tuple(FEATURE_NAMES.index(name) for name in ("progress", "has_ended"))
_SPREAD_EVERY = 8  # a row in so many tells how far networks differ


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """The files' contents; `write` makes a folder of them."""

    model: bytes
    model_float: bytes
    manifest: Manifest
    report: Report


def train(
    data: Data,
    *,
    test: Plays | None,
    seed: int,
    members: int = MEMBERS_DEFAULT,
    settings: FitSettings = FitSettings(),  # noqa: B008 - frozen
    boosting: BoostSettings = BoostSettings(),  # noqa: B008 - frozen
    latency_calls: int = 2000,
    on_progress: OnProgress = lambda stage, share: None,
) -> Trained:
    """The same data and seed give the same model, byte for byte. Without `test`, a fifth of the
    groups of plays is kept from training and measured on."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1):  # sums depend on how many threads share them
        plays, own_test = data.plays, test
        if own_test is None:
            is_test = fold_of(plays.viewer, _TEST_FOLDS) == 0
            plays, own_test = data.plays.take(~is_test), data.plays.take(is_test)
        return _train(
            data,
            plays,
            own_test,
            seed=seed,
            members=members,
            settings=settings,
            boosting=boosting,
            latency_calls=latency_calls,
            on_progress=on_progress,
        )


def _train(
    data: Data,
    plays: Plays,
    test: Plays,
    *,
    seed: int,
    members: int,
    settings: FitSettings,
    boosting: BoostSettings,
    latency_calls: int,
    on_progress: OnProgress,
) -> Trained:
    seeds = Seeds(seed)
    fold = fold_of(plays.viewer, members)
    parts = [training_rows(plays.take(fold == at)) for at in range(members)]
    networks = _fit_members(parts, settings, boosting, seeds, on_progress)

    on_progress("calibrate and quantise", 0.0)
    alone = [to_onnx([network]) for network in networks]
    model_float, _ = _calibrated(to_onnx(networks), alone, parts)
    int8_alone = [quantize_int8(one) for one in alone]
    model, unseen = _calibrated(quantize_int8(to_onnx(networks)), int8_alone, parts)
    models = {
        "float": GraphAnswers(model_float, "the float graph"),
        "int8": GraphAnswers(model, "the int8 graph"),
    }

    on_progress("fit the baselines", 0.0)
    stopping = parts[0]
    learning = _joined(parts[1:])
    baselines = fit_baselines(
        learning.features,
        learning.labels,
        (stopping.features, stopping.labels),
        seeds.stream("predictor/baselines"),
        chance=learning.chance,
    )
    measured = measure_stages(models, baselines, test, on_progress)
    test_rows = rows_at_end(test)
    moved = shifts(models, test_rows)
    latency = measure(
        {name: answers.graph for name, answers in models.items()},
        rows=test_rows[:MEASURE_BATCH],
        calls=latency_calls,
    )
    manifest = manifest_of(
        model,
        golden_of(models["int8"].graph, stopping.features),
        reference=reference_of(parts, unseen),
        metrics=metrics_of(measured.test),
        data_sha256=data.sha256,
        seed=seed,
    )
    report = Report(
        model_id=manifest.model_id,
        seed=seed,
        source=data.source,
        plays=len(plays),
        test_plays=len(test),
        test=measured.test,
        checkpoints=measured.checkpoints,
        baselines=measured.baselines,
        unseen=_unseen_scores(parts, unseen),
        int8_shift_max=moved[0],
        int8_batch_shift_max=moved[1],
        size_bytes=len(model),
        size_bytes_float=len(model_float),
        latency_s={
            name: {"p50": rows_[0].p50, "p99": rows_[0].p99} for name, rows_ in latency.items()
        },
        latency_by_batch_s=latency,
        agreement=data.agreement,
        agreement_share=(
            sum(row.agrees for row in data.agreement) / len(data.agreement)
            if data.agreement
            else None
        ),
    )
    return Trained(model=model, model_float=model_float, manifest=manifest, report=report)


def _fit_members(
    parts: list[Rows],
    settings: FitSettings,
    boosting: BoostSettings,
    seeds: Seeds,
    on_progress: OnProgress,
) -> list[Network]:
    """One network per fold, taught by trees that were trained on the others."""
    everything = _joined(parts)
    ramps = Ramps.of(everything.features, settings.quantile_count)
    networks: list[Network] = []

    def shown(member: int) -> Callable[[int, float], None]:
        def show(epoch: int, loss: float) -> None:
            done = (member + epoch / settings.epochs) / len(parts)
            on_progress(f"network {member + 1} of {len(parts)}, epoch {epoch}: {loss:.4f}", done)

        return show

    for at, kept in enumerate(parts):
        rng = seeds.stream(f"predictor/network/{at}")
        learning = _joined([part for other, part in enumerate(parts) if other != at])
        drawn = rng.random(len(learning.chance)) < learning.chance
        on_progress(f"trees {at + 1} of {len(parts)}", at / len(parts))
        teacher = Teacher(learning.features[drawn], learning.labels[drawn], boosting, seed=at + 1)
        rows, answers = lesson(
            learning.features[drawn],
            learning.labels[drawn],
            teacher,
            whole=_STAGE_COLUMNS,
            rng=rng,
        )
        networks.append(
            fit(
                rows,
                answers,
                (kept.features, kept.labels),
                settings=settings,
                rng=rng,
                ramps=ramps,
                on_epoch=shown(at),
            )
        )
    return networks


def _joined(parts: list[Rows]) -> Rows:
    return Rows(
        features=np.concatenate([part.features for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        chance=np.concatenate([part.chance for part in parts]),
    )


def _calibrated(model: bytes, alone: list[bytes], parts: list[Rows]) -> tuple[bytes, list[Floats]]:
    """The graph with its calibration, and what it foretells of each part by the one network that
    has not seen it."""
    networks = [GraphAnswers(one, "the uncalibrated graph") for one in alone]
    odds = [
        log_odds(network.probabilities(part.features))
        for network, part in zip(networks, parts, strict=True)
    ]
    stacked = np.concatenate(odds)
    labels = np.concatenate([part.labels for part in parts]).astype(np.float64)
    weights = np.concatenate([part.chance for part in parts]).astype(np.float64)
    platt = [fit_platt(stacked[:, at], labels[:, at], weights) for at in range(len(HORIZONS))]
    scale, shift = np.array(platt).T
    middle = np.average(stacked, weights=weights, axis=0)
    wider = scale * spread_lost(networks, parts)
    of_mean = np.stack([wider, shift + (scale - wider) * middle], axis=1)
    calibrated = with_platt(model, [(float(a), float(b)) for a, b in of_mean])
    return calibrated, [1.0 / (1.0 + np.exp(-(z * scale + shift))) for z in odds]


def spread_lost(networks: Sequence[Answers], parts: Sequence[Rows]) -> Floats:
    """(horizons,) Variance of one network's log-odds over that of the networks' mean.

    The calibration is of single networks, as only one has not seen a row. Part of their spread is
    noise, which the scale holds down; the mean has less of it and would foretell too tamely.
    Over three splits of real rows this took the ECE at the end of plays from .0124 to .0119.
    Knots and scales by stage gained nothing there (docs/results/next-episode.md).
    """
    rows = np.concatenate([part.features[::_SPREAD_EVERY] for part in parts])
    weights = np.concatenate([part.chance[::_SPREAD_EVERY] for part in parts]).astype(np.float64)
    odds = np.stack([log_odds(network.probabilities(rows)) for network in networks])

    def variance(z: Floats) -> Floats:
        middle = np.average(z, weights=weights, axis=-2, keepdims=True)
        return np.asarray(np.average((z - middle) ** 2, weights=weights, axis=-2))

    spread = np.mean([variance(z) for z in odds], axis=0)
    return np.asarray(spread / np.maximum(variance(odds.mean(axis=0)), 1e-9))


def _unseen_scores(parts: list[Rows], unseen: list[Floats]) -> dict[str, Scores]:
    """Per horizon, at the end of plays: each by the one int8 network that has not seen it."""
    ended = [part.features[:, FEATURE_NAMES.index("has_ended")] > 0.5 for part in parts]
    foretold = np.concatenate([p[at] for p, at in zip(unseen, ended, strict=True)])
    labels = np.concatenate([part.labels[at] for part, at in zip(parts, ended, strict=True)])
    return {name: scores(foretold[:, at], labels[:, at]) for at, name in enumerate(HORIZONS)}


def write(folder: Path, trained: Trained) -> None:
    """The model folder: int8 graph, manifest, and the float graph beside for comparison."""
    artifact.write(folder, trained.model, trained.manifest)
    write_whole(folder / artifact.MODEL_FLOAT_FILE, trained.model_float)
