"""The fleet as people read it in a terminal."""

from __future__ import annotations

import pytest

from origin.commands.fleet_table import rate, summary
from origin.control.recent import Recent
from origin.control.rows import fleet_totals


@pytest.mark.parametrize(
    ("kbps", "shown"),
    [
        (640.4, "640 kb/s"), (25_500.0, "25.5 Mb/s"), (999_900.0, "1000 Mb/s"), (1e6, "1 Gb/s"),
        (1e9, "1000 Gb/s"),
    ],
)  # fmt: skip
def test_a_rate_is_written_without_powers_of_ten(kbps: float, shown: str) -> None:
    assert rate(kbps) == shown


@pytest.mark.parametrize(
    ("trouble", "shown"), [("", "no edges"), ("the disk is full", "no edges; the disk is full")]
)
def test_what_keeps_the_database_from_writing_is_said(trouble: str, shown: str) -> None:
    totals = fleet_totals(
        (), Recent(), wall_s=0.0, plan_id="", database_trouble=trouble, origin_count=1, refused={}
    )
    assert totals.is_database_away == bool(trouble)
    assert summary(totals) == shown
