"""Who leaves when there is no room for another connection."""

from __future__ import annotations

from dataclasses import dataclass

from origin.control.crowd import makes_way


@dataclass
class One:
    peer: str
    last_s: float
    is_busy: bool = False


def test_the_most_crowded_address_makes_way_for_another() -> None:
    busy = [One("flood", at_s, is_busy=True) for at_s in (3.0, 2.0)]
    edge = One("edge", 1.0)
    assert makes_way([*busy, edge], "other") is busy[1]
    assert makes_way([*busy, edge], "edge") is busy[1]
    idle = One("flood", 9.0)
    assert makes_way([*busy, idle, edge], "other") is idle


def test_within_an_address_the_quiet_make_way_and_what_is_at_work_stays() -> None:
    ones = [One("nat", 5.0), One("nat", 4.0), One("nat", 3.0, is_busy=True)]
    assert makes_way(ones, "nat") is ones[1]
    assert makes_way([One("nat", 3.0, is_busy=True)] * 3, "nat") is None


def test_with_nobody_there_the_newcomer_leaves() -> None:
    assert makes_way([], "any") is None
