"""The forecast of many sessions, corrected by what each has seen come true."""

from __future__ import annotations

import msgspec
import numpy as np

from abr.view import Floats, Rungs, View
from nearcast.units import bits_from_bytes
from predictor.bandwidth import BandwidthModel, Forecast, History
from predictor.bandwidth.calibrator import Calibrator

RANK_CORRELATION_MIN = 0.01
"""Less, or opposed, counts as unrelated: each window is drawn afresh."""


class Outlooks(msgspec.Struct, frozen=True, kw_only=True):
    """Forecasts of the same sessions, by where the next segments come from."""

    miss: Forecast
    hit: Forecast
    unsaid: Forecast
    """Where the edge did not say."""


class Outlook:
    """Asks the model, and keeps score of it.

    A forecast is of what a miss would get, so it is judged by misses alone, each by the forecast
    that was given for it.
    """

    def __init__(self, model: BandwidthModel, session_count: int) -> None:
        self._model = model
        self._calibrator = Calibrator(model.levels, session_count)
        self._given: Floats = np.full((session_count, len(model.levels)), np.nan)
        self._judged: Floats = np.full(session_count, np.nan)
        """What the newest sample was when the last forecast was given."""
        self._index: Rungs = np.full(session_count, -1)
        """Which segment it was given for. Samples alone do not tell: on a steady link two that
        follow each other are equal, or not, by rounding."""

    @property
    def window_starts_s(self) -> Floats:
        return np.array([start for start, _ in self._model.windows_s])

    def given(self, session: int) -> Forecast | None:
        """The forecast of what comes next that this session was given last, one row and window."""
        kbps = self._given[session]
        if np.isnan(kbps[0]):
            return None
        return Forecast(levels=self._model.levels, kbps=kbps[None, None].copy())

    def rank_correlations(self, moments_s: Floats) -> Floats:
        """(moments - 1,): of the rank at each of the rising moments with the rank at the next one.
        It fades with time, as fast as the trainer found it to do from each window to the next, and
        behind the last one as fast as before it."""
        fading = -np.log(np.maximum(self._model.rank_correlation, RANK_CORRELATION_MIN))
        starts_s = self.window_starts_s
        per_s = np.append(fading / np.diff(starts_s), 0.0)
        per_s[-1] = per_s[-2]
        faded = np.append(0.0, np.cumsum(fading))
        window = np.searchsorted(starts_s, moments_s, side="right") - 1
        faded_by = faded[window] + per_s[window] * (moments_s - starts_s[window])
        correlations: Floats = np.exp(-np.diff(faded_by))
        return correlations

    def of_miss(self, view: View) -> Forecast:
        """What the next segments would get across the backhaul."""
        self._judge(view)
        forecast = self._model.forecast(_history(view), prior=view.prior)
        at = view.session
        forecast = self._calibrator.apply(forecast, at)
        self._given[at] = forecast.kbps[:, 0]
        return forecast

    def of_hit(self, view: View) -> Forecast:
        """What they would get from the edge's store."""
        return self._model.forecast(_history(view), for_hit=True, prior=view.prior)

    def _judge(self, view: View) -> None:
        at = view.session
        newest = view.history.kbps[:, -1]
        is_new = (view.segment_index != self._index[at]) | (newest != self._judged[at])
        is_new &= ~np.isnan(newest) & ~view.history.is_hit[:, -1]
        is_new &= ~np.isnan(self._given[at, 0])
        rows = np.flatnonzero(is_new)
        if rows.size:
            given = Forecast(levels=self._model.levels, kbps=self._given[at[rows], None])
            self._calibrator.observe(at[rows], given.rank(newest[rows]))
        self._judged[at] = newest
        self._index[at] = view.segment_index


def _history(view: View) -> History:
    """What the model is asked about: the segment due, at the rung before."""
    rung = np.maximum(view.last_rung, 0)
    size_bits = np.take_along_axis(view.sizes_bits[:, 0, :], rung[:, None], axis=1)[:, 0]
    seen = view.history
    return History(
        samples_kbps=seen.kbps,
        samples_bytes=seen.bytes,
        samples_duration_s=seen.duration_s,
        samples_ttfb_s=seen.ttfb_s,
        samples_gap_s=seen.gap_s,
        samples_hit=seen.is_hit,
        gap_s=view.gap_s,
        size_bytes=size_bits / bits_from_bytes(1),
    )
