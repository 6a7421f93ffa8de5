"""Why a file is on an edge, or is not: what it is worth there, and what a byte had to be worth.

The answer is of what is known when it is asked: the demand expected now, and the prices at which
the plan's budgets were spent.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.errors import InputError
from nearcast.placement import EdgePlan, FillWindow, PlannedFile
from nearcast.units import format_size
from origin.placement.inputs import EdgeInput, PlanInputs
from origin.placement.planner import site_name
from origin.placement.summary import Binding, EdgeSummary, Plan

_MORE_OF: dict[Binding, str] = {
    "storage": "storage",
    "fill": "fill windows or rate",
    "churn": "replacements (churn_share)",
    "common_fill": "the fill budget of all edges (fill_share)",
}


class RunnerUp(msgspec.Struct, frozen=True, kw_only=True):
    """Of a file that is planned: the best that is not. Of one that is not: the least that is."""

    title: str
    rendition: str
    worth: float


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """One rendition of a title and one edge."""

    edge: str
    title: str
    rendition: str
    is_planned: bool
    until_s: float | None = None
    """Its head only, up to there."""
    size_bytes: int
    """Of the whole file."""
    head_bytes: int = 0
    held_bytes: int = 0
    missing_bytes: int = 0
    """Reckoned to be held, and not held by the edge's own word."""
    expected_bytes: float
    """That holding it would save at this edge while the plan is valid."""
    site_expected_bytes: float
    """At all edges of its cluster; the first copy saves that."""
    worth: float
    """Saved bytes per byte held, of the first copy."""
    head_worth: float | None = None
    """Of its head alone, where it has one."""
    cut_off: float
    """What a byte has to be worth here, to be held."""
    binding: tuple[Binding, ...] = ()
    """The budgets of this edge that are spent."""
    holders: tuple[str, ...] = ()
    """Edges of the same cluster for which it is planned."""
    from_edges: tuple[str, ...] = ()
    """Who is asked for it before the origin is."""
    windows: tuple[FillWindow, ...] = ()
    """When the edge fetches for this plan."""
    runner_up: RunnerUp | None = None
    because: str
    """All that in a sentence."""


def explain(
    inputs: PlanInputs, plan: Plan, title: str, *, rendition: str = "", edge: str = ""
) -> tuple[Explained, ...]:
    """Each rendition of a title on each edge, or only on `edge`. Raises InputError."""
    files = inputs.files
    rows = [
        row
        for row, name in enumerate(files.titles)
        if name == title and rendition in ("", files.renditions[row])
    ]
    if not rows:
        named = f"{title} {rendition}".strip()
        raise InputError(f"the catalogue has no file {named!r}; see: nearcast origin list")
    known = {one.edge: one for one in inputs.edges}
    names = sorted(one.edge for one in plan.edges if one.edge in known and edge in ("", one.edge))
    if not names:
        raise InputError(f"the plan has no edge {edge!r}; see: nearcast origin fleet list")
    return tuple(
        answer for name in names for answer in _Edge(inputs, plan, known[name]).answers(rows)
    )


