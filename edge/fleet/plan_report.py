"""What the origin is told of the plan's files."""

from __future__ import annotations

from collections.abc import Sequence

from edge.fleet.files import File, News
from edge.telemetry.desk import TelemetryDesk
from nearcast.placement import EdgePlan


class PlanReport:
    """Each file when it is complete or given up, whoever does that (edge.fleet.files)."""

    def __init__(self, telemetry: TelemetryDesk) -> None:
        self._telemetry = telemetry
        self._plan_id = ""

    def follow(self, plan: EdgePlan | None) -> None:
        self._plan_id = plan.plan_id if plan is not None else ""

    def fetched(self, file: File, size_bytes: int) -> None:
        """Bytes came for it."""
        self._telemetry.planned(file.planned.title, file.planned.rendition, size_bytes)

    def tell(self, news: Sequence[News], now_s: float) -> None:
        for one in news:
            assert self._plan_id, "files are of a plan"
            planned = one.file.planned
            self._telemetry.filled(
                self._plan_id,
                planned.title,
                planned.rendition,
                planned.size_bytes if one.is_complete else 0,
                one.file.source,
                now_s,
                is_complete=one.is_complete,
            )
