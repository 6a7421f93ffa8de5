"""What is counted, recorded and told of fills.

Every fill is counted once when it starts and once when it is over, and every byte from upstream
once: as demand, or as prefetched or planned while nobody had asked for it. A prefetch that somebody
has joined goes on as demand; what had come of it until then has proved useful.
"""

from __future__ import annotations

from edge.fill import Fill, FillOutcome
from edge.records import FillDone, FillResult
from edge.status import Counters
from nearcast.record import NullRecorder, Recorder


class FillAccounts:
    """The counters of all fills, and how those ended that were closed lately."""

    def __init__(self, counters: Counters, recorder: Recorder) -> None:
        self._counters = counters
        self._recorder = recorder
        self._is_recorded = not isinstance(recorder, NullRecorder)
        self._outcomes: list[FillOutcome] = []

    def started(self, fill: Fill) -> None:
        if fill.is_prefetch:
            self._counters.fills_prefetch += 1
        elif fill.is_planned:
            self._counters.fills_planned += 1
        else:
            self._counters.fills_demand += 1

    def joined(self, fill: Fill) -> None:
        """Somebody asks for what was fetched unasked."""
        if fill.was_prefetch:
            self._counters.prefetch_joined_bytes += fill.prefetch_bytes

    def received(self, fill: Fill, received_bytes: int) -> int:
        """So much has arrived. Returns how much of that is new and was not asked for yet, plans
        apart."""
        fresh_bytes = max(received_bytes - fill.received_bytes, 0)
        fill.received_bytes += fresh_bytes
        if fill.peer:
            self._counters.peer_bytes += fresh_bytes
        if fill.is_planned and fill.is_unasked:
            fill.prefetch_bytes += fresh_bytes
            self._counters.planned_bytes += fresh_bytes
            return 0
        if not fill.is_prefetch:
            self._counters.demand_fill_bytes += fresh_bytes
            return 0
        fill.prefetch_bytes += fresh_bytes
        self._counters.prefetch_bytes += fresh_bytes
        return fresh_bytes

    def closed(
        self,
        fill: Fill,
        result: FillResult,
        detail: str,
        now_s: float,
        *,
        object_id: str | None,
        text: bytes | None,
    ) -> None:
        """The fill is over."""
        if result == "stored":
            self._counters.fills_stored += 1
        elif result == "failed":
            self._counters.fills_failed += 1
        elif result == "cancelled":
            self._counters.fills_cancelled += 1
        if fill.is_prefetch and result != "stored":
            self._counters.prefetch_lost_bytes += fill.prefetch_bytes
        if self._is_recorded:
            self._recorder.record(
                FillDone(
                    at_s=now_s,
                    url=fill.url,
                    is_prefetch=fill.is_prefetch,
                    result=result,
                    received_bytes=fill.received_bytes,
                    took_s=now_s - fill.started_s,
                    detail=detail,
                )
            )
        self._outcomes.append(
            FillOutcome(
                fill_id=fill.fill_id,
                url=fill.url,
                was_prefetch=fill.was_prefetch,
                was_planned=fill.is_planned,
                was_barred=not fill.is_storable,
                was_joined=(fill.was_prefetch or fill.is_planned) and not fill.is_unasked,
                result=result,
                received_bytes=fill.received_bytes,
                planned_bytes=fill.prefetch_bytes if fill.is_planned else 0,
                took_s=now_s - fill.started_s,
                object_id=object_id,
                text=text,
                detail=detail,
                peer=fill.peer,
            )
        )

    def take_outcomes(self) -> list[FillOutcome]:
        """The fills closed since the last call."""
        outcomes, self._outcomes = self._outcomes, []
        return outcomes
