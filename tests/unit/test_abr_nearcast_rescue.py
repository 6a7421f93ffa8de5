"""Giving up a segment under way, against a plain loop."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from abr.controllers.nearcast.chain import Levels
from abr.controllers.nearcast.induction import BUFFER_COUNT, Prices
from abr.controllers.nearcast.rescue import Plans, rescue
from abr.view import GO_ON, Attempt, Floats, Rungs

LADDER_KBPS = np.array([400.0, 1200.0, 3000.0, 6000.0])
DURATION_S = 4.0
LEVELS = Levels()
PRICES = Prices(
    stall=4.3,
    switch=1.0,
    buffer_share=0.6,
    change_share=1.0,
    reserve_s=1.5,
    reserve_decay_s=6.0,
    patience_s=4.0,
    giving_up_s=1.0,
)


def some_plans(n: int, *, mean_kbps: float = 3000.0, seed: int = 0) -> Plans:
    """Forecasts around a rate, and values that rise with the buffer, the rung and the level."""
    draw = np.random.default_rng(seed)
    bps = np.sort(draw.lognormal(math.log(mean_kbps * 1000), 0.6, (n, LEVELS.count)), axis=1)
    rungs = LADDER_KBPS.size
    values = draw.uniform(0.0, 0.2, (n, rungs, LEVELS.count, BUFFER_COUNT)).cumsum(axis=3)
    values += np.arange(LEVELS.count)[:, None] * 0.5 + np.arange(rungs)[:, None, None] * 0.3
    return Plans(
        bps=bps.astype(np.float32),
        later_bps=np.maximum(bps, bps.mean(axis=1)[:, None]).astype(np.float32),
        values=values.astype(np.float32),
        limit_s=np.full(n, 25.0, np.float32),
        latency_s=np.full(n, 0.1, np.float32),
        last_rung=draw.integers(-1, rungs, n),
        stall=draw.uniform(3.0, 9.0, n).astype(np.float32),
    )


def attempt_of(
    *,
    session: list[int],
    rung: list[int],
    elapsed_s: list[float],
    received_share: list[float],
    buffer_s: list[float],
) -> Attempt:
    n = len(session)
    sizes_bits = np.tile(LADDER_KBPS * 1000 * DURATION_S, (n, 1))
    own = sizes_bits[np.arange(n), rung]
    return Attempt(
        session=np.array(session),
        ladder_kbps=LADDER_KBPS,
        rung=np.array(rung),
        elapsed_s=np.array(elapsed_s),
        ttfb_s=np.full(n, 0.1),
        received_bits=own * np.array(received_share),
        sizes_bits=sizes_bits,
        duration_s=np.full(n, DURATION_S),
        buffer_s=np.array(buffer_s),
        is_hit=np.zeros(n, dtype=np.bool_),
        is_waiting=np.array(buffer_s) <= 0,
    )


def random_attempt(n: int, seed: int) -> Attempt:
    draw = np.random.default_rng(seed)
    return attempt_of(
        session=draw.permutation(n).tolist(),
        rung=draw.integers(1, LADDER_KBPS.size, n).tolist(),
        elapsed_s=draw.uniform(0.6, 12.0, n).tolist(),
        received_share=draw.uniform(0.001, 0.95, n).tolist(),
        buffer_s=(draw.uniform(0, 20, n) * (draw.random(n) < 0.7)).tolist(),
    )


def answers(attempt: Attempt, plans: Plans, *, trust_s: float = 2.0, margin: float = 0.3) -> Rungs:
    return rescue(attempt, plans, LEVELS.weights, PRICES, trust_s=trust_s, margin=margin)


def value_at(values: Floats, buffer_s: float, limit_s: float) -> float:
    grid_s = (np.arange(BUFFER_COUNT) / (BUFFER_COUNT - 1)) ** 2 * limit_s
    place = np.sqrt(np.clip(buffer_s / limit_s, 0, 1)) * (BUFFER_COUNT - 1)
    assert grid_s[int(place)] <= min(buffer_s, limit_s) + 1e-6
    return float(np.interp(place, np.arange(BUFFER_COUNT), values))


def one_by_one(
    attempt: Attempt, plans: Plans, row: int, *, trust_s: float = 2.0
) -> tuple[list[float], float]:
    """What each lower rung would gain, and the rate of the rung under way in Mbit/s."""
    at, own = int(attempt.session[row]), int(attempt.rung[row])
    took_s = attempt.elapsed_s[row] - attempt.ttfb_s[row]
    seen_bps = max(attempt.received_bits[row] / took_s, 1000.0)
    share = took_s / (took_s + trust_s)
    levels_bps = plans.bps[at].astype(float)
    last = int(plans.last_rung[at])

    def worth(rung: int, bits: float, extra_s: float) -> float:
        total = 0.0
        for level, weight in enumerate(LEVELS.weights):
            bps = seen_bps**share * levels_bps[level] ** (1 - share)
            nearest = int(np.abs(np.log(levels_bps) - math.log(bps)).argmin())
            later_bps = max(float(plans.later_bps[at, nearest]), bps)
            need_s = bits / bps
            if need_s > PRICES.patience_s:
                need_s = PRICES.patience_s + (bits - bps * PRICES.patience_s) / later_bps
            slack_s = attempt.buffer_s[row] - need_s - extra_s
            ahead_s = max(slack_s, 0.0) + DURATION_S
            kept = value_at(plans.values[at, rung, nearest], ahead_s, 25.0)
            total += weight * (plans.stall[at] * min(slack_s, 0.0) + kept)
        change = 0.0 if last < 0 else abs(LADDER_KBPS[rung] - LADDER_KBPS[last]) / 1000
        return total + float(LADDER_KBPS[rung] / 1000 - PRICES.switch * change)

    sizes = attempt.sizes_bits[row]
    going_on = worth(own, sizes[own] - attempt.received_bits[row], 0.0)
    gains = [worth(rung, sizes[rung], 0.1) - going_on for rung in range(own)]
    return gains, LADDER_KBPS[own] / 1000


@pytest.mark.parametrize("margin", [0.0, 0.4])
def test_answers_are_those_of_a_plain_loop(margin: float) -> None:
    n = 60
    attempt, plans = random_attempt(n, seed=5), some_plans(n, seed=6)
    found = answers(attempt, plans, margin=margin)
    expected = []
    for row in range(n):
        gains, rate = one_by_one(attempt, plans, row)
        best = int(np.argmax(gains))
        expected.append(best if gains[best] > margin * rate else GO_ON)
    assert found.tolist() == expected
    assert 5 < (found != GO_ON).sum() < n - 5
    assert len(set(found.tolist())) > 2


def test_stream_that_stops_is_given_up_while_there_is_still_time() -> None:
    # A tenth came in the first second of a segment of 12 Mbit; then nothing more.
    plans = some_plans(1, mean_kbps=4000.0)
    given_up_at_s = None
    for tenths in range(10, 120):
        elapsed_s = tenths / 10
        attempt = attempt_of(
            session=[0],
            rung=[2],
            elapsed_s=[elapsed_s],
            received_share=[0.1],
            buffer_s=[max(8.0 - elapsed_s, 0.0)],
        )
        if answers(attempt, plans)[0] != GO_ON:
            given_up_at_s = elapsed_s
            break
    assert given_up_at_s is not None
    assert given_up_at_s < 8.0  # before the buffer is empty


def test_segment_that_is_nearly_here_is_not_given_up() -> None:
    attempt = attempt_of(
        session=[0], rung=[3], elapsed_s=[9.0], received_share=[0.97], buffer_s=[0.2]
    )
    assert answers(attempt, some_plans(1)).tolist() == [GO_ON]


def test_no_higher_and_no_same_rung_is_ever_named() -> None:
    attempt, plans = random_attempt(80, seed=8), some_plans(80, seed=9, mean_kbps=20_000.0)
    found = answers(attempt, plans, margin=0.0)
    assert (found < attempt.rung).all()
    assert (found >= GO_ON).all()


def test_higher_margin_never_gives_up_more() -> None:
    attempt, plans = random_attempt(80, seed=10), some_plans(80, seed=11)
    before = answers(attempt, plans, margin=0.0) != GO_ON
    for margin in (0.3, 1.0, 3.0):
        now = answers(attempt, plans, margin=margin) != GO_ON
        assert not (now & ~before).any()
        before = now
    assert not (answers(attempt, plans, margin=1e6) != GO_ON).any()


def test_own_rate_counts_more_the_less_the_forecast_is_trusted() -> None:
    # The forecast is good and the transfer is bad.
    plans = some_plans(1, mean_kbps=30_000.0)
    plans.last_rung[:] = 0
    attempt = attempt_of(
        session=[0], rung=[3], elapsed_s=[2.0], received_share=[0.08], buffer_s=[2.0]
    )
    assert answers(attempt, plans, trust_s=0.01)[0] != GO_ON
    assert answers(attempt, plans, trust_s=1e4)[0] == GO_ON


def test_sessions_are_judged_by_their_own_plans() -> None:
    attempt, plans = random_attempt(30, seed=12), some_plans(30, seed=13)
    among_all = answers(attempt, plans)
    alone = [int(answers(attempt.take(slice(row, row + 1)), plans)[0]) for row in range(30)]
    assert among_all.tolist() == alone
    # The plans of other sessions may be anything.
    row = int(np.flatnonzero(among_all != GO_ON)[0])
    at = int(attempt.session[row])
    for values in (plans.bps, plans.later_bps, plans.values):
        kept = values[at].copy()
        values[:] = 1.0
        values[at] = kept
    assert answers(attempt.take(slice(row, row + 1)), plans)[0] == among_all[row]


def test_at_a_titles_end_only_this_segment_counts() -> None:
    attempt, plans = random_attempt(40, seed=14), some_plans(40, seed=15)
    plans.values[:] = 0.0
    found = answers(attempt, plans, margin=0.0)
    for row in range(40):
        gains, _ = one_by_one(attempt, plans, row)
        assert abs(max(gains)) < 1e-9 or (found[row] != GO_ON) == (max(gains) > 0)
    # With a buffer that lasts there is nothing to win by going lower.
    rested = msgspec.structs.replace(attempt, buffer_s=np.full(40, 500.0))
    plans.last_rung[:] = attempt.rung[np.argsort(attempt.session)]
    assert (answers(rested, plans, margin=0.0) == GO_ON).all()
