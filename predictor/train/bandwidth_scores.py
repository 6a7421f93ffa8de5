"""Measures the bandwidth model on traces, beside the rules that players use.

Two protocols. Windows: the mean of the next 4 s from the last 8 windows of 4 s, as in the
comparisons of estimators, along each trace from its start. Transfers: what everyday players would
get for the object they ask for, in sessions of their own choices on unchanged traces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from predictor.bandwidth.calibrator import Calibrator
from predictor.bandwidth.features import compute
from predictor.bandwidth.history import Floats, History
from predictor.bandwidth.model import LEVELS, WINDOWS_S, BandwidthModel, Forecast
from predictor.train.bandwidth_data import draw_traces, families_of
from predictor.train.bandwidth_rows import Singles, log_rate, windows_kbps
from predictor.train.bandwidth_rules import RULES
from predictor.train.bandwidth_sessions import draw_players, requests
from predictor.train.bandwidth_traces import Links, Trace
from predictor.train.bandwidth_windows import histories

WINDOW_S = 4.0
WINDOWS_SEEN = 8
_WINDOW_ROWS_MAX = 8000
_QUARTER = LEVELS.index(0.25)
_MIDDLE = LEVELS.index(0.5)

Ratios = Callable[[Singles], Singles]


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """One family in one protocol. Errors are means of |log2(forecast / outcome)|."""

    rows: int
    error: float
    """Of the median, by the int8 model."""
    error_float: float
    error_rules: dict[str, float]
    best_rule: str
    error_to_best: float
    below: dict[str, float]
    """Share of outcomes below each quantile."""
    below_quarter_float: float
    below_quarter_calibrated: float | None
    """With the correction learnt within the session; transfers only."""
    below_quarter_windows: tuple[float, ...]
    """Of each window ahead."""
    pinball: float
    """Mean over levels, log2, of the first window."""


def score_windows(model: BandwidthModel, ratios: Ratios, traces: Sequence[Trace]) -> Scores | None:
    """Traces of one family; None if none is long enough."""
    links = Links(traces)
    counts = np.floor(links.duration_s / WINDOW_S + 1e-9).astype(np.int64) - WINDOWS_SEEN
    trace = np.repeat(np.arange(len(traces)), np.maximum(counts, 0))
    if not len(trace):
        return None
    first = np.concatenate([np.arange(max(count, 0)) for count in counts]) + WINDOWS_SEEN
    keep = np.unique(np.linspace(0, len(trace) - 1, _WINDOW_ROWS_MAX).astype(np.int64))
    trace, first = trace[keep], first[keep]
    marks: Floats = (first[:, None] + np.arange(-WINDOWS_SEEN, 1.0)) * WINDOW_S
    kbit = links.kbit_until(np.repeat(trace, WINDOWS_SEEN + 1), marks.ravel())
    seen = np.diff(kbit.reshape(marks.shape), axis=1) / WINDOW_S
    one = np.ones(len(trace))
    now_s = marks[:, -1]
    outcomes = windows_kbps(links, trace, now_s, one, one)
    # A trace's end is not the start of its next lap here: what lies behind it is not known.
    ends_s = np.array([end for _, end in WINDOWS_S])
    outcomes[now_s[:, None] + ends_s > links.duration_s[trace][:, None] + 1e-6] = np.nan
    scored = _Scored(model, ratios)
    scored.add(histories(seen, WINDOW_S), outcomes)
    return scored.scores()


def score_transfers(
    model: BandwidthModel,
    ratios: Ratios,
    traces: Sequence[Trace],
    rng: np.random.Generator,
    *,
    sessions: int = 150,
    steps: int = 40,
) -> Scores:
    """Traces of one family."""
    links = Links(traces)
    (family,) = families_of(traces)
    trace = draw_traces(links, family, sessions, rng)
    players = draw_players(links, trace, np.zeros(sessions, np.int64), rng, is_varied=False)
    scored = _Scored(model, ratios, Calibrator(model.levels, sessions))
    for asked in requests(links, players, rng, steps=steps):
        scored.add(asked.history, asked.outcomes_kbps, asked.sessions)
    return scored.scores()


class _Scored:
    """Collects what a batch of forecasts was worth."""

    def __init__(
        self, model: BandwidthModel, ratios: Ratios, calibrator: Calibrator | None = None
    ) -> None:
        self._model, self._ratios, self._calibrator = model, ratios, calibrator
        self._outcomes: list[Floats] = []
        self._quantiles: list[Floats] = []
        self._floats: list[Floats] = []
        self._corrected: list[Floats] = []
        self._rules: list[Floats] = []

    def add(
        self, history: History, outcomes_kbps: Floats, sessions: np.ndarray | None = None
    ) -> None:
        forecast = self._model.forecast(history)
        features, reference = compute(history)
        floats = self._ratios(features).reshape(forecast.kbps.shape)[:, 0]
        self._outcomes.append(log_rate(outcomes_kbps))
        self._quantiles.append(log_rate(forecast.kbps))
        self._floats.append(log_rate(np.exp2(floats + reference[:, None])))
        self._rules.append(np.stack([log_rate(rule(history)) for rule in RULES.values()], axis=1))
        if self._calibrator is not None and sessions is not None:
            self._correct(forecast, outcomes_kbps[:, 0], sessions)

    def scores(self) -> Scores:
        outcomes, quantiles = np.concatenate(self._outcomes), np.concatenate(self._quantiles)
        floats, rules = np.concatenate(self._floats), np.concatenate(self._rules)
        truth = outcomes[:, 0]
        errors = {name: _mean_abs(rules[:, at] - truth) for at, name in enumerate(RULES)}
        best = min(errors, key=lambda name: errors[name])
        error = _mean_abs(quantiles[:, 0, _MIDDLE] - truth)
        corrected = np.concatenate(self._corrected) if self._corrected else None
        beside = truth[:, None] - quantiles[:, 0]
        levels = np.array(LEVELS)
        return Scores(
            rows=len(truth),
            error=error,
            error_float=_mean_abs(floats[:, _MIDDLE] - truth),
            error_rules=errors,
            best_rule=best,
            error_to_best=round(error / max(errors[best], 1e-9), 4),
            below={
                f"{level:g}": _share(truth < quantiles[:, 0, at]) for at, level in enumerate(LEVELS)
            },
            below_quarter_float=_share(truth < floats[:, _QUARTER]),
            below_quarter_calibrated=None if corrected is None else _share(truth < corrected),
            below_quarter_windows=tuple(
                _share((ahead < quantiles[:, at, _QUARTER])[~np.isnan(ahead)])
                for at, ahead in enumerate(outcomes.T)
            ),
            pinball=round(float(np.maximum(levels * beside, (levels - 1) * beside).mean()), 4),
        )

    def _correct(self, forecast: Forecast, kbps: Floats, sessions: np.ndarray) -> None:
        assert self._calibrator is not None
        corrected = self._calibrator.apply(forecast, sessions)
        self._corrected.append(log_rate(corrected.kbps[:, 0, _QUARTER]))
        self._calibrator.observe(sessions, corrected.rank(kbps))


def _mean_abs(values: Floats) -> float:
    return round(float(np.abs(values).mean()), 4)


def _share(is_so: Floats | np.ndarray) -> float:
    return round(float(np.mean(is_so)), 4) if len(is_so) else 0.0
