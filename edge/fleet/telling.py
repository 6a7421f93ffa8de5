"""What the origin is told of the plan's files."""

from __future__ import annotations

from edge.fleet.files import File
from edge.telemetry.desk import TelemetryDesk
from nearcast.placement import EdgePlan


class Telling:
    """Each file once it is complete, or is given up."""

    def __init__(self, telemetry: TelemetryDesk) -> None:
        self._telemetry = telemetry
        self._plan_id = ""

    def follow(self, plan: EdgePlan | None) -> None:
        self._plan_id = plan.plan_id if plan is not None else ""

    def fetched(self, file: File, size_bytes: int) -> None:
        """Bytes came for it."""
        self._telemetry.planned(file.planned.title, file.planned.rendition, size_bytes)

    def completed(self, file: File, now_s: float) -> None:
        self._tell(file, now_s, is_complete=True)

    def give_up(self, file: File, reason: str, now_s: float, *, for_good: bool = False) -> None:
        """For now, or as long as the plan is followed; say so."""
        file.give_up(reason, now_s, for_good=for_good)
        self._tell(file, now_s, is_complete=False)

    def _tell(self, file: File, now_s: float, *, is_complete: bool) -> None:
        assert self._plan_id, "files are of a plan"
        self._telemetry.filled(
            self._plan_id,
            file.planned.title,
            file.planned.rendition,
            file.planned.size_bytes if is_complete else 0,
            file.source,
            now_s,
            is_complete=is_complete,
        )
