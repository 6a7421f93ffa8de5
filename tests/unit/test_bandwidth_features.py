"""The inputs of the bandwidth model: scale-free, and safe with gaps and outages."""

import numpy as np
import pytest

from predictor.bandwidth.features import FEATURE_COUNT, FEATURE_NAMES, RATE_KBPS_MIN, compute
from predictor.bandwidth.history import Floats, History, only

NAN = float("nan")


def history(
    kbps: list[list[float]],
    *,
    hits: list[list[bool]] | None = None,
    duration_s: float = 2.0,
    ttfb_s: float = 0.05,
    gap_s: float = 0.5,
    size_bytes: float = NAN,
) -> History:
    samples = np.array(kbps)
    known = np.where(np.isnan(samples), np.nan, 1.0)
    n = len(samples)
    return History(
        samples_kbps=samples,
        samples_bytes=samples * duration_s * 125.0,
        samples_duration_s=known * duration_s,
        samples_ttfb_s=known * ttfb_s,
        samples_gap_s=known * gap_s,
        samples_hit=np.zeros(samples.shape, bool) if hits is None else np.array(hits),
        gap_s=np.zeros(n),
        size_bytes=np.full(n, size_bytes),
    )


def random_kbps(seed: int, rows: int = 20, width: int = 24) -> Floats:
    rng = np.random.default_rng(seed)
    kbps: Floats = 2.0 ** (13.0 + rng.normal(0.0, 1.0, (rows, width)))
    kbps[np.arange(width) < rng.integers(0, width, rows)[:, None]] = np.nan
    return kbps


def test_names_and_columns_agree() -> None:
    features, _ = compute(history([[1000.0] * 24]))
    assert features.shape == (1, FEATURE_COUNT)
    assert len(set(FEATURE_NAMES)) == FEATURE_COUNT


def test_a_link_sixteen_times_as_fast_differs_by_its_level_alone() -> None:
    kbps = random_kbps(1)
    slow, slow_reference = compute(history(kbps.tolist(), size_bytes=1e6))
    fast, fast_reference = compute(history((16.0 * kbps).tolist(), size_bytes=16e6))
    others = [at for at, name in enumerate(FEATURE_NAMES) if name != "level"]
    np.testing.assert_allclose(fast[:, others], slow[:, others], atol=1e-4)
    np.testing.assert_allclose(fast_reference - slow_reference, 4.0)


def test_a_row_is_the_same_alone_and_among_others() -> None:
    many = history(random_kbps(2).tolist())
    together, _ = compute(many)
    for row in range(many.row_count):
        alone, _ = compute(many.take(slice(row, row + 1)))
        np.testing.assert_allclose(alone[0], together[row], atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 24])
@pytest.mark.parametrize("rate", [0.0, 1e-9, 5e6])
def test_outages_and_few_samples_give_numbers(count: int, rate: float) -> None:
    features, reference = compute(history([[NAN] * (24 - count) + [rate] * count]))
    assert np.isfinite(features).all()
    assert reference[0] >= np.log2(RATE_KBPS_MIN) - 1e-9


def test_a_long_pause_does_not_lose_the_samples() -> None:
    samples = history([[1000.0] * 24])
    later = History(
        **{name: getattr(samples, name) for name in samples.__struct_fields__ if name != "gap_s"},
        gap_s=np.array([1e6]),
    )
    features, reference = compute(later)
    assert np.isfinite(features).all()
    assert reference[0] == pytest.approx(np.log2(1000.0))


def test_unknown_width_and_padding_say_nothing() -> None:
    """Ten samples give the same whether the caller keeps ten or thirty."""
    short = [800.0, 900.0, 1000.0, 1100.0, 500.0, 2000.0, 1500.0, 700.0, 900.0, 1000.0]
    narrow, _ = compute(history([short]))
    wide, _ = compute(history([[NAN] * 20 + short]))
    np.testing.assert_allclose(narrow, wide, atol=1e-5)


def test_only_keeps_one_kind_and_the_time_of_the_other() -> None:
    kbps = [[NAN, 1.0, 2.0, 3.0, 4.0, 5.0]]
    hits = [[False, True, False, True, True, False]]
    misses = only(history(kbps, hits=hits), hits=False)
    np.testing.assert_array_equal(misses.samples_kbps, [[NAN, NAN, NAN, NAN, 2.0, 5.0]])
    span_s = 2.0 + 0.05 + 0.5
    assert misses.samples_gap_s[0, -1] == pytest.approx(0.5 + 2 * span_s)
    assert misses.samples_gap_s[0, -2] == pytest.approx(0.5)
    assert misses.gap_s[0] == 0.0
    found = only(history(kbps, hits=hits), hits=True)
    np.testing.assert_array_equal(found.samples_kbps, [[NAN, NAN, NAN, 1.0, 3.0, 4.0]])
    assert found.samples_gap_s[0, -2] == pytest.approx(0.5 + span_s)
    assert found.gap_s[0] == pytest.approx(span_s)
    assert found.samples_hit[0].tolist() == [False] * 3 + [True] * 3


def test_only_is_the_same_object_where_there_is_nothing_to_leave_out() -> None:
    samples = history([[NAN, 1.0, 2.0]])
    assert only(samples, hits=False) is samples


def test_only_of_nothing_left_is_empty() -> None:
    found = only(history([[NAN, 1.0, 2.0]]), hits=True)
    assert np.isnan(found.samples_kbps).all()
    assert found.gap_s[0] == pytest.approx(2 * 2.55)


def test_an_outage_is_told_by_length_and_share() -> None:
    names = ["dead_share", "dead_run", "is_dead"]
    columns = [FEATURE_NAMES.index(name) for name in names]
    dead, lively = 0.0, 900.0
    features, _ = compute(
        history(
            [
                [NAN, NAN, *[lively] * 6, dead, dead],
                [NAN, NAN, dead, dead, *[lively] * 6],
                [lively] * 10,
                [dead] * 10,
            ]
        )
    )
    expected = [[0.25, 2.0, 1.0], [0.25, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 10.0, 1.0]]
    np.testing.assert_allclose(features[:, columns], expected, atol=1e-6)


def test_the_order_of_the_last_eight_is_left_out_of_their_sorted_ratios() -> None:
    columns = [at for at, name in enumerate(FEATURE_NAMES) if name.startswith("sorted_")]
    kbps = [800.0, 900.0, 1000.0, 1100.0, 500.0, 2000.0, 1500.0, 700.0]
    features, reference = compute(history([kbps]))
    expected = np.sort(np.log2(kbps) - reference[0])[1:7]
    np.testing.assert_allclose(features[0, columns], expected, atol=1e-5)
