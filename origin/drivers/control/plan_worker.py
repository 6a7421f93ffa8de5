"""Makes plans in a process of its own, below all others in priority.

A forecast of two weeks and a solution for a fleet take seconds of arithmetic. In a thread they
would hold up answers to edges and players, since Python runs one at a time. The process may live
from one plan to the next: then it goes on from what it knows of titles and has foreseen, and makes
the plan that one begun anew would make.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections import defaultdict
from pathlib import Path
from typing import Final

import msgspec

from nearcast.errors import InputError
from nearcast.plan_signing import encode_plan
from nearcast.telemetry import HEAD_S
from nearcast.units import DAY_S
from origin.catalog import Title
from origin.control.ladder import in_short
from origin.control.plan_inputs import PlannedEdge, history_from_wall_s, plan_inputs
from origin.control.told import Told
from origin.drivers.catalog_database import TitleLine
from origin.drivers.state.database import Database
from origin.drivers.state.told_rows import ToldRows
from origin.drivers.state.watched_rows import watched_since
from origin.drivers.storage import LibraryFolder
from origin.placement.explain import Explained, explain
from origin.placement.inputs import PlanInputs
from origin.placement.kept_forecast import KeptForecast
from origin.placement.planner import make_plan
from origin.placement.settings import PlanSettings
from origin.placement.summary import Plan, PlanSummary

NICE: Final = 10
TITLES_REMEMBERED_MAX: Final = 2_000
"""Of which a plan tells later what it expected: 50 kB."""


class PlanOrder(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Everything a plan is made from but titles and what edges reported, which are read where they
    are."""

    library: str
    database: str
    """As in `control.database`; it may hold a password."""
    edges: tuple[PlannedEdge, ...]
    wall_s: float
    history_days: int
    settings: PlanSettings
    key: bytes
    """That signs."""

    def __repr__(self) -> str:
        return f"PlanOrder(edges={len(self.edges)}, wall_s={self.wall_s})"


class StoredSummary(PlanSummary, frozen=True, kw_only=True):
    """As it is kept: with what was expected of titles, to be held against what came."""

    expected_bytes: dict[str, float] = msgspec.field(default_factory=dict)
    """A day, of all edges; of the titles that most was expected of."""


class PlanMade(msgspec.Struct, frozen=True, kw_only=True):
    summary: StoredSummary
    signed: dict[str, bytes]
    """What each edge gets."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Why a title is, or is not, on an edge. Empty: any."""

    edge: str
    title: str
    rendition: str


def begin() -> None:
    """Let everything else go first, and end with the origin, however that ends."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(NICE)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A pool tells its workers to end; an origin that is killed tells nobody."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def make(order: PlanOrder) -> PlanMade:
    inputs = _inputs(order)
    plan = make_plan(inputs)
    signed = {one.edge: encode_plan(one, (order.key,)) for one in plan.edges}
    fields = {name: getattr(plan.summary, name) for name in PlanSummary.__struct_fields__}
    summary = StoredSummary(**fields, expected_bytes=_expected(inputs))
    return PlanMade(summary=summary, signed=signed)


def answer(order: PlanOrder, plan: Plan, question: Question) -> tuple[Explained, ...] | str:
    """What is known now about a plan that was made; text: why there is no answer."""
    try:
        return explain(
            _inputs(order),
            plan,
            question.title,
            rendition=question.rendition,
            edge=question.edge,
        )
    except InputError as error:  # its own kind does not travel between processes
        return str(error)


def _expected(inputs: PlanInputs) -> dict[str, float]:
    """What viewers are expected to take of each title in a day."""
    sums: dict[str, float] = defaultdict(float)
    days = inputs.settings.valid_s / DAY_S
    for edge in inputs.edges:
        for title, value_bytes in zip(inputs.files.titles, edge.value_bytes, strict=True):
            sums[title] += float(value_bytes) / days
    most = sorted(sums.items(), key=lambda one: (-one[1], one[0]))[:TITLES_REMEMBERED_MAX]
    return {title: round(size_bytes, 1) for title, size_bytes in most if size_bytes > 0}


class _Memory:
    """What the process keeps between plans."""

    def __init__(self) -> None:
        self.forecast = KeptForecast()
        self._rows = ToldRows()
        self._titles: dict[str, tuple[TitleLine, Title]] = {}

    def titles(self, library: Path) -> list[Title]:
        """All there are, in short; read again are those that changed."""
        folder = LibraryFolder(library, must_exist=True)
        found: dict[str, tuple[TitleLine, Title]] = {}
        try:
            for line in folder.database.lines():
                known = self._titles.get(line.entry.id)
                if known is not None and known[0] == line:
                    found[line.entry.id] = known
                    continue
                title = folder.database.title(line.entry.id)
                if title is not None:
                    found[line.entry.id] = line, in_short(title, HEAD_S)
        finally:
            folder.close()
        self._titles = found
        return [title for _, title in found.values()]

    async def told(self, order: PlanOrder) -> Told:
        """What edges reported; read are the hours of which more was told since."""
        since_wall_s = history_from_wall_s(order.wall_s, order.history_days)
        database = Database.of_url(order.database, Path(order.library))
        try:
            demand, wanted = await self._rows.read(database, since_wall_s)
            watched = await watched_since(database, since_wall_s)
        finally:
            await database.close()
        return Told(demand=demand, wanted=wanted, watched=watched)


_memory = _Memory()
"""Of this process: a pool gives what it calls nothing else to keep things in."""


def memory_bytes() -> int:
    """What this process has at present; 0: that cannot be told."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0


def _inputs(order: PlanOrder) -> PlanInputs:
    return plan_inputs(
        _memory.titles(Path(order.library)),
        asyncio.run(_memory.told(order)),
        order.edges,
        wall_s=order.wall_s,
        history_days=order.history_days,
        settings=order.settings,
        kept_forecast=_memory.forecast,
    )
