"""Trains, quantises and exports the bandwidth model.

Sessions and windows are drawn from recorded traces and from generated ones, all families alike.
What is shipped learns from all traces; it is measured by fits that did not see what they are asked
about, be it other traces of known families or a family as a whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from nearcast.errors import ModelError
from nearcast.seeds import Seeds
from nearcast.whole_file import write_whole
from predictor.bandwidth import file
from predictor.bandwidth.features import FEATURE_NAMES, FEATURE_VERSION
from predictor.bandwidth.file import Golden, ModelFile, Prior
from predictor.bandwidth.history import Floats
from predictor.bandwidth.model import (
    LEVELS,
    STANDARDISED_MAX,
    WINDOWS_S,
    BandwidthModel,
    steps_matrix,
)
from predictor.train.bandwidth_copula import rank_correlation
from predictor.train.bandwidth_data import Amounts, Data, training_data
from predictor.train.bandwidth_fit import Dense, FitSettings, fit
from predictor.train.bandwidth_generated import generate
from predictor.train.bandwidth_onnx import FLOAT_FILE, INT8_FILE, float_graph, int8_graph
from predictor.train.bandwidth_report import FamilyScores, Report, measure, test_figures
from predictor.train.bandwidth_rows import Rows, Singles
from predictor.train.bandwidth_traces import Trace, is_held_out

OnProgress = Callable[[str, float], None]

FOLDS = 4
_FRESH_TRACES = 40
_GOLDEN_ROWS = 4
_GOLDEN_TOLERANCE = 0.01  # log2; other processors sum in another order


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A network, and the model file made of it."""

    dense: Dense
    found: ModelFile
    content: bytes
    model: BandwidthModel

    def ratios(self, features: Singles) -> Singles:
        """What the float network says, see `answers`."""
        return answers(self.dense, features)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The files' contents, and the figures."""

    fitted: Fitted
    report: Report


def train(
    traces: Sequence[Trace],
    *,
    test: Sequence[Trace] = (),
    left_out: Sequence[str] = (),
    data_sha256: Mapping[str, str],
    seed: int,
    amounts: Amounts,
    settings: FitSettings,
    on_progress: OnProgress,
) -> Trained:
    """The model of all `traces`, measured on `test`, or else by a fit without a fold of them;
    and by a fit without each family in `left_out`."""
    folded = [trace for trace in traces if is_held_out(trace, 0, FOLDS)]
    is_folded = not test and 0 < len(folded) < len(traces)
    fits = 1 + is_folded + len(left_out)
    done = 0

    def fitted(chosen: Sequence[Trace], what: str) -> Fitted:
        nonlocal done
        start, done = done, done + 1
        return fit_model(
            chosen,
            seed=seed,
            amounts=amounts,
            settings=settings,
            data_sha256=data_sha256,
            on_progress=lambda share: on_progress(f"fit {what}", (start + share) / fits),
        )

    seeds = Seeds(seed)
    whole = fitted(traces, "the model")
    if test:
        where = f"{len(test)} traces of other files"
        held = measure(whole.model, whole.ratios, test, seeds)
    elif is_folded:
        chosen = [trace for trace in traces if not is_held_out(trace, 0, FOLDS)]
        other = fitted(chosen, "without a fold")
        where = f"{len(folded)} of {len(traces)} traces, by a fit without them"
        held = measure(other.model, other.ratios, folded, seeds)
    else:
        fresh = generate(_FRESH_TRACES, seeds.stream("bandwidth/fresh"))
        where = f"{len(fresh)} generated traces"
        held = measure(whole.model, whole.ratios, fresh, seeds)
    unseen: dict[str, FamilyScores] = {}
    for family in left_out:
        other = fitted([trace for trace in traces if trace.family != family], f"without {family}")
        of_family = [trace for trace in (*traces, *test) if trace.family == family]
        unseen |= measure(other.model, other.ratios, of_family, seeds)
    report = Report(
        model_id=whole.model.model_id,
        size_bytes=len(whole.content),
        rank_correlation=whole.found.rank_correlation,
        measured_on=where,
        held_out=held,
        left_out=unseen,
        test=test_figures(held),
    )
    return Trained(fitted=whole, report=report)


