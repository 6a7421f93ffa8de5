"""Whatever is asked of a link: bytes are conserved, in order, and never faster than the trace."""

from itertools import pairwise
from typing import Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast.trace import Trace
from simulation.link import QUANTUM_BYTES_MAX, QUANTUM_BYTES_MIN, Link
from simulation.link_events import (
    BytesDelivered,
    BytesOffered,
    EndDelivered,
    EndOffered,
    FlowDropped,
    FlowHeld,
    FlowOpened,
    FlowReleased,
)
from simulation.slow_start import SlowStart

FLOWS = (1, 2, 3)
Action = Literal["offer", "end", "hold", "release", "drop", "wait"]


class Step(NamedTuple):
    action: Action
    flow_id: int
    size_bytes: int
    wait_ms: int


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from(["offer", "offer", "offer", "end", "hold", "release", "drop", "wait"]),
        st.sampled_from(FLOWS),
        st.integers(1, 300_000),
        st.integers(0, 400),
    ),
    max_size=40,
)
traces = st.lists(
    st.tuples(st.integers(1, 20), st.sampled_from([0, 0, 64, 800, 8_000, 100_000])),
    min_size=1,
    max_size=6,
).filter(lambda rows: any(rate for _, rate in rows))


def built(rows: list[tuple[int, int]]) -> Trace:
    times = [0]
    for tenths, _ in rows:
        times.append(times[-1] + tenths)
    return Trace([time / 10 for time in times], [rate for _, rate in rows])


class Watched:
    """A link, what went in, and what came out when."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.offered = dict.fromkeys(FLOWS, 0)
        self.delivered = dict.fromkeys(FLOWS, 0)
        self.ended: set[int] = set()
        self.dropped: set[int] = set()
        self.arrivals: list[tuple[float, int]] = []

    def take(self, now_s: float) -> None:
        for effect in self.link.drain():
            assert effect.flow_id not in self.ended | self.dropped
            if isinstance(effect, BytesDelivered):
                self.delivered[effect.flow_id] += effect.size_bytes
                self.arrivals.append((now_s, effect.size_bytes))
            elif isinstance(effect, EndDelivered):
                assert self.delivered[effect.flow_id] == self.offered[effect.flow_id]
                self.ended.add(effect.flow_id)
        counters = self.link.counters()
        assert counters.offered_bytes == sum(self.offered.values())
        assert counters.offered_bytes == (
            counters.delivered_bytes
            + counters.discarded_bytes
            + counters.queued_bytes
            + counters.in_flight_bytes
        )
        assert counters.delivered_bytes == sum(self.delivered.values())
        assert min(counters.queued_bytes, counters.in_flight_bytes) >= 0

    def run(self, now_s: float, until_s: float) -> None:
        while (due_s := self.link.deadline_s()) is not None and due_s <= until_s:
            assert due_s >= now_s
            now_s = due_s
            self.link.advance(now_s)
            self.take(now_s)

    def do(self, step: Step, now_s: float) -> None:
        link, flow_id = self.link, step.flow_id
        if flow_id in self.ended | self.dropped:
            return
        room_bytes = link.room_bytes(flow_id)
        if step.action == "offer" and room_bytes > 0:
            size_bytes = min(step.size_bytes, room_bytes)
            self.offered[flow_id] += size_bytes
            link.handle(BytesOffered(flow_id, size_bytes), now_s)
        elif step.action == "end" and room_bytes > 0:
            link.handle(EndOffered(flow_id), now_s)
        elif step.action == "hold":
            link.handle(FlowHeld(flow_id), now_s)
        elif step.action == "release":
            link.handle(FlowReleased(flow_id), now_s)
        elif step.action == "drop":
            self.dropped.add(flow_id)
            link.handle(FlowDropped(flow_id), now_s)
        self.take(now_s)


@settings(deadline=None, max_examples=60)
@given(
    rows=traces,
    todo=steps,
    delay_ms=st.integers(0, 200),
    slow_start=st.sampled_from([None, SlowStart(), SlowStart(bytes_max=14_600, idle_s_min=0.1)]),
)
def test_bytes_are_conserved_in_order_and_within_capacity(
    rows: list[tuple[int, int]], todo: list[Step], delay_ms: int, slow_start: SlowStart | None
) -> None:
    trace = built(rows)
    delay_s = delay_ms / 1000
    watched = Watched(Link(trace, delay_s=delay_s, slow_start=slow_start))
    for flow_id in FLOWS:
        watched.link.handle(FlowOpened(flow_id), 0.0)
    now_s = 0.0
    for step in todo:
        watched.do(step, now_s)
        watched.run(now_s, now_s + step.wait_ms / 1000)
        now_s += step.wait_ms / 1000
    for flow_id in FLOWS:
        watched.do(Step("release", flow_id, 0, 0), now_s)
    watched.run(now_s, 1e9)

    for flow_id in FLOWS:
        if flow_id not in watched.dropped:
            assert watched.delivered[flow_id] == watched.offered[flow_id]
    # Between any two arrivals no more was let through than the trace allows. It is enough to look
    # at neighbours: what holds for each gap holds for their sum.
    for (one_s, _), (two_s, size_bytes) in pairwise([(delay_s, 0), *watched.arrivals]):
        allowed = trace.sent_bytes(max(0.0, one_s - delay_s), max(0.0, two_s - delay_s))
        assert size_bytes <= allowed * (1 + 1e-6) + 0.01


@settings(deadline=None, max_examples=30)
@given(rows=traces, sizes=st.lists(st.integers(1, 250_000), min_size=1, max_size=5))
def test_busy_link_works_without_a_pause_and_shares_within_a_quantum(
    rows: list[tuple[int, int]], sizes: list[int]
) -> None:
    trace = built(rows)
    link = Link(trace)
    for flow_id, size_bytes in enumerate(sizes):
        link.handle(FlowOpened(flow_id), 0.0)
        link.handle(BytesOffered(flow_id, size_bytes), 0.0)
    got = [0] * len(sizes)
    now_s = 0.0
    while (due_s := link.deadline_s()) is not None:
        now_s = due_s
        link.advance(now_s)
        for effect in link.drain():
            if isinstance(effect, BytesDelivered):
                got[effect.flow_id] += effect.size_bytes
                assert effect.size_bytes <= QUANTUM_BYTES_MAX
        # With one rate, flows that still have bytes differ by at most one quantum of it.
        if len(set(trace.rates_kbps)) == 1:
            quantum = max(QUANTUM_BYTES_MIN, int(trace.rates_kbps[0] * 125 * 0.008))
            busy = [got[i] for i, size in enumerate(sizes) if got[i] < size]
            assert max(busy, default=0) - min(busy, default=0) <= min(quantum, QUANTUM_BYTES_MAX)
    assert got == sizes
    assert now_s == pytest.approx(trace.finish_s(0.0, sum(sizes)), rel=1e-6)
