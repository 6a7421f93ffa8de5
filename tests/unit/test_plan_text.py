"""Answers about plans as lines for people."""

from datetime import UTC, datetime
from typing import Any

import pytest

from nearcast.placement import FillWindow
from origin.commands.plan_text import detail_lines, diff_lines, explain_lines
from origin.control.api import PlanDetail, PlanRow
from origin.placement.diff import EdgeDiff, FileChange, PlanDiff
from origin.placement.explain import Explained, RunnerUp
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


def test_episodes_of_a_long_name_are_told_apart() -> None:
    changes = tuple(
        FileChange(
            title=f"the-long-winter-of-harbour-street-s01e{number:02d}", rendition="1080p",
            change="added", size_bytes=10, value_bytes=1.0,
        )
        for number in range(1, 4)
    )  # fmt: skip
    diff = PlanDiff(
        plan_id="ab", before_id="", added_bytes=0, removed_bytes=0, kept_bytes=0, fill_bytes=0,
        value_bytes=0.0, edges=(EdgeDiff(edge="ams-1", changes=changes),),
    )  # fmt: skip
    lines = list(diff_lines(diff))[-3:]
    assert [line[line.index("s01e") :][:6] for line in lines] == ["s01e01", "s01e02", "s01e03"]
    assert max(map(len, lines)) <= 80


def test_a_long_explanation_keeps_to_eighty_columns() -> None:
    title = "the-long-winter-of-harbour-street-s01e01"
    explained = Explained(
        edge="amsterdam-west-1", title=title, rendition="1080p", is_planned=False, size_bytes=1000,
        expected_bytes=1e12, site_expected_bytes=1e12, worth=1234.56, cut_off=1234.5,
        runner_up=RunnerUp(title=title, rendition="1080p", worth=123.4),
        because="it would save 1234.56 bytes per byte, what was taken last saves 1234.57; what is "
        "short is storage and the fill budget of all edges (fill_share)",
    )  # fmt: skip
    lines = list(explain_lines([explained]))
    assert max(map(len, lines)) <= 80
    assert all(line.startswith("  ") for line in lines[1:])
    assert "budget of all edges (fill_share)" in " ".join(" ".join(lines).split())
