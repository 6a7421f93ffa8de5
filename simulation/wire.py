"""A link in virtual time, with someone at each end of every flow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from simulation.link import Link
from simulation.link_events import (
    BytesDelivered,
    EndDelivered,
    FlowDropped,
    FlowOpened,
    LinkEvent,
    RoomFreed,
)
from simulation.scheduler import Scheduler, SimulatedPump


class Receiver(Protocol):
    """Both ends of a flow: the far one gets bytes and the end, the near one hears of room."""

    def delivered(self, size_bytes: int) -> None: ...

    def ended(self, is_reset: bool) -> None: ...

    def room_freed(self) -> None: ...


class Wire:
    """One direction of a path."""

    def __init__(self, link: Link, scheduler: Scheduler) -> None:
        self.link = link
        self._receivers: dict[int, Receiver] = {}
        self._held_back: list[LinkEvent] | None = None
        self._pump: SimulatedPump[LinkEvent, LinkEvent] = SimulatedPump(
            link, self._perform, scheduler
        )
        self.feed: Callable[[LinkEvent], None] = self._pump.feed

    def open(self, flow_id: int, receiver: Receiver) -> None:
        self._receivers[flow_id] = receiver
        self.feed(FlowOpened(flow_id))

    def drop(self, flow_id: int) -> None:
        """Forget a flow, if it is still there, without telling its receiver."""
        if self._receivers.pop(flow_id, None) is not None:
            self.feed(FlowDropped(flow_id))

    def cut(self) -> None:
        """Nothing comes out any more, until `mend`: as when a route is lost and found again."""
        if self._held_back is None:
            self._held_back = []

    def mend(self) -> None:
        held_back, self._held_back = self._held_back, None
        for effect in held_back or ():
            self._perform(effect)

    def _perform(self, effect: LinkEvent) -> None:
        if self._held_back is not None:
            self._held_back.append(effect)
            return
        receiver = self._receivers.get(effect.flow_id)
        if receiver is None:
            return  # dropped while the effect was on its way
        match effect:
            case BytesDelivered():
                receiver.delivered(effect.size_bytes)
            case EndDelivered():
                del self._receivers[effect.flow_id]
                receiver.ended(effect.is_reset)
            case RoomFreed():
                receiver.room_freed()


class Path:
    """Both directions between a client side and a server side, shared by all connections on it."""

    def __init__(self, up: Link, down: Link, scheduler: Scheduler) -> None:
        self.up = Wire(up, scheduler)
        self.down = Wire(down, scheduler)
        self.round_trip_s = up.delay_s + down.delay_s
        self._connection_count = 0

    def next_connection_id(self) -> int:
        self._connection_count += 1
        return self._connection_count
