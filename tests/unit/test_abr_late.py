"""When a segment under way is given up."""

from __future__ import annotations

import numpy as np
import pytest

from abr.controllers import build_controller
from abr.controllers.late import late_in_s, lower_rung
from abr.view import ASK_AGAIN, GO_ON, Attempt

LADDER_KBPS = np.array([100.0, 400.0, 1000.0])
SIZES_BITS = np.array([800_000.0, 3_200_000.0, 8_000_000.0])


def attempt(
    received_bits: float,
    timed_s: float,
    *,
    buffer_s: float = 20.0,
    rung: int = 2,
    ttfb_s: float = 0.1,
    is_waiting: bool = False,
) -> Attempt:
    """A segment of 8 s; its first byte came after `ttfb_s`, `timed_s` ago."""
    return Attempt(
        session=np.array([0]),
        ladder_kbps=LADDER_KBPS,
        rung=np.array([rung]),
        elapsed_s=np.array([ttfb_s + timed_s]),
        ttfb_s=np.array([ttfb_s]),
        received_bits=np.array([received_bits]),
        sizes_bits=SIZES_BITS[None],
        duration_s=np.array([8.0]),
        buffer_s=np.array([buffer_s]),
        is_hit=np.array([False]),
        is_waiting=np.array([is_waiting]),
    )


def test_segment_in_time_goes_on() -> None:
    # 800 kbit/s, 6.4 Mbit left: 8 s.
    assert lower_rung(attempt(1.6e6, 2.0, buffer_s=8.1)).tolist() == [GO_ON]


def test_late_segment_is_replaced_by_the_highest_rung_in_time() -> None:
    assert lower_rung(attempt(1.6e6, 2.0, buffer_s=5.0)).tolist() == [1]  # 4.1 s
    assert lower_rung(attempt(1.6e6, 2.0, buffer_s=3.0)).tolist() == [0]  # 1.1 s


def test_nothing_in_time_takes_the_lowest_only_if_it_comes_clearly_sooner() -> None:
    assert lower_rung(attempt(1.6e6, 2.0, buffer_s=0.5)).tolist() == [0]  # 1.1 s against 8 s
    late = attempt(7.12e6, 8.9, buffer_s=0.5)
    assert lower_rung(late).tolist() == [GO_ON]  # 1.1 s against 1.1 s


def test_while_nothing_plays_a_segment_may_take_as_long_as_it_plays() -> None:
    slow, slower = (attempt(bits, 2.0, buffer_s=0.0, is_waiting=True) for bits in (1.7e6, 1.5e6))
    assert lower_rung(slow).tolist() == [GO_ON]  # 7.4 s
    assert lower_rung(slower).tolist() == [1]  # 8.7 s


def test_lowest_rung_is_never_given_up() -> None:
    assert lower_rung(attempt(8_000.0, 10.0, rung=0, buffer_s=0.0)).tolist() == [GO_ON]


@pytest.mark.parametrize("is_waiting", [True, False])
def test_lateness_is_foreseen_to_the_moment(is_waiting: bool) -> None:
    halted = attempt(4e6, 1.0, buffer_s=6.0, is_waiting=is_waiting)
    due_s = float(late_in_s(halted)[0])
    for early_s, is_late in ((0.01, False), (-0.01, True)):
        timed_s = 1.0 + due_s - early_s
        buffer_s = 6.0 - (0.0 if is_waiting else due_s - early_s)
        then = attempt(4e6, timed_s, buffer_s=buffer_s, is_waiting=is_waiting)
        assert (lower_rung(then)[0] != GO_ON) == is_late


def test_throughput_rule_gives_up_what_takes_1_8_times_its_duration() -> None:
    rule = build_controller("throughput")
    # 0.1 s and then 8 Mbit at so many bit/s against 14.4 s.
    assert rule.abandon(attempt(2 * 0.57e6, 2.0)).tolist() == [GO_ON]
    assert rule.abandon(attempt(2 * 0.55e6, 2.0)).tolist() == [ASK_AGAIN]


def test_throughput_rule_does_not_judge_a_rate_too_early() -> None:
    rule = build_controller("throughput")
    assert rule.abandon(attempt(4_000.0, 0.3)).tolist() == [GO_ON]
    assert rule.abandon(attempt(4_000.0, 0.5)).tolist() == [ASK_AGAIN]


def test_throughput_rule_goes_on_when_a_new_start_would_bring_more_bits() -> None:
    rule = build_controller("throughput")
    # At 0.48 Mbit/s, 16.7 s in all, rung 1 would be carried: 3.2 Mbit.
    assert rule.abandon(attempt(4.7e6, 9.8)).tolist() == [ASK_AGAIN]  # 3.3 left
    assert rule.abandon(attempt(4.9e6, 10.2)).tolist() == [GO_ON]  # 3.1 left


def test_robust_mpc_never_gives_up() -> None:
    assert build_controller("robust_mpc").abandon(attempt(8_000.0, 9.0)).tolist() == [GO_ON]
