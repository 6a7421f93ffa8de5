"""Answers about plans as lines for people."""

from datetime import UTC, datetime

import pytest

from nearcast.placement import FillWindow
from origin.commands.plan_text import explain_lines
from origin.placement.explain import Explained


def window(day: int, from_hour: int, until_hour: int) -> FillWindow:
    def wall_s(hour: int) -> float:
        return datetime(2027, 3, day, hour, tzinfo=UTC).timestamp()

    return FillWindow(from_wall_s=wall_s(from_hour), until_wall_s=wall_s(until_hour))


def answer(*windows: FillWindow) -> list[str]:
    explained = Explained(
        edge="ams-1",
        title="t",
        rendition="v",
        is_planned=True,
        size_bytes=1000,
        expected_bytes=10.0,
        site_expected_bytes=10.0,
        worth=0.5,
        cut_off=0.1,
        windows=windows,
        because="it is watched there",
    )
    return list(explain_lines([explained]))


@pytest.mark.parametrize(
    ("windows", "said"),
    [
        ((window(27, 1, 7),), "fetches 03-27 01:00 to 03-27 07:00 (UTC)"),
        (
            (window(27, 1, 7), window(28, 1, 6), window(29, 0, 6)),
            "fetches 03-27 01:00 to 03-27 07:00, 03-28 01:00 to 03-28 06:00, ... (UTC)",
        ),
    ],
)
def test_an_explanation_says_when_the_edge_fetches(
    windows: tuple[FillWindow, ...], said: str
) -> None:
    lines = answer(*windows)
    assert said in [line.strip() for line in lines]
    assert max(map(len, lines)) <= 80


def test_an_edge_without_windows_is_not_said_to_fetch() -> None:
    assert not any("fetches" in line for line in answer())
