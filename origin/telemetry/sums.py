"""What events add up to, by the hour: the rows that a database adds to those it has."""

from __future__ import annotations

from typing import Final

import msgspec

from nearcast.telemetry import Demand, SessionEnded
from origin.telemetry.pieces import KEPT_S, Piece

SLOT_S: Final = 3600
"""An hour: the finest that the forecast asks for."""


class DemandSum(msgspec.Struct):
    client_bytes: int = 0
    resident_bytes: int = 0
    origin_bytes: int = 0
    head_bytes: int = 0
    session_count: int = 0
    planned_bytes: int = 0


class SessionSum(msgspec.Struct):
    session_count: int = 0
    watched_s: float = 0.0
    duration_s: float = 0.0
    startup_s: float = 0.0
    startup_count: int = 0
    stall_count: int = 0
    bitrate_kbps: float = 0.0
    bitrate_count: int = 0
    error_count: int = 0


class Sums(msgspec.Struct):
    """By the beginning of the hour, edge, title, and for demand rendition."""

    demand: dict[tuple[int, str, str, str], DemandSum] = msgspec.field(default_factory=dict)
    sessions: dict[tuple[int, str, str], SessionSum] = msgspec.field(default_factory=dict)
    wanted: dict[tuple[int, str, str], int] = msgspec.field(default_factory=dict)
    """Viewers who are about to want a title."""

    def add(self, piece: Piece) -> None:
        """What is told in a piece that counts."""
        oldest_wall_s = piece.received_wall_s - KEPT_S
        for event in piece.events:
            if event.wall_s < oldest_wall_s:
                continue
            if isinstance(event, Demand):
                self._demand(piece.edge, event)
            elif isinstance(event, SessionEnded):
                self._session(piece.edge, event)

    def _demand(self, edge: str, event: Demand) -> None:
        key = slot(event.wall_s), edge, event.title, event.rendition
        one = self.demand.get(key)
        if one is None:
            one = self.demand[key] = DemandSum()
        one.client_bytes += event.client_bytes
        one.resident_bytes += event.resident_bytes
        one.origin_bytes += event.origin_bytes
        one.head_bytes += event.head_bytes
        one.session_count += event.session_count
        one.planned_bytes += event.planned_bytes

    def _session(self, edge: str, event: SessionEnded) -> None:
        key = slot(event.wall_s), edge, event.title
        one = self.sessions.get(key)
        if one is None:
            one = self.sessions[key] = SessionSum()
        one.session_count += 1
        one.watched_s += event.watched_s
        one.duration_s += event.duration_s
        one.stall_count += event.stall_count
        one.error_count += event.error_count
        if event.startup_s is not None:
            one.startup_s += event.startup_s
            one.startup_count += 1
        if event.bitrate_kbps is not None:
            one.bitrate_kbps += event.bitrate_kbps
            one.bitrate_count += 1
        if event.next_title:
            wanted = slot(event.wall_s), edge, event.next_title
            self.wanted[wanted] = self.wanted.get(wanted, 0) + 1


def slot(wall_s: float) -> int:
    """When its hour began."""
    return int(wall_s // SLOT_S) * SLOT_S
