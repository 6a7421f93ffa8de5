"""Cost-aware admission and the counts it rests on."""

from __future__ import annotations

from cache.admission.sketch import Sketch
from cache.admission.worth import Worth, WorthParams


def test_a_sketch_counts_uses_and_no_others() -> None:
    sketch = Sketch(1024, 1_000)
    for _ in range(5):
        sketch.add("a")
    sketch.add("b")
    assert [sketch.count(object_id) for object_id in "abc"] == [5, 1, 0]


def test_a_sketch_never_counts_too_low_before_it_ages() -> None:
    sketch = Sketch(16, 10_000)  # far too small: everything collides
    for number in range(300):
        for _ in range(number % 5):
            sketch.add(str(number))
    assert all(sketch.count(str(number)) >= number % 5 for number in range(300))
    assert max(sketch.count(str(number)) for number in range(300)) <= 15


def test_a_sketch_halves_its_counts_when_it_ages() -> None:
    sketch = Sketch(1024, 10)
    for _ in range(9):
        sketch.add("a")
    assert sketch.count("a") == 9
    sketch.add("a")
    assert sketch.count("a") == 5


def test_everything_is_admitted_until_something_is_evicted() -> None:
    gate = Worth(1_000_000)
    assert all(gate.admits(str(number), 10**9) for number in range(20))


def popular_victims(gate: Worth) -> None:
    """A tier that lets go of objects of 100 bytes used five times."""
    for victim in range(40):
        for _ in range(5):
            gate.hit(f"v{victim}")
        gate.evicted(f"v{victim}", 100)


def test_an_object_is_admitted_once_it_is_worth_as_much_as_the_victims() -> None:
    gate = Worth(1_000_000, WorthParams(victim_weight=1.0))
    popular_victims(gate)
    assert [gate.admits("new", 100) for _ in range(5)] == [False] * 4 + [True]


def test_a_small_object_is_worth_more_per_byte() -> None:
    gate = Worth(1_000_000, WorthParams(victim_weight=1.0))
    popular_victims(gate)
    assert gate.admits("small", 10)  # one use saves ten times as much per byte
    assert not gate.admits("large", 1_000)


def test_bytes_count_by_their_cost() -> None:
    gate = Worth(1_000_000, WorthParams(victim_weight=1.0, cost_per_byte=1_000.0))
    popular_victims(gate)
    # Fetching costs nearly the same per byte, whatever the size: only uses are compared.
    assert not gate.admits("small", 10)
    for _ in range(4):
        gate.hit("large")
    assert gate.admits("large", 1_000)


def test_a_bar_that_refuses_everything_comes_down() -> None:
    gate = Worth(1_000_000, WorthParams(victim_weight=1.0))
    popular_victims(gate)
    refusals = 0
    while not gate.admits(f"new{refusals}", 100):  # each asked for once
        refusals += 1
        assert refusals < 5_000
    assert refusals > 100


def test_what_was_popular_once_is_forgotten_sooner_by_a_small_tier() -> None:
    gate = Worth(100)
    popular_victims(gate)
    for _ in range(40):
        gate.hit("other")
    assert gate._sketch.count("v39") < 5
    gate = Worth(10**9)
    popular_victims(gate)
    for _ in range(40):
        gate.hit("other")
    assert gate._sketch.count("v39") == 5
