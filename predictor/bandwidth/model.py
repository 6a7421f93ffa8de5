"""Quantiles of the throughput ahead, from a small network evaluated with numpy alone.

The network gives, for each window, the median's log2 ratio to the row's reference and the steps
from one quantile to the next; steps pass through softplus, so quantiles cannot cross. The last
layer sees the inputs too: often the best guess is a plain mixture of what was just seen.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from statistics import NormalDist
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.errors import ModelError
from predictor.bandwidth import file
from predictor.bandwidth.features import RATE_KBPS_MIN, compute
from predictor.bandwidth.file import ModelFile, Prior
from predictor.bandwidth.history import Floats, History, only

LEVELS: Final = (0.02, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.98)
WINDOWS_S: Final = ((0.0, 4.0), (4.0, 8.0), (8.0, 12.0), (12.0, 16.0), (16.0, 24.0), (24.0, 32.0))
# An outage is a dozen standard deviations away, and has to be seen as deep as it is.
STANDARDISED_MAX: Final = 20.0
_LOG_RATE_MIN: Final = float(np.log2(RATE_KBPS_MIN))
_LOG_RATE_MAX: Final = 30.0
# What int8 weights answer to a dead link wavers by some percent about an outage's rate. Quantiles a
# hair above it would call an outage that was foreseen an outcome below the forecast.
_LOG_OUTAGE_MAX: Final = _LOG_RATE_MIN + 0.07


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """Quantiles of the throughput of `n` sessions in the windows ahead."""

    levels: Floats
    """(levels,), rising shares."""
    kbps: Floats
    """(n, windows, levels), rising along levels. Window 0 is the transfer asked for, while it
    lasts, or the next 4 s where no size was given; the others are spans of time."""

    def rank(self, kbps: Floats, window: int = 0) -> Floats:
        """(n,): the share of the forecast below what came true; NaN where that is NaN."""
        quantiles = np.log2(self.kbps[:, window])
        level = np.log2(np.maximum(kbps, RATE_KBPS_MIN))
        # Of equal quantiles (an outage foreseen, and come true) the outcome has reached the last.
        below = (quantiles <= level[:, None] + 1e-9).sum(axis=1)
        rows = np.arange(len(level))
        at = np.clip(below, 1, len(self.levels) - 1)
        low, high = quantiles[rows, at - 1], quantiles[rows, at]
        share = np.clip((level - low) / np.maximum(high - low, 1e-9), 0.0, 1.0)
        rank = self.levels[at - 1] + share * (self.levels[at] - self.levels[at - 1])
        # Outside the outermost quantiles: halfway to the end, there is no more to know.
        rank = np.where(below == 0, self.levels[0] / 2.0, rank)
        rank = np.where(below == len(self.levels), (1.0 + self.levels[-1]) / 2.0, rank)
        return np.where(np.isnan(kbps), np.nan, rank)


class BandwidthModel:
    """Forecasts throughput for one session or many; a row's answer depends on that row alone."""

    def __init__(
        self, found: ModelFile, source: str = "the model", *, is_checked: bool = True
    ) -> None:
        self.description = found
        self.model_id = found.model_id
        self.levels: Floats = np.array(found.levels)
        self.windows_s = found.windows_s
        self.rank_correlation: Floats = np.array(found.rank_correlation)
        self.prior = found.prior
        self._normal: Floats = np.array([NormalDist().inv_cdf(level) for level in found.levels])
        self._mean = np.array(found.mean, dtype=np.float32)
        self._inverse_sd = np.array(found.inverse_sd, dtype=np.float32)
        self._layers = [
            (layer.matrix(), np.array(layer.bias, dtype=np.float32)) for layer in found.layers
        ]
        self._ladder = steps_matrix(len(found.windows_s), len(found.levels))
        if is_checked:
            self._check_golden(source)

    @classmethod
    def load(cls, source: Path | str | bytes) -> BandwidthModel:
        """The model in a file or its bytes. Raises InputError, SchemaMismatch or ModelError."""
        if isinstance(source, bytes):
            return cls(file.decode(source, "the model"))
        path = Path(source)
        if path.is_dir():
            path /= file.FILE_NAME
        return cls(file.decode(file.read(path), str(path)), str(path))

    @classmethod
    def shipped(cls) -> BandwidthModel:
        """The model this version comes with, loaded once."""
        return _shipped()

    def forecast(
        self, history: History, *, for_hit: bool = False, prior: Prior | Floats | None = None
    ) -> Forecast:
        """The distribution of the next transfer's throughput, and of the time after it.

        A miss is foreseen from misses, and never above what hits say of the last mile; a hit from
        hits, and never below what misses got through. Rows without a sample answer with `prior`: of
        all rows, or (n, 2) with level and spread of each, NaN for the model's own.
        """
        priors = self._priors(prior)
        if not history.samples_hit.any():
            quantiles = self._log_quantiles(history, priors)
        else:
            hits = self._log_quantiles(only(history, hits=True), priors)
            quantiles = self._log_quantiles(only(history, hits=False), priors)
            seen = history.samples_hit & ~np.isnan(history.samples_kbps)
            rows = np.asarray(seen.any(axis=1)).reshape(-1, 1, 1)
            if for_hit:
                is_miss = ~seen & ~np.isnan(history.samples_kbps)
                missed = np.asarray(is_miss.any(axis=1)).reshape(-1, 1, 1)
                upper = np.where(missed, np.maximum(hits, quantiles), hits)
                quantiles = np.where(rows, upper, quantiles)
            else:
                quantiles = np.where(rows, np.minimum(hits, quantiles), quantiles)
        return Forecast(levels=self.levels, kbps=np.exp2(quantiles))

    def ratios(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, windows x levels): log2 ratios to the reference, of rows from `features.compute`."""
        values = (features - self._mean) * self._inverse_sd
        np.minimum(values, STANDARDISED_MAX, out=values)
        np.maximum(values, -STANDARDISED_MAX, out=values)
        inputs = values
        for weight, bias in self._layers[:-1]:
            values = values @ weight
            values += bias
            np.maximum(values, 0.0, out=values)
        weight, bias = self._layers[-1]
        values = np.concatenate([values, inputs], axis=1) @ weight
        values += bias
        windows = len(self.windows_s)
        values[:, windows:] = np.logaddexp(values[:, windows:], np.float32(0.0))
        return np.asarray(values @ self._ladder)

    def _priors(self, prior: Prior | Floats | None) -> Floats:
        """(n or 1, 2): level and spread."""
        own = np.array([[self.prior.level, self.prior.spread]])
        if prior is None:
            return own
        if isinstance(prior, Prior):
            return np.array([[prior.level, prior.spread]])
        return np.where(np.isnan(prior), own, prior)

    def _log_quantiles(self, history: History, priors: Floats) -> Floats:
        """(n, windows, levels) in log2 kbit/s."""
        shape = (-1, len(self.windows_s), len(self.levels))
        is_known = history.samples_kbps[:, -1] == history.samples_kbps[:, -1]
        if is_known.all():
            return self._from_samples(history).reshape(shape)
        out = np.empty((history.row_count, shape[1] * shape[2]))
        out[:] = np.tile(priors[:, :1] + priors[:, 1:] * self._normal, shape[1])
        if is_known.any():
            out[is_known] = self._from_samples(history.take(is_known))
        return np.clip(out, _LOG_RATE_MIN, _LOG_RATE_MAX).reshape(shape)

    def _from_samples(self, history: History) -> Floats:
        features, reference = compute(history)
        levels: Floats = self.ratios(features).astype(np.float64) + reference[:, None]
        levels[levels < _LOG_OUTAGE_MAX] = _LOG_RATE_MIN
        return np.minimum(levels, _LOG_RATE_MAX, out=levels)

    def _check_golden(self, source: str) -> None:
        golden = self.description.golden
        answers = self.ratios(np.array(golden.inputs, dtype=np.float32))
        shift = float(np.abs(answers - np.array(golden.outputs)).max())
        if not shift <= golden.tolerance:  # also true of NaN
            raise ModelError(
                f"{source} answers its golden rows {shift:.3f} beside what the trainer got "
                f"(allowed {golden.tolerance}); fetch or train the model again"
            )


def steps_matrix(windows: int, levels: int) -> NDArray[np.float32]:
    """Turns medians and steps, (windows + windows x (levels - 1)), into quantiles.

    One product, as it is the same in numpy and in a graph.
    """
    out = np.zeros((windows * levels, windows * levels), dtype=np.float32)
    middle = levels // 2
    for window in range(windows):
        row = slice(window * levels, (window + 1) * levels)
        out[window, row] = 1.0
        for step in range(levels - 1):
            at = windows + window * (levels - 1) + step
            if step < middle:
                out[at, row.start : row.start + step + 1] = -1.0
            else:
                out[at, row.start + step + 1 : row.stop] = 1.0
    return out


@lru_cache(maxsize=1)
def _shipped() -> BandwidthModel:
    return BandwidthModel.load(Path(__file__).parents[1] / "models" / "bandwidth" / file.FILE_NAME)
