"""Trains, quantises, exports and measures the bandwidth model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from nearcast.seeds import Seeds
from predictor.bandwidth import file
from predictor.bandwidth.features import FEATURE_NAMES, FEATURE_VERSION
from predictor.bandwidth.file import Golden, ModelFile, Prior
from predictor.bandwidth.model import LEVELS, STANDARDISED_MAX, WINDOWS_S, BandwidthModel
from predictor.train.bandwidth_copula import rank_correlation
from predictor.train.bandwidth_data import Amounts, Data, training_data
from predictor.train.bandwidth_fit import Dense, FitSettings, fit
from predictor.train.bandwidth_rows import Rows, Singles
from predictor.train.bandwidth_traces import Trace

OnProgress = Callable[[str, float], None]

_GOLDEN_ROWS = 8
_GOLDEN_TOLERANCE = 0.01  # log2; other processors sum in another order


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """The model and what it came from."""

    dense: Dense
    model: BandwidthModel
    content: bytes


def fit_model(
    traces: Sequence[Trace],
    *,
    seed: int,
    amounts: Amounts,
    settings: FitSettings,
    data_sha256: Mapping[str, str],
    on_progress: OnProgress = lambda stage, share: None,
) -> Fitted:
    """A model of the traces and of generated ones."""
    seeds = Seeds(seed)
    on_progress("draw sessions", 0.0)
    data = training_data(traces, amounts, seeds)
    dense = fit(
        data.rows,
        shares=data.shares,
        settings=settings,
        seed=seed,
        on_step=lambda step: on_progress("fit", step / settings.steps),
    )
    ranks = rank_correlation(data.rows, answers(dense, data.rows.features))
    found = _model_file(dense, data, ranks, seed=seed, data_sha256=data_sha256)
    content = file.encode(found)
    return Fitted(dense=dense, model=BandwidthModel.load(content), content=content)


def answers(dense: Dense, features: Singles) -> Singles:
    """(n, windows, levels): what the float network says, in log2 ratios."""
    values = ((features - dense.mean) * dense.inverse_sd).clip(-STANDARDISED_MAX, STANDARDISED_MAX)
    for weight, bias in zip(dense.weights[:-1], dense.biases[:-1], strict=True):
        values = np.maximum(values @ weight + bias, 0.0)
    values = values @ dense.weights[-1] + dense.biases[-1]
    windows = len(WINDOWS_S)
    from predictor.bandwidth.model import steps_matrix

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


def _prior(rows: Rows, shares: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Prior:
    """Mean and spread of the levels, families alike."""
    weight = (shares / np.maximum(np.bincount(rows.family, minlength=len(shares)), 1))[rows.family]
    level = np.average(rows.reference, weights=weight)
    spread = np.sqrt(np.average((rows.reference - level) ** 2, weights=weight))
    return Prior(level=round(float(level), 2), spread=round(float(spread), 2))


def _digits(values: Singles, count: int = 6) -> tuple[float, ...]:
    return tuple(float(f"{value:.{count}g}") for value in values)
