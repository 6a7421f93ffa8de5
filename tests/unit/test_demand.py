"""Demand: what is foreseen comes from the past alone, and the table and trees do as they say."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from nearcast.errors import InputError, ModelError, SchemaMismatch
from nearcast.seeds import Seeds
from predictor import artifact
from predictor.demand import DAY, WEEK, DecayTable, DemandHistory, DemandModel
from predictor.demand.causal import causal
from predictor.demand.features import FEATURE_NAMES, rows_at
from predictor.demand.model import table_of
from predictor.demand.table import outlooks, premieres, table_quantiles
from predictor.graph_rules import check as check_graph
from predictor.kinds import DEMAND
from predictor.runtime import Graph
from predictor.train import demand
from predictor.train.demand_boosting import BoostSettings, fit_boosted
from predictor.train.demand_onnx import trees_graph
from predictor.train.demand_scores import wape
from predictor.train.demand_study import AVERAGE, PERSISTENCE, TABLE, TREES, judge
from predictor.train.demand_table import fit_table, weighted_quantile

SMALL = BoostSettings(rounds=12, leaves=6, rate=0.2, leaf_rows_min=10)
DECAY = (1.0, 0.5, 0.6, 0.7, 0.8)


def weekly_list(titles: int = 120, periods: int = 40, seed: int = 1) -> DemandHistory:
    """Titles that appear week after week and shrink by DECAY, films a half faster; in lists."""
    rng = np.random.default_rng(seed)
    amounts = np.full((titles, 1, periods), np.nan)
    age = np.zeros((titles, periods), dtype=np.int64)
    category = rng.integers(0, 2, titles)
    for title in range(titles):
        start = int(rng.integers(0, periods - 2))
        amount = float(np.exp(rng.normal(3.0, 1.0)))
        for at in range(start, min(periods, start + 6)):
            amounts[title, 0, at] = amount
            age[title, at] = at - start + 1
            ratio = DECAY[min(at - start, 4)] * (1.0 - 0.5 * category[title])
            amount *= ratio * float(np.exp(rng.normal(0.0, 0.15)))
    return DemandHistory(
        amounts=amounts,
        age=age,
        category=category,
        length_h=np.full((titles, periods), np.nan),
        first_share=np.ones(titles),
        is_list=True,
        period=WEEK,
        first_day=18_000,
        titles=tuple(f"t{each}" for each in range(titles)),
        regions=("",),
        categories=("series", "film"),
    )


def daily_log(titles: int = 30, regions: int = 3, days: int = 42, seed: int = 2) -> DemandHistory:
    """Steady titles, twice as much at weekends; the first region takes half of everything."""
    rng = np.random.default_rng(seed)
    level = np.exp(rng.normal(2.0, 1.0, titles))
    share = np.array([0.5, *([0.5 / (regions - 1)] * (regions - 1))])
    first_day = 18_003  # a Monday
    weekend = np.where((first_day + np.arange(days) + 3) % 7 >= 5, 2.0, 1.0)
    mean = level[:, None, None] * share[None, :, None] * weekend
    return DemandHistory(
        amounts=rng.poisson(mean).astype(np.float64),
        age=np.broadcast_to(np.arange(1, days + 1) + 100, (titles, days)).copy(),
        category=np.zeros(titles, dtype=np.int64),
        length_h=np.full((titles, days), np.nan),
        first_share=np.ones(titles),
        is_list=False,
        period=DAY,
        first_day=first_day,
        titles=tuple(f"t{each}" for each in range(titles)),
        regions=tuple(f"r{each}" for each in range(regions)),
        categories=("series",),
    )


@pytest.fixture(scope="module")
def history() -> DemandHistory:
    return weekly_list()


@pytest.fixture(scope="module")
def trees(history: DemandHistory) -> demand.Trees:
    return demand.fit(history.until(32), seed=1, settings=SMALL)


@pytest.fixture(scope="module")
def folder(
    history: DemandHistory, trees: demand.Trees, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    rows = demand.learned_rows(history.until(32), trees.table, Seeds(1))
    folder = tmp_path_factory.mktemp("demand")
    demand.write(folder, demand.package(trees, rows, data_sha256="0" * 64, seed=1))
    return folder


def test_the_table_finds_how_titles_decay(history: DemandHistory) -> None:
    table = fit_table(history)
    series = [row[1] for row in table.ratios[table.categories.index("series")]]
    assert series[:4] == pytest.approx(DECAY[:4], rel=0.12)
    assert table.level_weight == 1.0  # nothing is gained by remembering what has decayed since


def test_weekdays_and_regions_are_told_apart() -> None:
    history = daily_log()
    table = fit_table(history)
    monday_to_sunday = np.array(table.weekdays)
    assert monday_to_sunday[5:].mean() / monday_to_sunday[:5].mean() == pytest.approx(2.0, rel=0.1)
    *_, outlook = outlooks(history, table)
    assert outlook.share[:, 0].mean() == pytest.approx(0.5, abs=0.05)
    judged = judge(history, demand.fit(history.until(35), seed=1, settings=SMALL), 35)
    errors = {name: wape(points, judged.amount) for name, points in judged.points.items()}
    assert errors[TABLE] < errors[AVERAGE] < errors[PERSISTENCE]


def test_nothing_of_the_future_is_in_a_row(history: DemandHistory) -> None:
    table = fit_table(history)
    cut = 20
    noise = np.random.default_rng(5).random(history.amounts[:, :, cut:].shape)
    changed = history.amounts.copy()
    changed[:, :, cut:] = noise
    age = history.age.copy()
    age[:, cut:] = 7
    other = msgspec.structs.replace(history, amounts=changed, age=age)
    short = history.until(cut)
    rows = []
    for each in (history, other, short):
        known = causal(each)
        outlook = list(outlooks(each, table, known))[cut - 1]
        rows.append(rows_at(each, table, known, outlook, cut - 1))
    for found in rows[1:]:
        np.testing.assert_array_equal(found.features, rows[0].features)
        np.testing.assert_array_equal(found.base, rows[0].base)


def test_a_title_that_left_the_list_is_not_foreseen(history: DemandHistory) -> None:
    table = fit_table(history)
    found = table_quantiles(table, history)
    is_gone = np.isnan(history.amounts[:, 0, -1])
    assert (found[is_gone] == 0.0).all()
    assert (found[~is_gone, 0, 1] > 0.0).all()


def test_premieres_are_told_by_category(history: DemandHistory) -> None:
    table = fit_table(history)
    known = premieres(table, ("series", "film", "opera"))
    firsts = history.amounts[:, 0, :][history.age == 1]
    assert known[2] == pytest.approx(float(np.median(firsts)), rel=1e-3)


def test_trees_beat_the_table_where_it_does_not_look() -> None:
    """Half the titles last eight hours and halve; the others last one and keep their amount."""
    plain = weekly_list(titles=300)
    rng = np.random.default_rng(9)
    is_long = rng.random(300) < 0.5
    amounts = plain.amounts.copy()
    for at in range(1, plain.period_count):
        goes_on = plain.age[:, at] > 1
        factor = np.where(is_long, 0.5, 1.0)
        amounts[goes_on, 0, at] = (amounts[:, 0, at - 1] * factor)[goes_on]
    length_h = np.where(is_long, 8.0, 1.0)[:, None] * np.ones(plain.period_count)
    history = msgspec.structs.replace(plain, amounts=amounts, length_h=length_h)
    settings = BoostSettings(rounds=15, leaves=8, rate=0.4, features_share=1.0)
    judged = judge(history, demand.fit(history.until(32), seed=1, settings=settings), 32)
    errors = {name: wape(points, judged.amount) for name, points in judged.points.items()}
    assert errors[TREES] < 0.4 * errors[TABLE]


def test_the_same_seed_gives_the_same_model(history: DemandHistory) -> None:
    short = history.until(14)
    rows = demand.learned_rows(short, fit_table(short), Seeds(1))

    def model(seed: int) -> bytes:
        found = demand.fit(short, seed=seed, settings=SMALL)
        return demand.package(found, rows, data_sha256="0" * 64, seed=seed).model

    assert model(1) == model(1)
    assert model(1) != model(2)


def test_the_served_model_answers_as_the_trained_trees(
    history: DemandHistory, trees: demand.Trees, folder: Path
) -> None:
    served = DemandModel.load(folder).forecast(history)
    known = causal(history)
    *_, outlook = outlooks(history, trees.table, known)
    rows = rows_at(history, trees.table, known, outlook, history.period_count - 1)
    np.testing.assert_allclose(
        served[rows.title, rows.region], trees.quantiles(rows), rtol=1e-4, atol=1e-6
    )
    assert (np.diff(served, axis=2) >= 0.0).all()
    assert served.sum() == pytest.approx(served[rows.title].sum())


def test_the_graph_keeps_the_rules_of_graphs(trees: demand.Trees) -> None:
    facts = check_graph(trees_graph(trees.models, len(FEATURE_NAMES)), "demand")
    assert facts.input_width == len(FEATURE_NAMES)


def test_the_table_serves_without_a_runtime(
    history: DemandHistory, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_graph(*_: object, **__: object) -> None:
        raise AssertionError("a graph was loaded")

    monkeypatch.setattr(Graph, "__init__", no_graph)
    table = table_of(artifact.load(folder, kind=DEMAND))
    assert table_quantiles(table, history)[:, :, 1].sum() > 0.0


def test_a_model_refuses_a_history_of_other_periods(folder: Path) -> None:
    with pytest.raises(SchemaMismatch, match="next week of a list"):
        DemandModel.load(folder).forecast(daily_log())


def test_broken_histories_are_named(history: DemandHistory, folder: Path) -> None:
    model = DemandModel.load(folder)
    with pytest.raises(InputError, match="one shape"):
        model.forecast(msgspec.structs.replace(history, age=history.age[:, 1:]))
    with pytest.raises(InputError, match="from 0"):
        model.forecast(msgspec.structs.replace(history, amounts=-history.amounts))


def test_a_changed_table_is_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    table = (tmp_path / "decay.json").read_bytes()
    (tmp_path / "decay.json").write_bytes(table.replace(b"0.5", b"0.6", 1))
    with pytest.raises(ModelError):
        DemandModel.load(tmp_path)


def test_boosting_finds_a_quantile_that_depends_on_a_feature() -> None:
    rng = np.random.default_rng(3)
    rows = rng.random((3000, 2)).astype(np.float32)
    target = rng.random(3000) * np.where(rows[:, 0] > 0.5, 10.0, 1.0)
    settings = BoostSettings(rounds=40, leaves=4, rate=0.2)
    model = fit_boosted(
        rows, target, np.ones(3000), quantile=0.9, settings=settings, rng=np.random.default_rng(1)
    )
    answer = model.predict(rows)
    assert answer[rows[:, 0] > 0.5].mean() == pytest.approx(9.0, rel=0.1)
    assert answer[rows[:, 0] < 0.5].mean() == pytest.approx(0.9, rel=0.2)


def test_weighted_quantiles_are_those_of_repeated_values() -> None:
    values, weights = np.array([3.0, 1.0, 2.0]), np.array([1.0, 2.0, 5.0])
    repeated = np.repeat(values, weights.astype(int))
    for at in (0.1, 0.25, 0.5, 0.9):
        assert weighted_quantile(values, weights, at) == np.quantile(
            repeated, at, method="inverted_cdf"
        )


def test_a_decay_table_survives_its_file(history: DemandHistory) -> None:
    table = fit_table(history)
    assert msgspec.json.decode(msgspec.json.encode(table), type=DecayTable) == table
