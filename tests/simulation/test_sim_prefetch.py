"""`nearcast simulate prefetch`: what the table holds, and what it says of bad input."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from nearcast.main import main
from predictor.logs.plays import write_plays
from simulation.prefetch.answers import WRONG, scores_by
from simulation.prefetch.gate import Gate
from simulation.prefetch.moments import moments_of
from simulation.prefetch.requests import requests_of
from simulation.prefetch.study import Row, Study, study, waste_at
from simulation.prefetch.warmth import warmth
from simulation.prefetch.years import years

CAPACITIES = (0.05, 0.1)


@cache
def _study() -> Study:
    return study(years([3], viewers=30, days=60.0), capacities=CAPACITIES, timed=())


def _row(policy: str, capacity: float, unit: str = "objects") -> Row:
    (row,) = [
        row
        for row in _study().rows
        if (row.policy, row.capacity, row.unit) == (policy, capacity, unit)
    ]
    return row


@pytest.mark.parametrize("capacity", CAPACITIES)
@pytest.mark.parametrize("unit", ["objects", "bytes"])
def test_ours_hits_as_often_as_the_rule_and_wastes_less(capacity: float, unit: str) -> None:
    ours, rule = _row("ours", capacity, unit), _row("rule", capacity, unit)

    assert ours.hit_ratio >= rule.hit_ratio - 0.01
    assert ours.waste_ratio <= 0.7 * rule.waste_ratio
    assert ours.moved_ratio < rule.moved_ratio


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_prefetching_beats_the_best_there_is_without_it(capacity: float) -> None:
    assert _row("ours", capacity).hit_ratio >= _row("belady", capacity).hit_ratio + 0.15
    assert _row("belady", capacity).hit_ratio > max(
        _row("lru", capacity).hit_ratio, _row("s3fifo", capacity).hit_ratio
    )


@pytest.mark.parametrize("capacity", CAPACITIES)
@pytest.mark.parametrize("model", WRONG)
def test_a_wrong_model_wastes_what_it_fetches_and_nothing_more(model: str, capacity: float) -> None:
    without = max(_row("lru", capacity).hit_ratio, _row("s3fifo", capacity).hit_ratio)

    assert 1.0 - _row(model, capacity).hit_ratio <= 1.02 * (1.0 - without)


@pytest.mark.parametrize("unit", ["objects", "bytes"])
def test_what_an_edge_does_now_stands_beside_what_it_could(unit: str) -> None:
    edges = {row.policy: row for row in _study().edges if row.unit == unit}

    assert list(edges) == ["rule", "edge", "edge, expected", "ours"]
    assert edges["edge"].hit_ratio > _row("s3fifo", 0.05, unit).hit_ratio + 0.1
    assert edges["edge, expected"].hit_ratio > edges["edge"].hit_ratio
    assert edges["edge, expected"].waste_ratio < edges["edge"].waste_ratio
    # The edge's gate is plainer than ours, on the same residency.
    assert edges["edge, expected"].hit_ratio == pytest.approx(edges["ours"].hit_ratio, abs=0.03)
    assert edges["ours"] == _row("ours", 0.05, unit)


def test_the_oracle_wastes_least() -> None:
    assert _row("oracle", 0.1).waste_ratio < _row("ours", 0.1).waste_ratio


def test_successors_are_warm_because_they_were_fetched_half_way_and_not_at_the_end() -> None:
    requests = requests_of(years([3], viewers=50, days=28.0)[0].log, seed=3)
    works = [(requests, moments_of(requests, scores_by("default", requests, seed=3)))]
    gate = Gate(early=0.68, late=0.26, left=0.0)

    at_end, ours = (warmth(works, way, gate=gate, capacity=0.1) for way in ("at the end", "ours"))

    assert ours.follower_count == at_end.follower_count > 50
    assert ours.head_ratio > at_end.head_ratio + 0.2
    assert ours.warm_ratio <= ours.head_ratio


@pytest.mark.parametrize(
    ("hit_ratio", "waste"), [(0.8, 0.15), (0.7, 0.1), (0.5, 0.1), (0.9, 0.2), (0.91, None)]
)
def test_waste_is_never_read_off_below_the_hit_ratio(hit_ratio: float, waste: float | None) -> None:
    found = waste_at([(0.9, 0.2), (0.7, 0.1)], hit_ratio)

    assert found == (None if waste is None else pytest.approx(waste))


def test_the_same_seed_gives_the_same_table_and_a_log_of_ones_own_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plays = tmp_path / "plays.csv.gz"
    write_plays(plays, years([4], viewers=20, days=30.0)[0].log)
    figures = []
    for name in ("a.json", "b.json"):
        arguments = ["--requests", str(plays), "--capacity", "10%", "--model", "rule"]
        assert main(["simulate", "prefetch", *arguments, "--json", str(tmp_path / name)]) == 0
        figures.append(json.loads((tmp_path / name).read_text()))

    assert figures[0] == figures[1]
    assert {row["policy"] for row in figures[0]["rows"]} >= {"lru", "belady", "rule", "ours"}
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert any(line.startswith("  half-way, 5%, players keep rate") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--capacity", "0%"], "above 0"),
        (["--capacity", "five"], "write a share"),
        (["--requests", "nowhere.csv"], "nowhere.csv"),
        (["--segments", "nowhere"], "holds no sessions.csv"),
        (["--model", "nowhere"], "nowhere"),
        (["--plot", "gates.txt"], "must end in"),
        (["--plot", "nowhere/gates.png"], "its folder does not exist"),
        (["--segments", ".", "--plot", "gates.png"], "stands alone"),
    ],
)
def test_bad_input_is_refused_with_its_reason(
    arguments: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "prefetch", "--seeds", "1", *arguments]) == 2
    assert part in capsys.readouterr().err
