"""The shipped bandwidth model and its file."""

import base64
from pathlib import Path

import msgspec
import numpy as np
import pytest

from nearcast.errors import InputError, ModelError, SchemaMismatch
from predictor.bandwidth import BandwidthModel, Forecast, History, Prior, file
from predictor.bandwidth.features import RATE_KBPS_MIN

SHIPPED = Path(file.__file__).parents[1] / "models" / "bandwidth" / file.FILE_NAME
NAN = float("nan")


@pytest.fixture(scope="module")
def model() -> BandwidthModel:
    return BandwidthModel.shipped()


def history(kbps: np.ndarray, *, hits: np.ndarray | None = None, size: float = NAN) -> History:
    known = np.where(np.isnan(kbps), np.nan, 1.0)
    return History(
        samples_kbps=kbps,
        samples_bytes=kbps * 500.0,
        samples_duration_s=known * 4.0,
        samples_ttfb_s=known * 0.04,
        samples_gap_s=known * 0.0,
        samples_hit=np.zeros(kbps.shape, dtype=bool) if hits is None else hits,
        gap_s=np.zeros(len(kbps)),
        size_bytes=np.full(len(kbps), size),
    )


def drawn(seed: int, rows: int = 50, width: int = 24) -> np.ndarray:
    rng = np.random.default_rng(seed)
    kbps = 2.0 ** (rng.uniform(8.0, 18.0, (rows, 1)) + rng.normal(0.0, 1.5, (rows, width)))
    kbps[rng.random(kbps.shape) < 0.1] = 0.0
    kbps[np.arange(width) < rng.integers(0, width + 1, rows)[:, None]] = np.nan
    return kbps


def test_the_file_is_small_and_names_its_figures(model: BandwidthModel) -> None:
    assert SHIPPED.stat().st_size < 60_000
    assert model.rank_correlation.shape == (len(model.windows_s) - 1,)
    assert model.windows_s[1:] == ((4, 8), (8, 12), (12, 16), (16, 24), (24, 32))


def test_quantiles_rise_and_are_finite_whatever_was_seen(model: BandwidthModel) -> None:
    found = model.forecast(history(drawn(1, rows=300)))
    assert np.isfinite(found.kbps).all()
    assert (found.kbps >= RATE_KBPS_MIN - 1e-6).all()
    assert (np.diff(found.kbps, axis=2) >= 0.0).all()
    assert found.kbps.shape == (300, len(model.windows_s), len(model.levels))


def test_a_link_dead_for_long_may_stay_dead(model: BandwidthModel) -> None:
    """The lower quantiles are an outage itself, not a hair above it: that is no surprise then."""
    dead = model.forecast(history(np.full((1, 24), 0.0)))
    quarter = np.flatnonzero(model.levels == 0.25)[0]
    assert dead.kbps[0, 0, quarter] == pytest.approx(RATE_KBPS_MIN, rel=1e-9)
    assert dead.rank(np.array([0.0]))[0] >= 0.25


def test_a_row_is_answered_the_same_alone(model: BandwidthModel) -> None:
    samples = history(drawn(2))
    together = model.forecast(samples).kbps
    for row in range(0, 50, 7):
        alone = model.forecast(samples.take(slice(row, row + 1))).kbps
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-4)


def test_a_faster_link_that_moves_alike_is_foreseen_alike(model: BandwidthModel) -> None:
    """The level is a weak input only: eight times the rate, eight times the quantiles."""
    rng = np.random.default_rng(3)
    kbps = 2.0 ** (11.0 + rng.normal(0.0, 0.7, (100, 24)))
    slow = np.log2(model.forecast(history(kbps, size=1e6)).kbps)
    fast = np.log2(model.forecast(history(8.0 * kbps, size=8e6)).kbps)
    middle = np.flatnonzero(model.levels == 0.5)[0]
    assert np.abs(fast - slow - 3.0)[:, :, middle].mean() < 0.25


def test_a_steady_link_is_foreseen_more_narrowly_than_a_wild_one(model: BandwidthModel) -> None:
    rng = np.random.default_rng(4)
    noise = rng.normal(0.0, 1.0, (20, 24))
    spread = []
    for scale in (0.05, 1.5):
        kbps = np.log2(model.forecast(history(2.0 ** (12.0 + scale * noise))).kbps[:, 0])
        spread.append(float((kbps[:, 6] - kbps[:, 2]).mean()))
    assert spread[0] < 0.5 * spread[1]


def test_without_samples_the_prior_answers(model: BandwidthModel) -> None:
    nothing = history(np.full((1, 24), np.nan))
    found = model.forecast(nothing, prior=Prior(level=10.0, spread=1.0))
    np.testing.assert_allclose(found.kbps[0, :, 4], 1024.0)
    assert found.kbps[0, 0, 2] == pytest.approx(1024.0 * 2.0**-0.6745, rel=1e-3)


