"""Plans as lines of text, 80 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from nearcast.placement import FillWindow
from nearcast.units import format_size
from origin.control.api import PlanDetail, PlanRow
from origin.placement.diff import PlanDiff
from origin.placement.explain import Explained

CHANGES_SHOWN = 10
WINDOWS_SHOWN = 2
ID_LENGTH = 12
TITLE_WIDTH = 32
WIDTH = 80


def list_lines(plans: Iterable[PlanRow]) -> Iterator[str]:
    yield f"{'plan':<13} {'made (UTC)':<17} {'state':<11} {'edges':>6} {'files':>8} {'to fetch':>9}"
    for plan in plans:
        yield (
            f"{plan.plan_id[:ID_LENGTH]:<13} {_time(plan.made_wall_s):<17} {plan.state:<11} "
            f"{plan.edge_count:>6} {plan.file_count:>8} {format_size(plan.fill_bytes):>9}"
        )


def detail_lines(detail: PlanDetail) -> Iterator[str]:
    plan, summary = detail.plan, detail.summary
    yield (
        f"plan {plan.plan_id[:ID_LENGTH]}, {plan.state}, made {_time(plan.made_wall_s)}, valid "
        f"until {_time(plan.valid_until_wall_s)} UTC"
    )
    yield f"{'edge':<20} {'files':>8} {'to hold':>9} {'to fetch':>9} {'saves':>9}  short of"
    for edge in summary.edges:
        figures = (
            f"{edge.edge[:20]:<20} {edge.files:>8} {format_size(edge.stored_bytes):>9} "
            f"{format_size(edge.fill_bytes):>9} {format_size(edge.value_bytes):>9}  "
        )
        short = edge.refusal or ", ".join(edge.binding) or "-"
        if len(figures) + len(short) <= WIDTH:
            yield figures + short
        else:
            yield figures.rstrip()
            yield from _below(short)
        if edge.missing_bytes:
            size = format_size(edge.missing_bytes)
            yield from _below(f"{size} should be held and is missing, as the edge says")


def diff_lines(diff: PlanDiff) -> Iterator[str]:
    against = f"plan {diff.before_id[:ID_LENGTH]}" if diff.before_id else "no plan"
    yield (
        f"plan {diff.plan_id[:ID_LENGTH]} against {against}: {format_size(diff.added_bytes)} more, "
        f"{format_size(diff.removed_bytes)} less"
    )
    for edge in diff.edges:
        state = "new" if edge.is_new else "gone" if edge.is_gone else edge.refusal
        yield (
            f"{edge.edge}: +{edge.added_files} files {format_size(edge.added_bytes)}, "
            f"-{edge.removed_files} files {format_size(edge.removed_bytes)}, "
            f"{edge.kept_files} stay{f' ({state})' if state else ''}"
        )
        for one in edge.changes[:CHANGES_SHOWN]:
            source = f" from {', '.join(one.from_edges)}" if one.from_edges else ""
            yield (
                f"  {one.change:<8} {middle_cut(one.title, TITLE_WIDTH)} {one.rendition[:12]}, "
                f"{format_size(one.size_bytes)}{source}"
            )
        if len(edge.changes) > CHANGES_SHOWN:
            yield f"  and {len(edge.changes) - CHANGES_SHOWN} more: --json FILE has them"


def explain_lines(answers: Iterable[Explained]) -> Iterator[str]:
    for one in answers:
        because = f"{one.title} {one.rendition} on {one.edge}: {one.because}"
        yield from textwrap.wrap(because, WIDTH, subsequent_indent="  ")
        yield from _below(
            f"{format_size(one.size_bytes)}, expected to save "
            f"{format_size(one.expected_bytes)} there; worth {one.worth:.2f}, cut off at "
            f"{one.cut_off:.2f}"
        )
        if one.windows:
            yield f"  fetches {_windows(one.windows)} (UTC)"
        if one.runner_up is not None:
            what = "the best that is not" if one.is_planned else "the least that is planned"
            other = one.runner_up
            yield from _below(f"{what}: {other.title} {other.rendition} ({other.worth:.2f})")


def _windows(windows: Sequence[FillWindow]) -> str:
    shown = [
        f"{_time(one.from_wall_s)[5:]} to {_time(one.until_wall_s)[5:]}"
        for one in windows[:WINDOWS_SHOWN]
    ]
    return ", ".join(shown) + (", ..." if len(windows) > WINDOWS_SHOWN else "")


def middle_cut(text: str, length_max: int) -> str:
    """What is too long loses its middle: seasons and episodes are told apart by their ends."""
    if len(text) <= length_max:
        return text
    end = (length_max - 1) // 2
    return f"{text[: length_max - 1 - end]}…{text[-end:]}"


def _below(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="  ")


def _time(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%d %H:%M")
