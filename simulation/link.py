"""One direction of a shaped link, shared by many flows.

A link is a machine that moves numbers of bytes, not bytes: whoever drives it keeps the bodies and
takes `size_bytes` from the front of a flow each time that many are delivered. `nearcast shape`
drives it with sockets, the simulator with virtual connections; it is the same object.

    BytesOffered --> queue of the flow --> (round robin) --> serialised at the rate of the trace
                                                                  |
                     BytesDelivered <-- in flight for delay_s <---+

The link serves flows in turn, one quantum each. When a quantum would be through is computed from
the trace's integral when it starts, so the machine sleeps until exactly then, however far away it
is. A driver that wakes it late loses nothing: the next quantum starts when the last one ended, as
long as there was something to send. Each flow's queue is bounded; `room_bytes` says how much more
it takes, and `RoomFreed` tells when a full one has emptied by half.

With `slow_start` each flow has a congestion window: what the link has passed on and whose
acknowledgement is not back after a round trip must fit into it, else the flow sits out its turns.
Acknowledgements need no link of their own, and no wake-up either unless all flows that have
something to send wait for one. There is no loss, with or without
(docs/adr/0005-one-link-two-clocks.md, docs/adr/0009-two-transports.md).
"""

from __future__ import annotations

from collections import deque

import msgspec

from nearcast.errors import LocalProtocolError
from nearcast.machine import EffectQueue
from nearcast.trace import Trace
from simulation.link_events import (
    BytesDelivered,
    BytesOffered,
    EndDelivered,
    EndOffered,
    FlowDropped,
    FlowHeld,
    FlowOpened,
    FlowReleased,
    LinkEvent,
    RoomFreed,
)
from simulation.slow_start import SEGMENT_BYTES, SlowStart, Window

# Bytes a flow may have waiting: 20 ms at 100 Mbit/s, which a late wake-up of a live proxy must not
# drain, and a fifth of a second at 10 Mbit/s, about what a home router holds.
QUEUE_BYTES_MAX = 256 * 1024

# A quantum is what the link sends in this time at its present rate, within these sizes: small
# enough that flows sharing a slow link take turns often, large enough that a fast one costs few
# events.
QUANTUM_S = 0.008
QUANTUM_BYTES_MIN = 4 * 1024
QUANTUM_BYTES_MAX = 64 * 1024


class LinkCounters(msgspec.Struct, frozen=True, kw_only=True):
    """offered = delivered + discarded + queued + in flight, at all times."""

    offered_bytes: int
    delivered_bytes: int
    discarded_bytes: int
    queued_bytes: int
    in_flight_bytes: int
    flow_count: int
    open_flow_count: int


class _Flow:
    __slots__ = (
        "end",
        "flow_id",
        "in_flight_bytes",
        "is_blocked",
        "is_full",
        "is_gone",
        "is_held",
        "is_in_turn",
        "queued_bytes",
        "window",
    )

    def __init__(self, flow_id: int, window: Window | None) -> None:
        self.flow_id = flow_id
        self.queued_bytes = 0  # the quantum being serialised included
        self.in_flight_bytes = 0
        self.end: EndDelivered | None = None
        self.is_held = False
        self.is_in_turn = False  # in the round, or being served
        self.is_full = False
        self.is_blocked = False  # by its window
        self.is_gone = False
        self.window = window


