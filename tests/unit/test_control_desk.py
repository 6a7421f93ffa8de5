"""What is to be written down of what edges say."""

from __future__ import annotations

from typing import Any, cast

from nearcast.fleet import Observation, Observations
from origin.drivers.control.desk import Desk
from origin.fleet import EdgeChanged, Fleet
from tests.simulated_fleet import WALL_S, record_of


class Idle:
    """A pump that has nothing to do."""

    def wake(self) -> None:
        pass


def test_what_an_edge_was_not_asked_to_look_at_is_not_written() -> None:
    fleet = Fleet()
    for name in ("a", "b"):
        fleet.handle(EdgeChanged(record=record_of(name)), 0.0)
    nobody = cast("Any", None)
    identities = cast("Any", type("Known", (), {"records": {"a": 1, "b": 1}}))
    desk = Desk(
        identities, nobody, fleet, cast("Any", Idle()), nobody, nobody, "o1",
        now_s=lambda: 1.0, wall_s=lambda: WALL_S,
    )  # fmt: skip
    seen = tuple(Observation(edge=name, is_up=False) for name in ("a", "b", "never-enrolled"))
    said = Observations(edge="a", boot_id="0" * 16, sequence_no=1, seen=seen)
    assert desk.observations("a", said) is None
    assert list(desk.seen) == [("a", "b")]
