"""The nearcast controller's plans and rescues, whatever the forecast."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abr.controllers.nearcast import Nearcast, NearcastParams
from abr.controllers.nearcast.chain import Levels, transitions
from abr.controllers.nearcast.induction import (
    BUFFER_COUNT,
    Prices,
    Singles,
    Steps,
    outcomes,
    solve,
)
from abr.view import GO_ON, HISTORY, HORIZON, Attempt, History, View

LEVELS = Levels((0.2, 0.6, 0.2))


@st.composite
def prices(draw: st.DrawFn) -> Prices:
    def one(low: float, high: float) -> float:
        return draw(st.floats(low, high))

    return Prices(
        stall=one(0.0, 50.0),
        switch=one(0.0, 5.0),
        buffer_share=one(0.0, 1.0),
        change_share=one(0.0, 1.0),
        reserve_s=one(0.0, 4.0),
        reserve_decay_s=one(0.5, 20.0),
        patience_s=one(0.2, 10.0),
        giving_up_s=one(0.0, 4.0),
    )


@st.composite
def steps(draw: st.DrawFn) -> Steps:
    rungs, n = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    count, duration_s = draw(st.integers(1, 4)), draw(st.floats(1.0, 8.0))
    made = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rates = np.cumsum(made.uniform(0.2, 3.0, rungs)).astype(np.float32)
    centre = made.uniform(12.0, 17.0)
    bps = np.sort(made.lognormal(centre, 1.0, (3, 1, n, count)), axis=0)
    later_bps = np.maximum(bps, bps.mean(axis=0))
    sizes = rates[:, None, None] * 1e6 * duration_s * made.uniform(0.6, 1.5, (1, n, count))
    return Steps(
        rates=rates,
        durations_s=np.full((n, count), duration_s, np.float32),
        bits=sizes.astype(np.float32),
        bps=bps.astype(np.float32),
        later_bps=later_bps.astype(np.float32),
        latency_s=made.uniform(0, 0.3, n).astype(np.float32),
        limit_s=(duration_s + made.uniform(0, 40.0, n)).astype(np.float32),
        is_end=draw(st.booleans()),
    )


def worth(some: Steps, price: Prices, buffer_s: Singles) -> Singles:
    """(rungs, levels, n, b)"""
    chance = [transitions(LEVELS, 0.5).astype(np.float32)] * HORIZON
    return outcomes(some, 0, solve(some, chance, price), buffer_s, price)


def buffers(some: Steps) -> Singles:
    share = np.linspace(0.0, 1.2, 9, dtype=np.float32)
    return share * some.limit_s[:, None]


def tolerance(*arrays: Singles) -> float:
    return 2e-5 * max(1.0, *(float(np.abs(array).max()) for array in arrays))


@settings(max_examples=60, deadline=None)
@given(some=steps(), price=prices())
def test_more_buffer_is_never_worth_less(some: Steps, price: Prices) -> None:
    found = worth(some, price, buffers(some))
    assert np.isfinite(found).all()
    assert np.diff(found, axis=3).min() >= -tolerance(found)


@settings(max_examples=60, deadline=None)
@given(some=steps(), price=prices(), factor=st.floats(1.0, 20.0))
def test_a_faster_link_is_never_worth_less(some: Steps, price: Prices, factor: float) -> None:
    # Left out: a low rung is further from what a faster link sustains, and has more changes ahead.
    price = msgspec.structs.replace(price, change_share=0.0)
    times = np.float32(factor)
    faster = msgspec.structs.replace(some, bps=some.bps * times, later_bps=some.later_bps * times)
    slow, fast = worth(some, price, buffers(some)), worth(faster, price, buffers(some))
    assert (fast - slow).min() >= -tolerance(fast, slow)


@settings(max_examples=60, deadline=None)
@given(some=steps(), price=prices(), more=st.floats(0.0, 30.0))
def test_dearer_stalls_and_changes_are_never_worth_more(
    some: Steps, price: Prices, more: float
) -> None:
    cheap = worth(some, price, buffers(some))
    for name in ("stall", "switch"):
        dear = msgspec.structs.replace(price, **{name: getattr(price, name) + more})
        found = worth(some, dear, buffers(some))
        assert (found - cheap).max() <= tolerance(found, cheap)


@settings(max_examples=60, deadline=None)
@given(some=steps(), price=prices())
def test_a_rung_before_is_worth_at_most_the_change_to_another_less(
    some: Steps, price: Prices
) -> None:
    chance = [transitions(LEVELS, 0.5).astype(np.float32)] * HORIZON
    after = solve(some, chance, price)
    if after is None or some.durations_s.shape[1] == 1:
        return
    values: Singles = np.asarray(after.flat).reshape(after.shape)
    change = price.switch * np.abs(np.subtract.outer(some.rates, some.rates))
    gaps = change.reshape(*change.shape, 1, 1, 1)
    assert (values[:, None] - values[None] - gaps).max() <= tolerance(values)
    assert values.shape[-1] == BUFFER_COUNT


RUNGS = 4
LADDER_KBPS = np.array([300.0, 900.0, 2500.0, 7000.0])


def view_of(draw: np.random.Generator, session: list[int], last_step: bool) -> View:
    n = len(session)
    left = np.where(draw.random(n) < 0.5, 1, 9) if last_step else draw.integers(9, 30, n)
    durations_s = np.full((n, HORIZON), 4.0)
    durations_s[np.arange(HORIZON) >= left[:, None]] = np.nan
    kbps = draw.lognormal(7.8, 0.8, (n, HISTORY))
    return View(
        session=np.array(session),
        ladder_kbps=LADDER_KBPS,
        buffer_s=draw.uniform(0, 25, n),
        buffer_limit_s=np.full(n, 25.0),
        durations_s=durations_s,
        sizes_bits=durations_s[..., None] * LADDER_KBPS * 1000,
        segment_index=np.full(n, 40),
        segments_left=left,
        estimate_kbps=kbps[:, -1],
        ttfb_s=np.full(n, 0.05),
        history=History(
            kbps=kbps,
            bytes=kbps * 500,
            duration_s=np.full((n, HISTORY), 4.0),
            ttfb_s=np.full((n, HISTORY), 0.05),
            gap_s=np.zeros((n, HISTORY)),
            is_hit=np.zeros((n, HISTORY), dtype=np.bool_),
        ),
        gap_s=np.zeros(n),
        last_rung=draw.integers(0, RUNGS, n),
        is_startup=np.zeros(n, dtype=np.bool_),
        is_stalled=np.zeros(n, dtype=np.bool_),
    )


def attempt_of(draw: np.random.Generator, session: list[int]) -> Attempt:
    n = len(session)
    rung = draw.integers(1, RUNGS, n)
    sizes_bits = np.tile(LADDER_KBPS * 4000, (n, 1))
    return Attempt(
        session=np.array(session),
        ladder_kbps=LADDER_KBPS,
        rung=rung,
        elapsed_s=draw.uniform(0.6, 8.0, n),
        ttfb_s=np.full(n, 0.05),
        received_bits=sizes_bits[np.arange(n), rung] * draw.uniform(0.01, 0.9, n),
        sizes_bits=sizes_bits,
        duration_s=np.full(n, 4.0),
        buffer_s=draw.uniform(0, 12, n) * (draw.random(n) < 0.7),
        is_hit=np.zeros(n, dtype=np.bool_),
        is_waiting=np.zeros(n, dtype=np.bool_),
    )


@pytest.mark.parametrize("last_step", [False, True])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_what_other_sessions_do_changes_no_rescue(last_step: bool, seed: int) -> None:
    """Also when some are at their last segment and others are not, first or later."""
    draw = np.random.default_rng(seed)
    session = draw.permutation(6).tolist()
    view, attempt = view_of(draw, session, last_step), attempt_of(draw, session)
    params = NearcastParams(rescue_margin=0.05)
    together = Nearcast(params, 6)
    together.choose(view)
    found = together.abandon(attempt)
    assert ((found < attempt.rung) & (found >= GO_ON)).all()
    for row in range(6):
        alone = Nearcast(params, 6)
        alone.choose(view.take(slice(row, row + 1)))
        assert alone.abandon(attempt.take(slice(row, row + 1)))[0] == found[row]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), came_share=st.floats(0.0, 1.0))
def test_within_its_patience_it_goes_on(seed: int, came_share: float) -> None:
    """Whether nothing more came or some did."""
    draw = np.random.default_rng(seed)
    session = list(range(40))
    controller = Nearcast(NearcastParams(rescue_margin=0.0), 40)
    controller.choose(view_of(draw, session, last_step=False))
    attempt = attempt_of(draw, session)
    patience_s = controller.patience_s(attempt)
    later_s = 0.999 * patience_s
    left_bits = attempt.size_bits - attempt.received_bits
    later = msgspec.structs.replace(
        attempt,
        elapsed_s=attempt.elapsed_s + later_s,
        buffer_s=np.maximum(attempt.buffer_s - later_s, 0.0),
        received_bits=attempt.received_bits + came_share * 0.99 * left_bits,
    )
    found = controller.abandon(later)
    assert (found[patience_s > 0] == GO_ON).all()