class Link:
    """A shaped link. `start_s` is the time at which the trace begins, or with
    `begins_with_flow` how long after the first flow. The round trip of `slow_start` is twice the
    delay."""

    def __init__(
        self,
        trace: Trace,
        *,
        delay_s: float = 0.0,
        start_s: float = 0.0,
        queue_bytes_max: int = QUEUE_BYTES_MAX,
        slow_start: SlowStart | None = None,
        begins_with_flow: bool = False,
    ) -> None:
        self.delay_s = delay_s
        self._awaits_flow = begins_with_flow
        self._slow_start = slow_start
        self._trace = trace
        self._start_s = start_s
        self._queue_bytes_max = queue_bytes_max
        self._flows: dict[int, _Flow] = {}
        self._round: deque[_Flow] = deque()
        self._served: _Flow | None = None
        self._quantum_bytes = 0
        self._finish_s = 0.0
        # (arrival, flow, bytes, or 0 for the end); one delay for all, so arrivals are in order.
        self._in_flight: deque[tuple[float, _Flow, int]] = deque()
        self._acks: deque[tuple[float, _Flow, int]] = deque()  # the same, one more delay later
        self._blocked_count = 0
        self._effects: EffectQueue[LinkEvent] = EffectQueue()
        self._flow_count = 0
        self._offered_bytes = 0
        self._delivered_bytes = 0
        self._discarded_bytes = 0

    # The machine.

    def handle(self, event: LinkEvent, now_s: float) -> None:
        self.advance(now_s)
        if isinstance(event, FlowOpened):
            self._open(event.flow_id, now_s)
            return
        flow = self._flows.get(event.flow_id)
        if flow is None:
            if isinstance(event, FlowHeld | FlowReleased | FlowDropped):
                return  # the receiver speaks of a flow whose end is just arriving
            raise LocalProtocolError(f"{type(event).__name__}: no flow {event.flow_id}")
        match event:
            case BytesOffered():
                self._offer(flow, event.size_bytes, now_s)
            case EndOffered():
                self._offer_end(flow, event.is_reset, now_s)
            case FlowHeld():
                flow.is_held = True
            case FlowReleased():
                flow.is_held = False
                self._join_round(flow, now_s)
            case FlowDropped():
                self._drop(flow)
            case _:
                raise LocalProtocolError(f"a link is not told {type(event).__name__}")

    def advance(self, now_s: float) -> None:
        while True:
            arrive_s = self._in_flight[0][0] if self._in_flight else None
            if self._served is None and self._blocked_count > 0 and self._acks[0][0] <= now_s:
                self._serve_next(self._acks[0][0])
            elif self._served is not None and self._finish_s <= now_s:
                if arrive_s is not None and arrive_s < self._finish_s:
                    self._arrive()
                else:
                    self._finish()
            elif arrive_s is not None and arrive_s <= now_s:
                self._arrive()
            else:
                return

    def deadline_s(self) -> float | None:
        work_s = self._finish_s if self._served is not None else None
        if work_s is None and self._blocked_count > 0:
            work_s = self._acks[0][0]
        if self._in_flight:
            arrive_s = self._in_flight[0][0]
            if work_s is None or arrive_s < work_s:
                return arrive_s
        return work_s

    def drain(self) -> list[LinkEvent]:
        return self._effects.drain()

    # What a driver may ask.

    def room_bytes(self, flow_id: int) -> int:
        """How much may be offered now; 0 for a flow that ended or never was."""
        flow = self._flows.get(flow_id)
        if flow is None or flow.end is not None:
            return 0
        return self._queue_bytes_max - flow.queued_bytes

    def held_bytes(self, flow_id: int) -> int:
        """What was offered and is neither delivered nor discarded."""
        flow = self._flows.get(flow_id)
        return 0 if flow is None else flow.queued_bytes + flow.in_flight_bytes

    def counters(self) -> LinkCounters:
        return LinkCounters(
            offered_bytes=self._offered_bytes,
            delivered_bytes=self._delivered_bytes,
            discarded_bytes=self._discarded_bytes,
            queued_bytes=sum(flow.queued_bytes for flow in self._flows.values()),
            in_flight_bytes=sum(flow.in_flight_bytes for flow in self._flows.values()),
            flow_count=self._flow_count,
            open_flow_count=len(self._flows),
        )

    # Its parts.

    def _open(self, flow_id: int, now_s: float) -> None:
        if flow_id in self._flows:
            raise LocalProtocolError(f"flow {flow_id} is open already")
        window = None if self._slow_start is None else Window(self._slow_start, 2 * self.delay_s)
        self._flows[flow_id] = _Flow(flow_id, window)
        self._flow_count += 1
        if self._awaits_flow:
            self._awaits_flow = False
            self._start_s += now_s

    def _offer(self, flow: _Flow, size_bytes: int, now_s: float) -> None:
        room_bytes = self.room_bytes(flow.flow_id)
        if not 0 < size_bytes <= room_bytes:
            raise LocalProtocolError(
                f"flow {flow.flow_id} was offered {size_bytes} bytes and has room for {room_bytes}"
            )
        if flow.window is not None and flow.queued_bytes == 0:
            self._take_acks(now_s)
            flow.window.resumes(now_s)
        flow.queued_bytes += size_bytes
        flow.is_full = flow.is_full or size_bytes == room_bytes
        self._offered_bytes += size_bytes
        self._join_round(flow, now_s)

    def _offer_end(self, flow: _Flow, is_reset: bool, now_s: float) -> None:
        if flow.end is not None:
            raise LocalProtocolError(f"flow {flow.flow_id} has ended already")
        flow.end = EndDelivered(flow.flow_id, is_reset)
        if flow.queued_bytes == 0:
            self._in_flight.append((now_s + self.delay_s, flow, 0))

    def _drop(self, flow: _Flow) -> None:
        self._discarded_bytes += flow.queued_bytes + flow.in_flight_bytes
        flow.queued_bytes = flow.in_flight_bytes = 0
        flow.is_gone = True
        del self._flows[flow.flow_id]
        self._unblock(flow)
        # What is being serialised stays on the wire to its end, as a packet would.
        if flow is not self._served and flow.is_in_turn:
            self._round.remove(flow)

    def _join_round(self, flow: _Flow, now_s: float) -> None:
        self._enter_round(flow)
        if self._served is None:
            self._serve_next(now_s)

    def _enter_round(self, flow: _Flow) -> None:
        if not (flow.is_in_turn or flow.is_held or flow.queued_bytes == 0):
            flow.is_in_turn = True
            self._round.append(flow)

    def _take_acks(self, until_s: float) -> None:
        while self._acks and self._acks[0][0] <= until_s:
            _, flow, size_bytes = self._acks.popleft()
            assert flow.window is not None, "only windows ask for acknowledgements"
            flow.window.acked(size_bytes)
            if flow.is_blocked:
                self._unblock(flow)
                self._enter_round(flow)

    def _block(self, flow: _Flow) -> None:
        if not flow.is_blocked:
            flow.is_blocked = True
            self._blocked_count += 1

    def _unblock(self, flow: _Flow) -> None:
        if flow.is_blocked:
            flow.is_blocked = False
            self._blocked_count -= 1

    def _serve_next(self, now_s: float) -> None:
        """Start the next quantum, of a flow that has bytes, whose receiver takes them, and whose
        window lets it."""
        self._take_acks(now_s)
        while self._round:
            flow = self._round.popleft()
            if flow.is_held or flow.queued_bytes == 0:
                flow.is_in_turn = False
                continue
            room_bytes = flow.queued_bytes if flow.window is None else flow.window.room_bytes
            if room_bytes <= 0:
                flow.is_in_turn = False
                self._block(flow)
                continue
            trace_s = now_s - self._start_s
            quantum_bytes = int(self._trace.bytes_per_s_at(trace_s) * QUANTUM_S)
            if flow.window is None:
                quantum_bytes = max(QUANTUM_BYTES_MIN, min(quantum_bytes, QUANTUM_BYTES_MAX))
            else:  # a segment is what a slow link delivers at once
                quantum_bytes = min(quantum_bytes, flow.window.ack_bytes, QUANTUM_BYTES_MAX)
                quantum_bytes = max(SEGMENT_BYTES, quantum_bytes)
            self._served = flow
            self._quantum_bytes = min(quantum_bytes, flow.queued_bytes, room_bytes)
            finish_s = self._start_s + self._trace.finish_s(trace_s, self._quantum_bytes)
            self._finish_s = max(finish_s, now_s)
            return

    def _finish(self) -> None:
        flow, size_bytes, finish_s = self._served, self._quantum_bytes, self._finish_s
        assert flow is not None, "a quantum is finished only while one is served"
        self._served = None
        if flow.window is not None:
            flow.window.sent(size_bytes, finish_s)
            self._acks.append((finish_s + 2 * self.delay_s, flow, size_bytes))
        if not flow.is_gone:
            flow.queued_bytes -= size_bytes
            flow.in_flight_bytes += size_bytes
            self._in_flight.append((finish_s + self.delay_s, flow, size_bytes))
            if flow.queued_bytes > 0:
                self._round.append(flow)
            else:
                flow.is_in_turn = False
                if flow.end is not None:
                    self._in_flight.append((finish_s + self.delay_s, flow, 0))
            if flow.is_full and flow.queued_bytes <= self._queue_bytes_max // 2:
                flow.is_full = False
                if flow.end is None:
                    self._effects.emit(RoomFreed(flow.flow_id))
        self._serve_next(finish_s)

    def _arrive(self) -> None:
        _, flow, size_bytes = self._in_flight.popleft()
        if flow.is_gone:
            return
        if size_bytes > 0:
            flow.in_flight_bytes -= size_bytes
            self._delivered_bytes += size_bytes
            self._effects.emit(BytesDelivered(flow.flow_id, size_bytes))
        else:
            assert flow.end is not None, "the end travels only once it was offered"
            flow.is_gone = True
            del self._flows[flow.flow_id]
            self._effects.emit(flow.end)
