"""The compiled replays, against what an edge and the plain objects do."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast import horizons
from simulation.prefetch.answers import scores_by
from simulation.prefetch.caches import Belief, Trial, foreseen, lru, rule
from simulation.prefetch.gate import Gate
from simulation.prefetch.kept import Kept
from simulation.prefetch.kernels.foreseen import within
from simulation.prefetch.moments import CHECKPOINT, START, moments_of
from simulation.prefetch.requests import requests_of
from simulation.prefetch.years import Year, years
from simulation.replay.kernels.lru import replay_lru

GENEROUS = Gate(early=0.0, late=0.0, left=0.0)


@cache
def _year() -> Year:
    return years([5], viewers=12, days=21.0)[0]


@cache
def _trial(model: str = "rule", unit: str = "objects") -> Trial:
    year = _year()
    requests = requests_of(year.log, seed=5, goes_further=year.goes_further)
    sizes = requests.sizes_bytes if unit == "bytes" else np.ones_like(requests.sizes_bytes)
    asked = requests.asked_bytes if unit == "bytes" else requests.asked_count
    return Trial(
        requests=requests,
        moments=moments_of(requests, scores_by(model, requests, seed=5)),
        sizes_bytes=sizes,
        capacity_bytes=asked // 20,
        warmup_count=len(requests) // 5,
    )


@given(
    st.tuples(*[st.floats(min_value=0.0, max_value=1.0)] * 3),
    st.floats(min_value=-10.0, max_value=2e6),
)
def test_compiled_and_edge_agree_how_soon(
    probabilities: tuple[float, float, float], time_s: float
) -> None:
    assert within(*probabilities, time_s) == pytest.approx(
        horizons.within(probabilities, time_s), abs=1e-12
    )


@pytest.mark.parametrize("unit", ["objects", "bytes"])
def test_without_prefetching_it_is_the_lru_of_simulate_cache(unit: str) -> None:
    trial = _trial(unit=unit)
    titles = trial.requests.log.title

    _, missed_bytes = replay_lru(
        titles.astype(np.int32), trial.sizes_bytes, trial.capacity_bytes, trial.warmup_count
    )

    asked_bytes = int(trial.sizes_bytes[titles[trial.warmup_count :]].sum())
    assert lru(trial).hit_ratio == pytest.approx(1.0 - missed_bytes / asked_bytes)


def test_an_episode_that_nobody_will_play_can_be_fetched_and_is_waste() -> None:
    year = _year()
    known = requests_of(year.log, seed=5)
    all_of_them = _trial().requests

    unplayed = all_of_them.successor >= len(year.log.titles)

    assert unplayed.sum() > 20
    assert np.array_equal(all_of_them.successor[~unplayed], known.successor[~unplayed])
    assert np.all(known.successor[unplayed] == -1)
    assert np.all(all_of_them.goes_on_s[unplayed] == np.inf)
    last = (year.log.series >= 0) & (all_of_them.successor < 0)
    assert last.sum() > 0  # a series does end


def test_no_byte_is_lost_between_used_wasted_and_still_there() -> None:
    for figures in (rule(_trial()), foreseen(_trial("random"), GENEROUS)):
        fetched = figures.moved_ratio - (1.0 - figures.hit_ratio)
        assert figures.precision is not None
        used = figures.precision * fetched
        assert used + figures.waste_ratio == pytest.approx(fetched)
        assert figures.evicted_ratio <= figures.waste_ratio


@pytest.mark.parametrize(("model", "unit"), [("random", "objects"), ("rule", "bytes")])
def test_compiled_and_an_edges_index_make_the_same_choices(model: str, unit: str) -> None:
    trial = _trial(model, unit)
    figures = foreseen(trial, GENEROUS, Belief(prior=1e12))  # the edge's leaves trust to its user

    assert figures.hit_ratio == pytest.approx(_plain_hit_ratio(trial), abs=1e-9)


def _plain_hit_ratio(trial: Trial) -> float:
    moments, requests, log = trial.moments, trial.requests, trial.requests.log
    completion = trial.completion
    chance, threshold = GENEROUS.chances(moments, completion)
    store = Kept(trial.capacity_bytes)
    asked_bytes = hit_bytes = 0
    for at in range(len(moments.kind)):
        play, now_s = int(moments.play[at]), float(moments.at_s[at])
        ends_s, viewer = float(moments.ends_s[at]), int(log.viewer[play])
        title = int(log.title[play])
        if moments.kind[at] == START:
            is_hit = store.touch(title)
            if play >= trial.warmup_count:
                asked_bytes += int(trial.sizes_bytes[title])
                hit_bytes += int(trial.sizes_bytes[title]) * is_hit
            store.hopes.asked(title, viewer, ends_s, now_s)
            store.add(title, int(trial.sizes_bytes[title]), now_s)
            continue
        if moments.kind[at] != CHECKPOINT:
            store.hopes.left(title, viewer, now_s, is_finished=bool(completion[play] >= 0.9))
        successor = int(requests.successor[play])
        if successor < 0:
            continue
        store.hopes.foretold(successor, viewer, ends_s, moments.probabilities[at].tolist(), now_s)
        if chance[at] >= threshold[at]:
            size_bytes = int(trial.sizes_bytes[successor])
            store.add(successor, size_bytes, now_s, is_prefetch=True)
    return hit_bytes / asked_bytes


def test_a_source_that_is_never_right_is_soon_not_believed() -> None:
    trial = _trial("inverted")

    doubted = foreseen(trial, GENEROUS, Belief(prior=5.0))
    believed = foreseen(trial, GENEROUS, Belief(prior=1e12))

    assert doubted.waste_ratio < believed.waste_ratio
