"""Whatever a client saw, forecasts are numbers in order."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from predictor.bandwidth import BandwidthModel, History
from predictor.bandwidth.calibrator import Calibrator
from predictor.bandwidth.features import RATE_KBPS_MIN

ROWS, WIDTH = 3, 24
SHAPE = (ROWS, WIDTH)


def numbers(low: float, high: float) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float64, SHAPE, elements=st.floats(low, high))


@st.composite
def histories(draw: st.DrawFn) -> History:
    counts = draw(arrays(np.int64, ROWS, elements=st.integers(0, WIDTH)))
    known = np.arange(WIDTH) >= WIDTH - counts[:, None]

    def samples(low: float, high: float) -> np.ndarray:
        return np.where(known, draw(numbers(low, high)), np.nan)

    sizes = draw(arrays(np.float64, ROWS, elements=st.floats(0.0, 1e9) | st.just(np.nan)))
    return History(
        samples_kbps=samples(0.0, 1e7),
        samples_bytes=samples(0.0, 1e9),
        samples_duration_s=samples(0.0, 1e4),
        samples_ttfb_s=samples(0.0, 60.0),
        samples_gap_s=samples(0.0, 1e5),
        samples_hit=draw(arrays(np.bool_, SHAPE)) & known,
        gap_s=draw(arrays(np.float64, ROWS, elements=st.floats(0.0, 1e6))),
        size_bytes=sizes,
    )


@settings(max_examples=60, deadline=None)
@given(histories(), st.booleans(), arrays(np.float64, ROWS, elements=st.floats(0.0, 1e7)))
def test_quantiles_are_numbers_in_order(
    history: History, for_hit: bool, outcome_kbps: np.ndarray
) -> None:
    model = BandwidthModel.shipped()
    forecast = model.forecast(history, for_hit=for_hit)
    calibrator = Calibrator(model.levels, ROWS)
    for _ in range(3):
        assert np.isfinite(forecast.kbps).all()
        assert (forecast.kbps >= RATE_KBPS_MIN * 0.999).all()
        assert (np.diff(forecast.kbps, axis=2) >= 0.0).all()
        rank = forecast.rank(outcome_kbps)
        assert ((rank > 0.0) & (rank < 1.0)).all()
        calibrator.observe(np.arange(ROWS), rank)
        forecast = calibrator.apply(forecast)
