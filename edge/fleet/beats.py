"""A heartbeat, made of an edge's figures."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from edge.status import EdgeStatus
from nearcast.fleet import Heartbeat, Load, Qoe, Storage, Traffic
from nearcast.units import kbps

FAILING: Final = frozenset({"full", "read-only", "failing"})
"""States of a store that takes nothing new (edge.drivers.store.health)."""


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """What drivers and telemetry know beside the core's status."""

    connection_count: int = 0
    cpu_s: float = 0.0
    """Processor time taken since the start of the process."""
    store_state: str = "none"
    qoe: Qoe = Qoe()
    telemetry_waiting_bytes: int = 0
    telemetry_dropped_events: int = 0


class Beats:
    """Makes the heartbeats of one process."""

    def __init__(self, edge: str, *, boot_id: str, software: str) -> None:
        self._edge = edge
        self._boot_id = boot_id
        self._software = software
        self._figures = (Traffic(), Qoe())  # since the process started
        self._base = self._figures  # when this boot began
        self._before: tuple[float, int, float] | None = None  # at, client bytes, processor time

    @property
    def boot_id(self) -> str:
        return self._boot_id

    def begin_anew(self, boot_id: str) -> None:
        """Another boot, whose figures count from here."""
        self._boot_id = boot_id
        self._base = self._figures

    def make(
        self,
        sequence_no: int,
        status: EdgeStatus,
        vitals: Vitals,
        *,
        wall_s: float,
        now_s: float,
        held_id: str,
        held: bytes | None,
    ) -> Heartbeat:
        """`wall_s`: by our own clock, so that an origin sees one that is wrong."""
        self._figures = (_traffic(status), vitals.qoe)
        return Heartbeat(
            edge=self._edge,
            boot_id=self._boot_id,
            sequence_no=sequence_no,
            sent_wall_s=max(wall_s, 0.0),
            uptime_s=max(status.uptime_s, 0.0),
            software=self._software,
            is_draining=status.is_draining,
            load=self._load(status, vitals, now_s),
            storage=Storage(
                capacity_bytes=status.capacity_bytes,
                used_bytes=status.object_bytes,
                pinned_bytes=status.pinned_bytes,
                is_failing=vitals.store_state in FAILING,
            ),
            traffic=_since(self._figures[0], self._base[0]),
            qoe=_since(self._figures[1], self._base[1]),
            plan_id=status.placement.plan_id,
            plan_files_held=status.placement.files_held,
            plan_files=status.placement.file_count,
            telemetry_waiting_bytes=vitals.telemetry_waiting_bytes,
            telemetry_dropped_events=vitals.telemetry_dropped_events,
            held_id=held_id,
            held=held,
        )

    def _load(self, status: EdgeStatus, vitals: Vitals, now_s: float) -> Load:
        """As it was since the heartbeat before."""
        before, self._before = self._before, (now_s, status.client_bytes, vitals.cpu_s)
        if before is None or now_s <= before[0]:
            return Load(connection_count=vitals.connection_count)
        took_s = now_s - before[0]
        return Load(
            client_kbps=kbps(max(status.client_bytes - before[1], 0), took_s),
            connection_count=vitals.connection_count,
            cpu_share=min(max((vitals.cpu_s - before[2]) / took_s, 0.0), 1.0),
        )


FiguresT = TypeVar("FiguresT", Traffic, Qoe)


def _since(now: FiguresT, before: FiguresT) -> FiguresT:
    """What has been added. Some go down again, as what was prefetched and is waste no more."""
    names = now.__struct_fields__
    return type(now)(**{name: max(getattr(now, name) - getattr(before, name), 0) for name in names})


def _traffic(status: EdgeStatus) -> Traffic:
    return Traffic(
        request_count=status.request_count,
        client_bytes=status.client_bytes,
        resident_bytes=status.resident_bytes_sent,
        origin_bytes=status.origin_bytes,
        peer_bytes=status.peer_bytes,
        planned_bytes=status.planned_bytes,
        prefetch_bytes=status.prefetch_bytes,
        prefetch_used_bytes=status.prefetch_used_bytes,
        prefetch_waste_bytes=status.prefetch_waste_bytes,
        miss_origin_bytes=max(
            status.client_bytes - status.resident_bytes_sent - status.pass_bytes, 0
        ),
    )
