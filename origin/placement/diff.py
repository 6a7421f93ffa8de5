"""What a plan changes, edge by edge, before it is put in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from nearcast.placement import EdgePlan, FillWindow, PlannedFile
from origin.placement.summary import EdgeSummary, Plan

CHANGES_MAX: Final = 200
"""Files shown of each edge, those that matter most; the figures are of all."""

Change = Literal["added", "removed", "grown", "shrunk"]


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """One file that an edge is to hold otherwise than before."""

    title: str
    rendition: str
    change: Change
    """Grown: the whole where its head was planned; shrunk: the other way round."""
    size_bytes: int
    """That come or go."""
    value_bytes: float
    """It was, or is, expected to save."""
    from_edges: tuple[str, ...] = ()


class EdgeDiff(msgspec.Struct, frozen=True, kw_only=True):
    edge: str
    is_new: bool = False
    """The plan before had nothing for this edge."""
    is_gone: bool = False
    """This plan has nothing for it."""
    added_files: int = 0
    added_bytes: int = 0
    removed_files: int = 0
    removed_bytes: int = 0
    kept_files: int = 0
    kept_bytes: int = 0
    fill_bytes: int = 0
    """To be fetched: what is added, and what was planned before and has not come yet."""
    value_bytes: float = 0.0
    value_bytes_before: float = 0.0
    windows: tuple[FillWindow, ...] = ()
    fill_kbps_max: float = 0.0
    refusal: str = ""
    changes: tuple[FileChange, ...] = ()
    """Those that save most, at most `CHANGES_MAX`."""


class PlanDiff(msgspec.Struct, frozen=True, kw_only=True):
    plan_id: str
    before_id: str
    """Empty: there was none."""
    added_bytes: int
    removed_bytes: int
    kept_bytes: int
    fill_bytes: int
    value_bytes: float
    edges: tuple[EdgeDiff, ...]


def diff_plans(before: Sequence[EdgePlan], plan: Plan) -> PlanDiff:
    """What `plan` changes against the plans of the edges before (empty: there was no plan)."""
    old = {one.edge: one for one in before}
    new = {one.edge: one for one in plan.edges}
    about = {one.edge: one for one in plan.summary.edges}
    edges = tuple(
        _edge_diff(name, old.get(name), new.get(name), about) for name in sorted(old | new)
    )
    return PlanDiff(
        plan_id=plan.plan_id,
        before_id=before[0].plan_id if before else "",
        added_bytes=sum(edge.added_bytes for edge in edges),
        removed_bytes=sum(edge.removed_bytes for edge in edges),
        kept_bytes=sum(edge.kept_bytes for edge in edges),
        fill_bytes=sum(edge.fill_bytes for edge in edges),
        value_bytes=sum(edge.value_bytes for edge in edges),
        edges=edges,
    )


def _edge_diff(
    name: str,
    before: EdgePlan | None,
    after: EdgePlan | None,
    about: Mapping[str, EdgeSummary],
) -> EdgeDiff:
    old = _files(before)
    new = _files(after)
    changes = [
        change
        for key in sorted(old.keys() | new.keys())
        if (change := _change(old.get(key), new.get(key))) is not None
    ]
    more = [change for change in changes if change.change in ("added", "grown")]
    less = [change for change in changes if change.change in ("removed", "shrunk")]
    both = [(old[key], new[key]) for key in old.keys() & new.keys()]
    summary = about.get(name)
    return EdgeDiff(
        edge=name,
        is_new=before is None,
        is_gone=after is None,
        added_files=len(more),
        added_bytes=sum(change.size_bytes for change in more),
        removed_files=len(less),
        removed_bytes=sum(change.size_bytes for change in less),
        kept_files=len(both),
        kept_bytes=sum(min(one.size_bytes, two.size_bytes) for one, two in both),
        fill_bytes=summary.fill_bytes if summary else 0,
        value_bytes=sum(file.value_bytes for file in new.values()),
        value_bytes_before=sum(file.value_bytes for file in old.values()),
        windows=after.windows if after else (),
        fill_kbps_max=after.fill_kbps_max if after else 0.0,
        refusal=summary.refusal if summary else "",
        changes=tuple(
            sorted(changes, key=lambda one: (-one.value_bytes, one.title, one.rendition))
        )[:CHANGES_MAX],
    )


def _files(plan: EdgePlan | None) -> dict[tuple[str, str], PlannedFile]:
    """But those that have only a place: nothing of them comes, or goes, by the plan."""
    files = plan.files if plan else ()
    return {(file.title, file.rendition): file for file in files if file.fetch_until_s != 0.0}


def _change(old: PlannedFile | None, new: PlannedFile | None) -> FileChange | None:
    file = new or old
    assert file is not None
    old_bytes, new_bytes = (old.size_bytes if old else 0), (new.size_bytes if new else 0)
    if old is None:
        change: Change = "added"
    elif new is None:
        change = "removed"
    elif old_bytes == new_bytes:
        return None
    else:
        change = "grown" if new_bytes > old_bytes else "shrunk"
    return FileChange(
        title=file.title,
        rendition=file.rendition,
        change=change,
        size_bytes=abs(new_bytes - old_bytes),
        value_bytes=file.value_bytes,
        from_edges=new.from_edges if new else (),
    )
