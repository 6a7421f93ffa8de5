from __future__ import annotations

import pickle

import numpy as np

from cache.expiries import Expiries


def test_the_soonest_goes_first_and_equal_times_as_they_were_set() -> None:
    expiries = Expiries()
    for object_id, until_s in (("late", 9.0), ("first", 5.0), ("second", 5.0), ("gone", 1.0)):
        expiries.set(object_id, until_s)
    expiries.discard("gone")
    assert (expiries.soonest(), expiries.next_s()) == ("first", 5.0)
    assert list(expiries.before(9.0)) == ["first", "second"]
    assert expiries.due(4.9) is None
    assert expiries.due(5.0) == "first"


def test_a_time_can_be_put_off_and_never_brought_forward() -> None:
    expiries = Expiries()
    expiries.set("a", 5.0)
    expiries.set("b", 6.0)
    assert expiries.put_off("a", 7.0)
    assert expiries.put_off("b", 1.0)
    assert list(expiries.before(10.0)) == ["b", "a"]
    assert not expiries.put_off("unknown", 7.0)
    assert expiries.next_s() == 6.0


def test_it_agrees_with_a_plain_table() -> None:
    rng = np.random.default_rng(5)
    expiries, plain = Expiries(), dict[str, tuple[float, int]]()
    for step in range(500):
        object_id, until_s = f"{rng.integers(20)}", float(rng.integers(50))
        if rng.random() < 0.3:
            expiries.discard(object_id)
            plain.pop(object_id, None)
        else:
            expiries.set(object_id, until_s)
            plain[object_id] = (until_s, step)
        in_order = sorted(plain, key=plain.__getitem__)
        assert expiries.soonest() == (in_order[0] if in_order else None)
        assert list(expiries.before(25.0)) == [one for one in in_order if plain[one][0] < 25.0]


def test_what_has_left_does_not_pile_up() -> None:
    expiries = Expiries()
    for step in range(1000):
        expiries.set("a", 1e6 + step)
        expiries.discard("a")
    assert len(pickle.dumps(expiries)) < 2_000  # a thousand leftovers take 15 kB and more
