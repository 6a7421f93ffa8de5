"""The forecast of many sessions, corrected by what each has seen come true."""

from __future__ import annotations

import numpy as np

from abr.view import Floats, Rungs, View
from nearcast.units import bits_from_bytes
from predictor.bandwidth import BandwidthModel, Forecast, History
from predictor.bandwidth.calibrator import Calibrator


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
