import math

import pytest

from predictor.features import FEATURE_COUNT, FEATURE_NAMES, WatchContext, smoothed_rate, vector

CONTEXT = WatchContext(
    progress=0.5,
    watched_s=660.0,
    runtime_s=1320.0,
    local_hour=18.0,
    weekend=True,
    run_length=3,
    previous_gap_s=59.0,
    device_tv=True,
    device_mobile=False,
    viewer_rate_30min=0.5,
    viewer_series_rate_30min=0.75,
    episode_no=4,
    season_no=2,
    plays_before_in_session=2,
    session_s=3300.0,
)


def named(context: WatchContext) -> dict[str, float]:
    return dict(zip(FEATURE_NAMES, vector(context), strict=True))


def test_row_has_the_named_values_in_their_order() -> None:
    row = named(CONTEXT)
    assert len(row) == FEATURE_COUNT
    assert row["progress"] == 0.5
    assert row["watched_log_min"] == pytest.approx(math.log(12.0))
    assert row["hour_sin"] == pytest.approx(-1.0)
    assert row["hour_cos"] == pytest.approx(0.0, abs=1e-12)
    assert row["viewer_rate_log_odds"] == 0.0
    assert row["viewer_series_rate_log_odds"] == pytest.approx(math.log(3.0))
    assert row["run_length_log"] == pytest.approx(math.log(3.0))
    assert row["has_ended"] == 0.0


def test_unknown_gap_lies_between_minutes_and_a_week() -> None:
    import msgspec

    def gap(value: float | None) -> float:
        return named(msgspec.structs.replace(CONTEXT, previous_gap_s=value))["previous_gap_log_min"]

    assert gap(60.0) < gap(None) < gap(7 * 86400.0)
    assert gap(float("nan")) == gap(None)


def test_smoothed_rate_starts_at_the_prior_and_follows_the_viewer() -> None:
    assert smoothed_rate(0, 0) == pytest.approx(0.70)
    assert smoothed_rate(0, 90) == pytest.approx(0.07)
    assert smoothed_rate(0, 0, prior=0.4, prior_weight=3.0) == pytest.approx(0.4)
