"""What sessions expect of their next request, against those who measure one after the other."""

from __future__ import annotations

import numpy as np
import pytest

from abr.throughput import HALF_LIFE_FAST_S, HALF_LIFE_SLOW_S, Ewma, ThroughputMeter
from simulation.sessions.estimates import PlayerEstimate, PublishedEstimate

TRANSFERS = 60
ROW = np.array([1])
"""Of three: the others must not matter."""


def some_transfers(seed: int, hit_ratio: float) -> list[tuple[int, float, float, bool, bool]]:
    """Bytes, duration, wait, hit and whole; some too small to time, some given up."""
    draw = np.random.default_rng(seed)
    sizes = (2.0 ** draw.uniform(10.0, 23.0, TRANSFERS)).astype(int).tolist()
    durations_s = draw.uniform(0.01, 8.0, TRANSFERS).tolist()
    waits_s = draw.uniform(0.01, 0.5, TRANSFERS).tolist()
    hits = (draw.random(TRANSFERS) < hit_ratio).tolist()
    wholes = (draw.random(TRANSFERS) < 0.8).tolist()
    return list(zip(sizes, durations_s, waits_s, hits, wholes, strict=True))


def told(
    estimate: PlayerEstimate | PublishedEstimate,
    row: int,
    transfer: tuple[int, float, float, bool, bool],
) -> None:
    size_bytes, duration_s, ttfb_s, is_hit, is_whole = transfer
    estimate.add(
        np.array([row]),
        size_bits=np.array([size_bytes * 8.0]),
        duration_s=np.array([duration_s]),
        ttfb_s=np.array([ttfb_s]),
        is_hit=np.array([is_hit]),
        is_whole=np.array([is_whole]),
    )


@pytest.mark.parametrize("hit_ratio", [0.0, 0.3, 0.9, 1.0])
def test_the_players_rule_is_what_its_meter_says(hit_ratio: float) -> None:
    meter, estimate = ThroughputMeter(), PlayerEstimate(3)
    assert np.isnan(estimate.kbps(ROW)).all()
    assert estimate.ttfb_s(ROW) == [0.0]
    others = some_transfers(7, 0.5)
    for index, transfer in enumerate(some_transfers(4, hit_ratio)):
        size_bytes, duration_s, ttfb_s, is_hit, _ = transfer
        meter.answered(ttfb_s, is_hit=is_hit)
        mark = meter.mark(0.0, is_hit=is_hit)
        meter.count(size_bytes, is_hit=is_hit)
        meter.measure(mark, duration_s)
        told(estimate, 1, transfer)
        told(estimate, 0, others[index])
        expected = meter.next_kbps()
        if expected is None:
            assert np.isnan(estimate.kbps(ROW)).all()
        else:
            assert estimate.kbps(ROW) == pytest.approx(expected)
        assert estimate.ttfb_s(ROW) == pytest.approx(meter.ttfb_s())


def test_the_published_rule_takes_whole_transfers_alike() -> None:
    segment_s = 4.0
    estimate = PublishedEstimate(3, segment_s)
    fast, slow = Ewma(HALF_LIFE_FAST_S), Ewma(HALF_LIFE_SLOW_S)
    waits = Ewma(HALF_LIFE_FAST_S), Ewma(HALF_LIFE_SLOW_S)
    assert np.isnan(estimate.kbps(ROW)).all()
    for transfer in some_transfers(5, 0.3):
        size_bytes, duration_s, ttfb_s, _, is_whole = transfer
        told(estimate, 1, transfer)
        if is_whole:
            for mean in (fast, slow):
                mean.add(size_bytes * 8 / duration_s / 1000, duration_s)
            for mean in waits:
                mean.add(ttfb_s, segment_s)
    lower = min(mean.value() or 0.0 for mean in (fast, slow))
    assert estimate.kbps(ROW) == pytest.approx(lower)
    assert estimate.ttfb_s(ROW) == pytest.approx(max(mean.value() or 0.0 for mean in waits))


def test_quick_hits_raise_what_is_expected_of_a_miss_by_the_published_rule_alone() -> None:
    """Misses at 2 Mbit/s, every third transfer a hit at 20."""
    player, published = PlayerEstimate(1), PublishedEstimate(1, 4.0)
    for index in range(30):
        is_hit = index % 3 == 1
        transfer = (1_000_000, 0.4 if is_hit else 4.0, 0.1, is_hit, True)
        for estimate in (player, published):
            told(estimate, 0, transfer)
    assert player.kbps(np.array([0])) == pytest.approx(2000.0)
    assert published.kbps(np.array([0])) > 2300.0