def write(folder: Path, trained: Trained) -> None:
    """The numpy file and the same network as graphs. Raises ModelError or InputError."""
    fitted = trained.fitted
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / INT8_FILE, int8_graph(fitted.found))
        write_whole(folder / FLOAT_FILE, float_graph(fitted.dense, fitted.found))
        write_whole(folder / file.FILE_NAME, fitted.content)
    except OSError as error:
        raise ModelError(f"cannot write {folder}: {error.strerror or error}") from error


def fit_model(
    traces: Sequence[Trace],
    *,
    seed: int,
    amounts: Amounts,
    settings: FitSettings,
    data_sha256: Mapping[str, str],
    on_progress: Callable[[float], None] = lambda share: None,
) -> Fitted:
    """A model of the traces and of generated ones."""
    on_progress(0.0)
    data = training_data(traces, amounts, Seeds(seed))
    dense = fit(
        data.rows,
        shares=data.shares,
        settings=settings,
        seed=seed,
        on_step=lambda step: on_progress(step / settings.steps),
    )
    ranks = rank_correlation(data.rows, answers(dense, data.rows.features))
    found = _model_file(dense, data, ranks, seed=seed, data_sha256=data_sha256)
    content = file.encode(found)
    return Fitted(dense=dense, found=found, content=content, model=BandwidthModel.load(content))


def answers(dense: Dense, features: Singles) -> Singles:
    """(n, windows, levels): what the float network says, in log2 ratios."""
    values = ((features - dense.mean) * dense.inverse_sd).clip(-STANDARDISED_MAX, STANDARDISED_MAX)
    inputs = values
    for weight, bias in zip(dense.weights[:-1], dense.biases[:-1], strict=True):
        values = np.maximum(values @ weight + bias, 0.0)
    values = np.concatenate([values, inputs], axis=1)
    values = values @ dense.weights[-1] + dense.biases[-1]
    windows = len(WINDOWS_S)
    values[:, windows:] = np.logaddexp(values[:, windows:], np.float32(0.0))
    ratios = values @ steps_matrix(windows, len(LEVELS))
    return np.asarray(ratios, dtype=np.float32).reshape(-1, windows, len(LEVELS))


def _model_file(
    dense: Dense,
    data: Data,
    ranks: tuple[float, ...],
    *,
    seed: int,
    data_sha256: Mapping[str, str],
) -> ModelFile:
    layers = tuple(
        file.quantized(weight, bias)
        for weight, bias in zip(dense.weights, dense.biases, strict=True)
    )
    rows = data.rows.features[:: max(1, len(data.rows) // _GOLDEN_ROWS)][:_GOLDEN_ROWS]
    rows = np.round(rows.astype(np.float64), 4).astype(np.float32)
    body = "".join(layer.weights for layer in layers).encode()
    found = ModelFile(
        kind="bandwidth",
        format_version=file.FORMAT_VERSION,
        model_id=f"bandwidth-{hashlib.sha256(body).hexdigest()[:12]}",
        feature_version=FEATURE_VERSION,
        feature_names=FEATURE_NAMES,
        levels=LEVELS,
        windows_s=WINDOWS_S,
        rank_correlation=ranks,
        prior=_prior(data.rows, data.shares),
        mean=_digits(dense.mean),
        inverse_sd=_digits(dense.inverse_sd),
        layers=layers,
        golden=Golden(inputs=(), outputs=(), tolerance=_GOLDEN_TOLERANCE),
        seed=seed,
        created_by=f"nearcast {version('nearcast')}",
        training_data_sha256=dict(data_sha256),
    )
    ratios = BandwidthModel(found, is_checked=False).ratios(rows)
    golden = Golden(
        inputs=tuple(_digits(row) for row in rows),
        outputs=tuple(_digits(row, 5) for row in ratios),
        tolerance=_GOLDEN_TOLERANCE,
    )
    return _replace(found, golden)


def _replace(found: ModelFile, golden: Golden) -> ModelFile:
    fields = {name: getattr(found, name) for name in found.__struct_fields__}
    return ModelFile(**{**fields, "golden": golden})


def _prior(rows: Rows, shares: Floats) -> Prior:
    """Mean and spread of the levels, families alike."""
    weight = (shares / np.maximum(np.bincount(rows.family, minlength=len(shares)), 1))[rows.family]
    level = np.average(rows.reference, weights=weight)
    spread = np.sqrt(np.average((rows.reference - level) ** 2, weights=weight))
    return Prior(level=round(float(level), 2), spread=round(float(spread), 2))


def _digits(values: Singles, count: int = 6) -> tuple[float, ...]:
    return tuple(float(f"{value:.{count}g}") for value in values)
