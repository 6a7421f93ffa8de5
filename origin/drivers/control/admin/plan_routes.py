"""Plans: made, looked at, put in force, explained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from origin.control import api
from origin.drivers.control.admin.routes import ApiError, Call, Route
from origin.drivers.control.plan_worker import Question
from origin.drivers.control.planning import Planning
from origin.drivers.state import ControlStore
from origin.placement.diff import PlanDiff
from origin.placement.summary import PlanSummary
from origin.records import PlanHead

PLANS_SHOWN: Final = 50
WORK_COUNT_MAX: Final = 2
"""Of plans made and explained for people: one at work, one that waits. Each reads the whole history
and works in a process of its own for seconds, and the clock's plans wait in the same line."""
BUSY_RETRY_S: Final = 30


class PlanRoutes:
    def __init__(self, planning: Planning, store: ControlStore) -> None:
        self._planning = planning
        self._store = store
        self._work_count = 0
        self.routes = (
            Route(
                "GET", "/plans", "viewer", self._plans, "Plans, newest first", answer=api.PlanList
            ),
            Route(
                "POST", "/plans", "operator", self._make, "Make a plan now; it is only proposed",
                answer=api.PlanRow,
            ),
            Route(
                "GET", "/plans/{plan}", "viewer", self._plan,
                "One plan in figures; its id, the first letters of it, or `current`",
                answer=api.PlanDetail,
            ),
            Route(
                "GET", "/plans/{plan}/diff", "viewer", self._diff,
                "What it changes against the plan in force", answer=PlanDiff,
            ),
            Route(
                "POST", "/plans/{plan}/apply", "operator", self._apply, "Put a plan in force",
                answer=api.PlanRow,
            ),
            Route(
                "GET", "/plans/{plan}/explain", "operator", self._explain,
                "Why a title is, or is not, planned for edges",
                query=api.ExplainQuery, answer=api.ExplainAnswer,
            ),
        )  # fmt: skip

    async def _plans(self, call: Call) -> api.PlanList:
        return api.PlanList(
            plans=tuple(plan_row(head) for head in await self._store.plans(PLANS_SHOWN))
        )

    async def _make(self, call: Call) -> api.PlanRow:
        with self._place_in_line():
            return plan_row(await self._planning.propose(call.caller.name))

    async def _plan(self, call: Call) -> api.PlanDetail:
        head, summary = await self._planning.summary(call.path["plan"])
        return api.PlanDetail(plan=plan_row(head), summary=summary)

    async def _diff(self, call: Call) -> PlanDiff:
        return await self._planning.diff(call.path["plan"])

    async def _apply(self, call: Call) -> api.PlanRow:
        return plan_row(await self._planning.apply(call.path["plan"], call.caller.name))

    async def _explain(self, call: Call) -> api.ExplainAnswer:
        query: api.ExplainQuery = call.query
        question = Question(edge=query.edge, title=query.title, rendition=query.rendition)
        with self._place_in_line():
            answers = await self._planning.explain(call.path["plan"], question)
        return api.ExplainAnswer(answers=answers)

    @contextmanager
    def _place_in_line(self) -> Iterator[None]:
        if self._work_count >= WORK_COUNT_MAX:
            raise ApiError(
                429,
                "busy",
                "plans are being made or explained for others already: ask again in a while",
                retry_s=BUSY_RETRY_S,
            )
        self._work_count += 1
        try:
            yield
        finally:
            self._work_count -= 1


def plan_row(head: PlanHead) -> api.PlanRow:
    summary = msgspec.json.decode(head.summary, type=PlanSummary)
    return api.PlanRow(
        plan_id=head.plan_id,
        state=head.state,
        made_wall_s=head.made_wall_s,
        valid_until_wall_s=head.valid_until_wall_s,
        applied_wall_s=head.applied_wall_s,
        edge_count=len(summary.edges),
        file_count=sum(one.files for one in summary.edges),
        stored_bytes=sum(one.stored_bytes for one in summary.edges),
        fill_bytes=sum(one.fill_bytes for one in summary.edges),
        value_bytes=sum(one.value_bytes for one in summary.edges),
        refused_edges=sum(bool(one.refusal) for one in summary.edges),
    )
