"""Answers about plans as lines for people."""

from datetime import UTC, datetime
from typing import Any

import pytest

from nearcast.placement import FillWindow
from origin.commands.plan_text import detail_lines, explain_lines
from origin.control.api import PlanDetail, PlanRow
from origin.placement.explain import Explained
from origin.placement.settings import PlanSettings
from origin.placement.summary import EdgeSummary, PlanSummary


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


def shown(**edge: Any) -> list[str]:
    row = PlanRow(
        plan_id="ab", state="proposed", made_wall_s=0.0, valid_until_wall_s=1.0,
        applied_wall_s=None, edge_count=1, file_count=9, stored_bytes=0, fill_bytes=0,
        value_bytes=0.0, refused_edges=0,
    )  # fmt: skip
    summary = PlanSummary(
        plan_id="ab", made_wall_s=0.0, valid_from_wall_s=0.0, valid_until_wall_s=1.0,
        settings=PlanSettings(), file_count=9, fill_bytes_max=0, fill_price=0.0,
        edges=(EdgeSummary(edge="ams-1", files=9, **edge),),
    )  # fmt: skip
    return list(detail_lines(PlanDetail(plan=row, summary=summary)))


def test_what_a_plan_is_short_of_stands_in_its_row_or_whole_below_it() -> None:
    assert shown(binding=("storage",))[-1].endswith("  storage")
    why = "the disk takes nothing new, so that nothing can be fetched for any plan to it"
    lines = shown(refusal=why, missing_bytes=40_000_000)
    text = " ".join(" ".join(lines).split())
    assert f" {why} " in text
    assert lines[-1].startswith("  40")
    assert "should be held and is missing" in lines[-1]
    assert max(map(len, lines)) <= 80
