"""Work for people that takes long stands in a short line."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from origin.control import api
from origin.drivers.control.admin.plan_routes import WORK_COUNT_MAX, PlanRoutes
from origin.drivers.control.admin.routes import ApiError, Call, Caller, Handler
from origin.drivers.control.planning import Planning
from origin.drivers.state import ControlStore


class Busy:
    """A planner that is done when it is told."""

    def __init__(self) -> None:
        self.done = asyncio.Event()

    async def explain(self, plan_id: str, question: Any) -> tuple[()]:
        await self.done.wait()
        return ()


def handler(busy: Busy) -> Handler:
    routes = PlanRoutes(cast("Planning", busy), cast("ControlStore", None)).routes
    (route,) = (one for one in routes if one.path.endswith("/explain"))
    assert route.role == "operator"
    return route.handler


def test_who_finds_one_waiting_is_told_to_come_again() -> None:
    async def main() -> None:
        busy = Busy()
        explain = handler(busy)
        call = Call(
            caller=Caller("ann", "operator"),
            path={"plan": "current"},
            query=api.ExplainQuery(title="a"),
        )
        asked = [asyncio.ensure_future(explain(call)) for _ in range(WORK_COUNT_MAX)]
        await asyncio.sleep(0)
        with pytest.raises(ApiError) as refused:
            await explain(call)
        assert (refused.value.status, refused.value.error) == (429, "busy")
        assert refused.value.retry_s
        busy.done.set()
        await asyncio.gather(*asked)
        await explain(call)  # there is room again

    asyncio.run(main())
