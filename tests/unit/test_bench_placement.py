"""`nearcast bench placement` on small fleets."""

import pytest

from nearcast.errors import ConfigError
from simulation.bench.placement import Fleet, read_fleets, run_bench, table


def test_the_planner_is_near_the_bound_and_ahead_of_the_naive() -> None:
    alone, cluster = run_bench(
        [Fleet(edges=3, files=400), Fleet(edges=3, files=400, cluster=3)], seed=2
    )
    assert 0.0 <= alone.gap <= 0.01
    assert alone.naive_gap is not None
    assert alone.naive_gap > alone.gap
    assert 0.0 <= cluster.gap <= 0.03
    assert cluster.naive_gap is None
    for row in (alone, cluster):
        assert row.fill_bytes <= row.fill_bytes_max
        assert row.bound == "linear"
    lines = list(table([alone, cluster]))
    assert all(len(line) <= 80 for line in lines)
    assert "3x400/3" in lines[-1]


def test_fleets_are_read() -> None:
    assert read_fleets(["8x10000", " 100x100000/10"]) == (
        Fleet(edges=8, files=10_000),
        Fleet(edges=100, files=100_000, cluster=10),
    )


@pytest.mark.parametrize("text", ["8", "8x", "0x10", "8x0", "8x10/", "99999x1"])
def test_what_is_no_fleet_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ConfigError, match="--fleets"):
        read_fleets([text])
