"""The link that demand and prefetches share."""

from __future__ import annotations

import pytest

from simulation.prefetch.backhaul import HEAD, LATER, SOON, Backhaul, Transfer


def _arrivals(link: Backhaul, until_s: float) -> list[tuple[int, float]]:
    return [(each.name, round(link.now_s, 6)) for each in link.run(until_s)]


def test_prefetches_get_what_the_pictures_of_viewers_leave() -> None:
    link = Backhaul(10.0)
    link.ask(Transfer(1, 80.0, 8.0, SOON))
    link.prefetch(Transfer(2, 20.0, 8.0, HEAD))

    assert _arrivals(link, 100.0) == [(1, 10.0), (2, 10.0)]
    assert link.carried_bytes == pytest.approx(100.0)


def test_players_fill_their_buffers_before_rests_but_after_heads() -> None:
    link = Backhaul(20.0)
    link.ask(Transfer(1, 200.0, 8.0, SOON))
    link.prefetch(Transfer(2, 24.0, 8.0, HEAD))
    link.prefetch(Transfer(3, 20.0, 8.0, SOON))

    # The head has all that the picture leaves (12), then the player takes a quarter more (10).
    assert _arrivals(link, 5.0) == [(2, 2.0), (3, 4.0)]


def test_what_can_wait_comes_last_even_if_it_was_asked_for_first() -> None:
    link = Backhaul(10.0)
    link.prefetch(Transfer(1, 50.0, 8.0, LATER))
    link.prefetch(Transfer(2, 50.0, 8.0, SOON))
    link.prefetch(Transfer(3, 50.0, 8.0, SOON))
    link.move(2, LATER)

    assert [name for name, _ in _arrivals(link, 100.0)] == [3, 1, 2]


def test_too_much_demand_goes_down_in_rate_and_leaves_a_tenth() -> None:
    link = Backhaul(10.0)
    link.ask(Transfer(1, 60.0, 12.0, SOON))
    link.ask(Transfer(2, 30.0, 6.0, SOON))
    link.prefetch(Transfer(3, 5.0, 6.0, HEAD))

    assert _arrivals(link, 5.0) == [(1, 5.0), (2, 5.0), (3, 5.0)]
    assert link.demand_bytes == pytest.approx(45.0)
    assert link.wanted_bytes == pytest.approx(90.0)


def test_players_that_keep_their_rate_share_the_link_and_leave_nothing() -> None:
    link = Backhaul(10.0, is_adaptive=False)
    link.ask(Transfer(1, 60.0, 12.0, SOON))
    link.ask(Transfer(2, 60.0, 8.0, SOON))
    link.prefetch(Transfer(3, 5.0, 6.0, HEAD))

    # 6 and 4 of the 10 bytes/s; then the second has its 8, and the head what is left.
    assert _arrivals(link, 20.0) == [(1, 10.0), (2, 12.5), (3, 12.5)]
    assert link.demand_bytes == pytest.approx(link.wanted_bytes)


def test_every_byte_is_carried_once_and_what_is_cancelled_is_not() -> None:
    link = Backhaul(10.0)
    link.ask(Transfer(1, 50.0, 2.0, SOON))
    link.prefetch(Transfer(2, 30.0, 2.0, HEAD))
    link.prefetch(Transfer(3, 40.0, 2.0, SOON))
    arrived = _arrivals(link, 2.0)
    link.cancel(3)
    arrived += _arrivals(link, 1000.0)

    assert {name for name, _ in arrived} == {1, 2}
    assert link.carried_bytes == pytest.approx(80.0)
    assert link.find(3) is None


def test_a_prefetch_that_somebody_waits_for_goes_on_as_demand() -> None:
    link = Backhaul(10.0)
    link.prefetch(Transfer(1, 100.0, 2.0, SOON))
    _arrivals(link, 4.0)
    half_way = link.find(1)
    assert half_way is not None

    link.ask(half_way)

    assert half_way.got_bytes == pytest.approx(40.0)
    assert _arrivals(link, 1000.0) == [(1, 28.0)]