class _Edge:
    """What all answers about one edge share."""

    def __init__(self, inputs: PlanInputs, plan: Plan, edge: EdgeInput) -> None:
        own, summary = plan.edge(edge.edge), plan.summary.edge(edge.edge)
        assert own is not None
        assert summary is not None
        self._files = inputs.files
        self._edge, self._summary = edge, summary
        self._base_price = plan.summary.fill_price
        mates = [one for one in inputs.edges if site_name(one) == site_name(edge)]
        self._value = _sum([one.value_bytes for one in mates], len(self._files))
        heads = [one.head_value_bytes for one in mates if one.head_value_bytes is not None]
        self._head_value = _sum(heads, len(self._files))
        names = {one.edge for one in mates}
        self._planned = {(file.title, file.rendition): file for file in own.files}
        self._mates = {one.edge: one for one in mates if one.edge != edge.edge}
        self._holders: dict[tuple[str, str], list[str]] = {}
        for one in plan.edges:
            if one.edge in names:
                for file in one.files:
                    if file.fetch_until_s == 0.0:
                        continue  # a place is no copy
                    self._holders.setdefault((file.title, file.rendition), []).append(one.edge)
        self._least = _least(own)
        self._best_left = self._best_that_is_nowhere()

    def answers(self, rows: Sequence[int]) -> list[Explained]:
        return [self._answer(row) for row in rows]

    def _answer(self, row: int) -> Explained:
        files, edge = self._files, self._edge
        key = files.titles[row], files.renditions[row]
        file = self._planned.get(key)
        size, head = int(files.size_bytes[row]), int(files.head_bytes[row])
        held = int(edge.held_bytes[row]) if edge.held_bytes is not None else 0
        missing = int(edge.missing_bytes[row]) if edge.missing_bytes is not None else 0
        worth = float(self._value[row]) / size
        is_fetched = held < (file.size_bytes if file else size)
        cut_off = self._summary.storage_price
        if is_fetched:
            cut_off += self._summary.fill_price + self._base_price
        holders = tuple(self._holders.get(key, ()))
        having = [name for name in holders if self._has(name, row)]
        return Explained(
            edge=edge.edge,
            title=key[0],
            rendition=key[1],
            is_planned=file is not None,
            until_s=file.until_s if file else None,
            size_bytes=size,
            head_bytes=head,
            held_bytes=held,
            missing_bytes=missing,
            expected_bytes=max(0.0, float(edge.value_bytes[row])),
            site_expected_bytes=float(self._value[row]),
            worth=worth,
            head_worth=float(self._head_value[row]) / head if head else None,
            cut_off=cut_off,
            binding=self._summary.binding,
            holders=holders,
            from_edges=file.from_edges if file else (),
            windows=self._summary.windows,
            runner_up=self._best_left if file else self._least,
            because=_because(self._summary, file, held, worth, cut_off, _others(having, holders))
            + (_missing(missing) if missing else "")
            + (_guess(edge.guess_share) if worth > 0.0 else ""),
        )

    def _has(self, name: str, row: int) -> bool:
        """Another edge of the cluster holds what of this file a plan would fetch at least."""
        mate = self._mates.get(name)
        if mate is None or mate.held_bytes is None:
            return False
        least = int(self._files.head_bytes[row]) or int(self._files.size_bytes[row])
        return int(mate.held_bytes[row]) >= least

    def _best_that_is_nowhere(self) -> RunnerUp | None:
        density = self._value / self._files.size_bytes
        rows = self._files.rows()
        for key in self._holders:
            if key in rows:
                density[rows[key]] = 0.0
        if not len(density) or density.max() <= 0.0:
            return None
        best = int(np.argmax(density))
        return RunnerUp(
            title=self._files.titles[best],
            rendition=self._files.renditions[best],
            worth=float(density[best]),
        )


def _others(having: Sequence[str], planned: Sequence[str]) -> str:
    """Who of the cluster has a file, or is to have it; empty: nobody."""
    names = ", ".join(having or planned)
    if not names:
        return ""
    return f"{names} of the same cluster {'has' if having else 'is to fetch'} it"


def _sum(columns: Sequence[NDArray[np.floating]], count: int) -> NDArray[np.float64]:
    total = np.zeros(count)
    for column in columns:
        total += np.maximum(0.0, column)
    return total


def _least(plan: EdgePlan) -> RunnerUp | None:
    files = [file for file in plan.files if file.fetch_until_s != 0.0]
    if not files:
        return None
    file = min(files, key=lambda one: (one.value_bytes / max(1, one.size_bytes), one.title))
    return RunnerUp(
        title=file.title,
        rendition=file.rendition,
        worth=file.value_bytes / max(1, file.size_bytes),
    )


def _missing(size_bytes: int) -> str:
    return f" ({format_size(size_bytes)} more should be held and is missing, as the edge says)"


def _guess(share: float) -> str:
    if share <= 0.0:
        return ""
    return (
        f" (the edge is new: {share:.0%} of what is expected of it is taken from what other "
        "edges are asked for)"
    )


def _because(
    summary: EdgeSummary,
    file: PlannedFile | None,
    held: int,
    worth: float,
    cut_off: float,
    others: str,
) -> str:
    spent = " and ".join(_MORE_OF[one] for one in summary.binding)
    if file is not None:
        what = "the whole" if file.until_s is None else f"the first {file.until_s:.0f} s"
        saves = f"{file.value_bytes / max(1, file.size_bytes):.2f} bytes per byte"
        if file.fetch_until_s == 0.0:
            return (
                f"{what} has a place reserved: nothing is fetched, and what viewers pull of it "
                f"stays; {format_size(held)} is held, worth {worth:.2f} bytes per byte"
            )
        if held >= file.size_bytes:
            return f"{what} is held and stays: it is expected to save {saves}"
        source = f"from {', '.join(file.from_edges)}, else " if file.from_edges else "from "
        left = format_size(file.size_bytes - held)
        return f"{what} is planned, {left} to fetch {source}the origin: expected to save {saves}"
    if summary.refusal:
        return f"nothing is fetched here: {summary.refusal}"
    if worth <= 0.0:
        return "nobody is expected to want it here"
    if others:
        return f"{others}; another copy would only spare that edge's link"
    told = f"it would save {worth:.2f} bytes per byte, what was taken last saves {cut_off:.2f}"
    if worth < cut_off:
        return f"{told}; what is short is {spent}" if spent else told
    if spent:
        return f"{told}; it found no room among larger or held files, short is {spent}"
    return f"{told}; demand has grown since the plan was made, the next will have it"
