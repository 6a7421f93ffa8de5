"""What follows from failures: another rung at once, then waits, then giving up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from abr.config import RetryConfig
from abr.events import ResponseFailed
from abr.setbacks import STRIKES_MAX, TRIES_AT_ONCE_MAX, Setbacks

RUNGS = 3


def made(rung_count: int = RUNGS) -> Setbacks:
    return Setbacks(RetryConfig(), rung_count, lambda wait_s: wait_s)


def fail(
    setbacks: Setbacks,
    rung: int,
    now_s: float,
    status: int | None = None,
    *,
    has_fresh: Callable[[int], bool] = lambda rung: False,
    not_before_s: float = float("-inf"),
) -> None:
    failure = ResponseFailed(request_id=1, detail="x", status=status)
    setbacks.failed(rung, failure, now_s, has_fresh=has_fresh, not_before_s=not_before_s)


def test_nothing_waits_while_another_rung_can_be_asked() -> None:
    setbacks = made()
    fail(setbacks, 2, 10.0, 404, has_fresh=lambda rung: rung < 2)
    assert setbacks.wait_until_s is None
    assert setbacks.nearest_allowed(2, range(RUNGS), 10.0) == 1
    fail(setbacks, 1, 10.0, 404, has_fresh=lambda rung: rung < 1)
    assert setbacks.wait_until_s is None
    assert setbacks.nearest_allowed(2, range(RUNGS), 10.0) == 0
    fail(setbacks, 0, 10.0, 404)
    assert setbacks.wait_until_s == pytest.approx(10.5)
    assert (setbacks.round_count, setbacks.try_count) == (1, 3)


def test_waits_double_up_to_a_bound() -> None:
    setbacks = made(1)
    waits = []
    for _ in range(6):
        fail(setbacks, 0, 0.0)
        assert setbacks.wait_until_s is not None
        waits.append(setbacks.wait_until_s)
    assert waits == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]


def test_server_that_asks_to_be_left_alone_is() -> None:
    setbacks = made(1)
    fail(setbacks, 0, 5.0, 503, not_before_s=15.0)
    assert setbacks.wait_until_s == 15.0


def test_tries_without_a_wait_are_bounded() -> None:
    setbacks = made(1)
    for _ in range(TRIES_AT_ONCE_MAX - 1):
        fail(setbacks, 0, 1.0, has_fresh=lambda rung: True)
        assert setbacks.wait_until_s is None
    fail(setbacks, 0, 1.0, has_fresh=lambda rung: True)
    assert setbacks.wait_until_s is not None


def test_segment_missing_at_every_rung_is_a_hole_only_after_a_wait() -> None:
    setbacks = made()
    for rung in (2, 1, 0):
        fail(setbacks, rung, 1.0, 404)
        assert not setbacks.is_hole or rung == 0
    setbacks = made()
    fresh = {2, 1, 0}
    for rung in (2, 1, 0):
        fresh.discard(rung)
        fail(setbacks, rung, 1.0, 404, has_fresh=lambda rung: rung in fresh)
    assert not setbacks.is_hole, "publishing may just take its time"
    fail(setbacks, 2, 1.5, 404)
    assert setbacks.is_hole


def test_error_at_one_rung_keeps_it_from_being_a_hole() -> None:
    setbacks = made(2)
    fail(setbacks, 1, 1.0, 404)
    fail(setbacks, 0, 1.5, 500)
    fail(setbacks, 0, 2.5, 500)
    fail(setbacks, 1, 4.5, 404)
    assert not setbacks.is_hole


def test_rung_is_avoided_longer_each_time_and_then_for_good() -> None:
    setbacks = made()
    now_s = 0.0
    for strike in range(STRIKES_MAX - 1):
        fail(setbacks, 2, now_s, 404, has_fresh=lambda rung: rung < 2)
        setbacks.succeeded(1)
        until_s = now_s + 30.0 * 4.0**strike
        assert not setbacks.is_allowed(2, until_s - 0.1)
        assert setbacks.is_allowed(2, until_s)
        now_s = until_s
    fail(setbacks, 2, now_s, 404, has_fresh=lambda rung: rung < 2)
    setbacks.succeeded(1)
    assert not setbacks.is_allowed(2, now_s + 1e6)


def test_segment_at_a_rung_forgives_it() -> None:
    setbacks = made()
    for _ in range(20):
        fail(setbacks, 2, 0.0, 404, has_fresh=lambda rung: rung < 2)
        setbacks.succeeded(2)
    assert setbacks.is_allowed(2, 0.1)


def test_outages_never_lose_a_rung_for_good() -> None:
    setbacks = made()
    for outage in range(20):
        for _ in range(3):
            fail(setbacks, 2, 100.0 * outage)
        setbacks.succeeded(0)
    assert setbacks.is_allowed(2, 2000.0)


def test_error_of_the_server_weighs_less_than_a_missing_file() -> None:
    setbacks = made()
    fail(setbacks, 2, 0.0, 502, has_fresh=lambda rung: rung < 2)
    assert not setbacks.is_allowed(2, 7.4)
    assert setbacks.is_allowed(2, 7.6)


def test_hole_leaves_the_rungs_as_they_were() -> None:
    setbacks = made(2)
    fail(setbacks, 1, 0.0, 404, has_fresh=lambda rung: rung == 0)
    setbacks.succeeded(0)
    for rung, now_s in ((0, 1.0), (0, 2.0), (1, 3.0)):
        fail(setbacks, rung, now_s, 404)
    assert setbacks.is_hole
    setbacks.skipped()
    assert setbacks.is_allowed(0, 3.0)
    assert not setbacks.is_allowed(1, 3.0), "it was missing before"
    assert (setbacks.wait_until_s, setbacks.round_count) == (None, 0)


def test_where_all_are_avoided_the_least_blamed_is_asked() -> None:
    setbacks = made()
    fail(setbacks, 2, 0.0, 404)
    fail(setbacks, 1, 1.0, 500)
    fail(setbacks, 0, 2.0, 404)
    assert setbacks.nearest_allowed(2, range(RUNGS), 3.0) == 1
