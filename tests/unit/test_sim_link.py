"""One shaped link: order, backpressure, ends, outages, misuse."""

from collections.abc import Sequence

import pytest

from nearcast.errors import LocalProtocolError
from nearcast.trace import Trace
from simulation.link import QUANTUM_BYTES_MAX, QUEUE_BYTES_MAX, Link
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

MBIT_S = Trace.constant(8_000)  # one megabyte a second


def told(link: Link, now_s: float, *events: LinkEvent) -> None:
    for event in events:
        link.handle(event, now_s)


def run(link: Link, until_s: float = 1e9) -> list[tuple[float, LinkEvent]]:
    """Everything that comes out up to then, with its time."""
    out: list[tuple[float, LinkEvent]] = [(0.0, effect) for effect in link.drain()]
    while (due_s := link.deadline_s()) is not None and due_s <= until_s:
        link.advance(due_s)
        out += [(due_s, effect) for effect in link.drain()]
    return out


def delivered(out: Sequence[tuple[float, LinkEvent]], flow_id: int) -> int:
    return sum(
        effect.size_bytes
        for _, effect in out
        if isinstance(effect, BytesDelivered) and effect.flow_id == flow_id
    )


def test_bytes_arrive_after_serialisation_and_delay() -> None:
    link = Link(MBIT_S, delay_s=0.05)
    told(link, 2.0, FlowOpened(1), BytesOffered(1, 100_000))
    out = run(link)
    assert delivered(out, 1) == 100_000
    assert out[-1][0] == pytest.approx(2.0 + 0.1 + 0.05)


def test_two_flows_share_and_a_short_one_is_not_stuck_behind_a_long_one() -> None:
    link = Link(MBIT_S)
    told(link, 0.0, FlowOpened(1), BytesOffered(1, 200_000), FlowOpened(2), BytesOffered(2, 8_000))
    out = run(link)
    short_s = max(at_s for at_s, effect in out if effect.flow_id == 2)
    assert short_s < 0.03
    assert out[-1][0] == pytest.approx(0.208)


def test_end_travels_behind_the_bytes_and_closes_the_flow() -> None:
    link = Link(MBIT_S, delay_s=0.1)
    told(link, 0.0, FlowOpened(1), BytesOffered(1, 50_000), EndOffered(1, is_reset=True))
    assert link.room_bytes(1) == 0
    out = run(link)
    assert out[-1][1] == EndDelivered(1, True)
    assert out[-1][0] == pytest.approx(0.15)
    assert delivered(out, 1) == 50_000
    assert link.counters().open_flow_count == 0


def test_end_of_an_empty_flow_takes_the_delay_alone() -> None:
    link = Link(MBIT_S, delay_s=0.1)
    told(link, 1.0, FlowOpened(1), EndOffered(1))
    assert run(link) == [(1.1, EndDelivered(1, False))]


def test_full_flow_tells_when_it_has_room_again() -> None:
    link = Link(MBIT_S)
    told(link, 0.0, FlowOpened(1), BytesOffered(1, QUEUE_BYTES_MAX))
    with pytest.raises(LocalProtocolError, match="room for 0"):
        link.handle(BytesOffered(1, 1), 0.0)
    out = run(link, until_s=0.2)
    room_s = next(at_s for at_s, effect in out if isinstance(effect, RoomFreed))
    assert room_s == pytest.approx(QUEUE_BYTES_MAX / 2 / 1e6, abs=QUANTUM_BYTES_MAX / 1e6)
    assert sum(isinstance(effect, RoomFreed) for _, effect in out) == 1


def test_held_flow_waits_and_gives_the_link_to_others() -> None:
    link = Link(MBIT_S)
    told(link, 0.0, FlowOpened(1), FlowOpened(2), FlowHeld(1))
    told(link, 0.0, BytesOffered(1, 100_000), BytesOffered(2, 100_000))
    out = run(link)
    assert delivered(out, 1) == 0
    assert out[-1][0] == pytest.approx(0.1)
    link.handle(FlowReleased(1), 5.0)
    assert run(link)[-1][0] == pytest.approx(5.1)


def test_dropped_flow_is_silent_and_frees_the_link() -> None:
    link = Link(MBIT_S, delay_s=0.5)
    told(link, 0.0, FlowOpened(1), BytesOffered(1, 200_000))
    told(link, 0.0, FlowOpened(2), BytesOffered(2, 8_000))
    link.advance(0.05)
    link.handle(FlowDropped(1), 0.05)
    out = run(link)
    assert delivered(out, 1) == 0
    assert delivered(out, 2) == 8_000
    counters = link.counters()
    assert counters.discarded_bytes == 200_000
    assert counters.offered_bytes == 208_000
    assert counters.queued_bytes == counters.in_flight_bytes == 0


def test_outage_is_waited_out_in_one_step() -> None:
    link = Link(Trace((0, 1, 3601, 3602), (8_000, 0, 8_000)))
    told(link, 0.9, FlowOpened(1), BytesOffered(1, 200_000))
    steps = 0
    while (due_s := link.deadline_s()) is not None:
        link.advance(due_s)
        steps += 1
    assert due_s is None
    assert link.counters().delivered_bytes == 200_000
    assert steps < 100


def test_late_wake_up_loses_no_capacity() -> None:
    link = Link(MBIT_S)
    told(link, 0.0, FlowOpened(1), BytesOffered(1, 200_000))
    link.advance(0.1)
    assert delivered([(0.1, effect) for effect in link.drain()], 1) == pytest.approx(
        100_000, abs=QUANTUM_BYTES_MAX
    )
    link.advance(0.2001)
    assert link.counters().delivered_bytes == 200_000


def test_trace_begins_at_the_start_of_the_link() -> None:
    link = Link(Trace((0, 1, 2), (8_000, 80)), start_s=1_000_000.0)
    told(link, 1_000_000.0, FlowOpened(1), BytesOffered(1, 250_000))
    assert run(link)[-1][0] == pytest.approx(1_000_000.25)


def test_misuse_is_reported() -> None:
    link = Link(MBIT_S, delay_s=1.0)
    with pytest.raises(LocalProtocolError, match="no flow 7"):
        link.handle(BytesOffered(7, 1), 0.0)
    link.handle(FlowOpened(7), 0.0)
    with pytest.raises(LocalProtocolError, match="open already"):
        link.handle(FlowOpened(7), 0.0)
    with pytest.raises(LocalProtocolError, match="not told RoomFreed"):
        link.handle(RoomFreed(7), 0.0)
    link.handle(EndOffered(7), 0.0)
    with pytest.raises(LocalProtocolError, match="ended already"):
        link.handle(EndOffered(7), 0.0)


def test_receiver_may_speak_of_a_flow_that_ends_at_that_moment() -> None:
    link = Link(MBIT_S)
    told(link, 0.0, FlowOpened(1), BytesOffered(1, 1_000), EndOffered(1))
    link.handle(FlowDropped(1), 5.0)
    assert EndDelivered(1, False) in link.drain()
    told(link, 5.0, FlowHeld(1), FlowReleased(1))
    assert link.deadline_s() is None
