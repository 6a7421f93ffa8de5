from __future__ import annotations

import pytest

from nearcast.machine import EffectQueue, soonest


@pytest.mark.parametrize(
    ("deadlines_s", "first_s"),
    [((), None), ((None, None), None), ((None, 0.0, 5.0), 0.0), ((7.0, None, -2.0, 3.0), -2.0)],
)
def test_the_soonest_of_several_deadlines(
    deadlines_s: tuple[float | None, ...], first_s: float | None
) -> None:
    assert soonest(*deadlines_s) == first_s


def test_effects_come_out_once_and_in_order() -> None:
    queue: EffectQueue[str] = EffectQueue()
    queue.emit("first")
    queue.emit("second")
    assert queue.drain() == ["first", "second"]
    assert queue.drain() == []
