import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from predictor.columns import Plays, rows_at, rows_at_end
from predictor.features import FEATURE_COUNT, WatchContext, vector

anything = st.floats(allow_nan=True, allow_infinity=True)
share = st.floats(0.0, 1.0)


@given(
    numbers=st.tuples(*[anything] * 7),
    counts=st.tuples(*[st.integers(-(10**9), 10**9)] * 4),
    gap=st.none() | anything,
    flags=st.tuples(*[st.booleans()] * 4),
)
def test_every_row_is_bounded_whatever_the_context(
    numbers: tuple[float, ...],
    counts: tuple[int, ...],
    gap: float | None,
    flags: tuple[bool, ...],
) -> None:
    row = vector(
        WatchContext(
            progress=numbers[0],
            watched_s=numbers[1],
            runtime_s=numbers[2],
            local_hour=numbers[3],
            session_s=numbers[4],
            viewer_rate_30min=numbers[5],
            viewer_series_rate_30min=numbers[6],
            run_length=counts[0],
            episode_no=counts[1],
            season_no=counts[2],
            plays_before_in_session=counts[3],
            previous_gap_s=gap,
            weekend=flags[0],
            device_tv=flags[1],
            device_mobile=flags[2],
            has_ended=flags[3],
        )
    )
    assert len(row) == FEATURE_COUNT
    assert all(math.isfinite(value) and -4.0 <= value <= 7.0 for value in row)


@settings(max_examples=50)
@given(
    completion=st.floats(0.0, 1.2),
    checkpoint=share,
    runtime_s=st.floats(10.0, 20_000.0),
    hour=st.floats(0.0, 23.999),
    gap=st.none() | st.floats(0.0, 1e8),
    rates=st.tuples(share, share),
    counts=st.tuples(*[st.integers(0, 80)] * 4),
    before_s=st.floats(0.0, 1e5),
    flags=st.tuples(*[st.booleans()] * 3),
    has_ended=st.booleans(),
)
def test_columns_and_vector_agree(
    completion: float,
    checkpoint: float,
    runtime_s: float,
    hour: float,
    gap: float | None,
    rates: tuple[float, float],
    counts: tuple[int, ...],
    before_s: float,
    flags: tuple[bool, ...],
    has_ended: bool,
) -> None:
    def column(value: float) -> np.ndarray:
        return np.array([float(value)])

    plays = Plays(
        viewer=np.zeros(1, dtype=np.int64),
        completion=column(completion),
        runtime_s=column(runtime_s),
        local_hour=column(hour),
        weekend=column(flags[0]),
        run_length=column(counts[0]),
        previous_gap_s=column(math.nan if gap is None else gap),
        device_tv=column(flags[1]),
        device_mobile=column(flags[2]),
        viewer_rate_30min=column(rates[0]),
        viewer_series_rate_30min=column(rates[1]),
        episode_no=column(counts[1]),
        season_no=column(counts[2]),
        plays_before_in_session=column(counts[3]),
        session_before_s=column(before_s),
        labels=np.zeros((1, 3), dtype=np.float32),
    )
    progress = completion if has_ended else checkpoint
    context = WatchContext(
        progress=progress,
        watched_s=progress * runtime_s,
        runtime_s=runtime_s,
        local_hour=hour,
        weekend=flags[0],
        run_length=counts[0],
        previous_gap_s=gap,
        device_tv=flags[1],
        device_mobile=flags[2],
        viewer_rate_30min=rates[0],
        viewer_series_rate_30min=rates[1],
        episode_no=counts[1],
        season_no=counts[2],
        plays_before_in_session=counts[3],
        session_s=before_s + progress * runtime_s,
        has_ended=has_ended,
    )
    rows = rows_at_end(plays) if has_ended else rows_at(plays, checkpoint)
    np.testing.assert_allclose(rows[0], vector(context), rtol=1e-5, atol=1e-6)