def test_hits_do_not_raise_the_forecast_of_a_miss(model: BandwidthModel) -> None:
    kbps = np.full((1, 24), 2000.0)
    hits = np.zeros((1, 24), dtype=bool)
    hits[0, ::2] = True
    kbps[hits] = 40_000.0
    mixed = history(kbps, hits=hits)
    miss = model.forecast(mixed).kbps[0, 0]
    hit = model.forecast(mixed, for_hit=True).kbps[0, 0]
    assert miss[4] < 3000.0
    assert hit[4] > 20_000.0
    assert (miss <= hit).all()


def test_a_slow_last_mile_caps_the_forecast_of_a_miss(model: BandwidthModel) -> None:
    """Nothing crosses the backhaul faster than the last mile brings it home."""
    kbps = np.full((1, 24), 8000.0)
    kbps[0, -6:] = 500.0
    hits = np.zeros((1, 24), dtype=bool)
    hits[0, -6:] = True
    miss = model.forecast(history(kbps, hits=hits)).kbps[0, 0]
    assert miss[4] < 1000.0


def test_only_hits_so_far_leave_a_miss_to_the_prior_and_the_last_mile(
    model: BandwidthModel,
) -> None:
    seen = history(np.full((1, 24), 1e5), hits=np.ones((1, 24), dtype=bool))
    miss = model.forecast(seen, prior=Prior(level=10.0, spread=1.0)).kbps[0, 0]
    assert miss[4] == pytest.approx(1024.0)


def test_each_row_without_samples_has_the_prior_that_is_given_for_it(model: BandwidthModel) -> None:
    kbps = np.full((3, 24), NAN)
    kbps[2] = 5000.0
    priors = np.array([[10.0, 1.0], [NAN, NAN], [10.0, 1.0]])
    found = model.forecast(history(kbps), prior=priors).kbps[:, 0]
    bare = model.forecast(history(kbps)).kbps[:, 0]
    assert found[0, 4] == pytest.approx(1024.0)
    np.testing.assert_array_equal(found[1:], bare[1:])


def test_the_rank_of_a_quantile_is_its_level() -> None:
    levels = np.array([0.1, 0.5, 0.9])
    found = Forecast(levels=levels, kbps=np.array([[[100.0, 200.0, 400.0]]] * 5))
    rank = found.rank(np.array([100.0, 200.0, 20.0, 9000.0, NAN]))
    np.testing.assert_allclose(rank, [0.1, 0.5, 0.05, 0.95, NAN])
    between = found.rank(np.array([2.0**0.5 * 100.0] * 5))
    np.testing.assert_allclose(between, 0.3)


def test_a_damaged_file_is_named_with_its_line(tmp_path: Path) -> None:
    lines = SHIPPED.read_bytes().splitlines()
    at = next(no for no, line in enumerate(lines, start=1) if line.startswith(b' "windows_s"'))
    broken = [*lines[: at - 1], b' "windows_s": [[0,4],[4,oops]],', *lines[at:]]
    path = tmp_path / "bandwidth.json"
    path.write_bytes(b"\n".join(broken))
    with pytest.raises(InputError, match=f"bandwidth.json, line {at}:"):
        BandwidthModel.load(path)
    wrong = [*lines[: at - 1], b' "windows_s": "none",', *lines[at:]]
    path.write_bytes(b"\n".join(wrong))
    with pytest.raises(InputError, match=f"bandwidth.json, line {at}:"):
        BandwidthModel.load(path)
    path.write_bytes(SHIPPED.read_bytes()[:300])
    with pytest.raises(InputError, match=r"bandwidth\.json, line"):
        BandwidthModel.load(path)


def test_a_missing_or_huge_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        BandwidthModel.load(tmp_path / "none.json")
    path = tmp_path / "huge.json"
    path.write_bytes(b" " * (file.FILE_BYTES_MAX + 1))
    with pytest.raises(InputError, match="larger"):
        BandwidthModel.load(path)


def changed(**fields: object) -> bytes:
    return msgspec.json.encode({**msgspec.json.decode(SHIPPED.read_bytes()), **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format_version": 99}, "format"),
        ({"feature_version": 99}, "features of version"),
        ({"levels": [0.25, 0.5]}, "levels"),
        ({"rank_correlation": [0.5]}, "rank_correlation"),
        ({"mean": [0.0]}, "mean"),
        ({"layers": []}, "last layer"),
        ({"golden": {"inputs": [], "outputs": [], "tolerance": 1.0}}, "golden"),
    ],
)
def test_a_file_of_another_shape_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(SchemaMismatch, match=message):
        BandwidthModel.load(changed(**fields))


def test_weights_that_answer_otherwise_are_refused() -> None:
    layers = msgspec.json.decode(SHIPPED.read_bytes())["layers"]
    raw = bytearray(base64.b64decode(layers[0]["weights"]))
    raw[: len(raw) // 2] = bytes(len(raw) // 2)
    layers[0]["weights"] = base64.b64encode(bytes(raw)).decode()
    with pytest.raises(ModelError, match="golden rows"):
        BandwidthModel.load(changed(layers=layers))


def test_a_file_survives_being_read_and_written() -> None:
    content = SHIPPED.read_bytes()
    assert file.encode(file.decode(content, "shipped")) == content
