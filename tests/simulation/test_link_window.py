"""A link whose flows have congestion windows, and a network of such links."""

from typing import Any

import pytest

from nearcast.trace import Trace
from simulation.link import Link
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
)
from simulation.link_shape import LinkShape
from simulation.scenario import scenario_of
from simulation.slow_start import SlowStart
from simulation.world import World

FAST = Trace.constant(800_000)  # 100 bytes a microsecond: a window takes no time
DELAY_S = 0.05
RTT_S = 2 * DELAY_S
WINDOW_BYTES = 10 * 1460


def opened(trace: Trace = FAST, flow_count: int = 1, **settings: Any) -> Link:
    link = Link(trace, delay_s=DELAY_S, slow_start=SlowStart(**settings))
    for flow_id in range(1, flow_count + 1):
        link.handle(FlowOpened(flow_id), 0.0)
    return link


def run(link: Link, until_s: float = 1e9) -> list[tuple[float, LinkEvent]]:
    out: list[tuple[float, LinkEvent]] = [(0.0, effect) for effect in link.drain()]
    while (due_s := link.deadline_s()) is not None and due_s <= until_s:
        link.advance(due_s)
        out += [(due_s, effect) for effect in link.drain()]
    return out


def delivered(out: list[tuple[float, LinkEvent]], start_s: float, end_s: float) -> int:
    return sum(
        effect.size_bytes
        for at_s, effect in out
        if isinstance(effect, BytesDelivered) and start_s <= at_s < end_s
    )


def test_each_round_trip_delivers_twice_as_much() -> None:
    link = opened()
    link.handle(BytesOffered(1, 7 * WINDOW_BYTES), 0.0)
    out = run(link)
    rounds = [
        delivered(out, DELAY_S + index * RTT_S, DELAY_S + (index + 1) * RTT_S) for index in range(3)
    ]
    assert rounds == [WINDOW_BYTES, 2 * WINDOW_BYTES, 4 * WINDOW_BYTES]


def test_window_grows_no_further_than_the_senders_buffer() -> None:
    link = opened(bytes_max=WINDOW_BYTES)
    link.handle(BytesOffered(1, 4 * WINDOW_BYTES), 0.0)
    out = run(link)
    assert out[-1][0] == pytest.approx(DELAY_S + 3 * RTT_S, abs=2e-3)


@pytest.mark.parametrize(("gap_s", "is_restart"), [(0.8, False), (1.2, True)])
def test_silence_closes_the_window(gap_s: float, is_restart: bool) -> None:
    link = opened()
    link.handle(BytesOffered(1, 7 * WINDOW_BYTES), 0.0)
    sent_s = run(link)[-1][0] - DELAY_S
    link.handle(BytesOffered(1, 7 * WINDOW_BYTES), sent_s + gap_s)
    took_s = run(link)[-1][0] - sent_s - gap_s
    assert took_s == pytest.approx(DELAY_S + (2 * RTT_S if is_restart else 0.0), abs=2e-3)


def test_a_long_round_trip_is_no_silence() -> None:
    link = Link(FAST, delay_s=1.0, slow_start=SlowStart())
    link.handle(FlowOpened(1), 0.0)
    link.handle(BytesOffered(1, 3 * WINDOW_BYTES), 0.0)
    end_s = run(link)[-1][0]
    assert end_s == pytest.approx(1.0 + 2.0, abs=2e-3)
    # The last acknowledgements are back 1 s after the end, and open the window for all at once.
    link.handle(BytesOffered(1, 4 * WINDOW_BYTES), end_s + 0.9)
    assert run(link)[-1][0] == pytest.approx(end_s + 1.0 + 1.0, abs=2e-3)


def test_a_flow_that_waits_for_acknowledgements_leaves_the_link_to_others() -> None:
    link = opened(flow_count=2)
    link.handle(BytesOffered(1, 7 * WINDOW_BYTES), 0.0)
    link.handle(BytesOffered(2, WINDOW_BYTES), 0.05)
    ends = {effect.flow_id: at_s for at_s, effect in run(link)}
    assert ends[2] == pytest.approx(0.05 + DELAY_S, abs=2e-3)
    assert ends[1] == pytest.approx(DELAY_S + 2 * RTT_S, abs=2e-3)


def test_a_slow_link_is_never_left_idle_once_the_window_covers_it() -> None:
    trace = Trace((0, 3, 4), (2_000, 0))
    link = opened(trace)
    plain = Link(trace, delay_s=DELAY_S)
    plain.handle(FlowOpened(1), 0.0)
    for each in (link, plain):
        each.handle(BytesOffered(1, 250_000), 0.0)
    # 2 Mbit/s x 0.1 s is 25,000 bytes: the first round is all that is not covered.
    gap_s = RTT_S - WINDOW_BYTES / 250_000
    assert run(link)[-1][0] == pytest.approx(run(plain)[-1][0] + gap_s, abs=0.02)


def test_a_slow_link_delivers_segment_by_segment() -> None:
    link = opened(Trace.constant(200))
    link.handle(BytesOffered(1, 3 * 1460), 0.0)
    arrivals_s = [at_s - DELAY_S for at_s, _ in run(link)]
    assert arrivals_s == pytest.approx([0.0584, 0.1168, 0.1752])


def test_held_dropped_and_ended_flows_wait_for_no_acknowledgement() -> None:
    link = opened(flow_count=3)
    for flow_id in (1, 2, 3):
        link.handle(BytesOffered(flow_id, 2 * WINDOW_BYTES), 0.0)
    run(link, 0.01)  # all three wait
    link.handle(FlowHeld(1), 0.02)
    link.handle(FlowDropped(2), 0.02)
    link.handle(EndOffered(3), 0.02)
    out = run(link, 5.0)
    assert {effect.flow_id for _, effect in out if isinstance(effect, EndDelivered)} == {3}
    assert delivered(out, 0.0, 5.0) == 3 * WINDOW_BYTES
    assert link.deadline_s() is None
    link.handle(FlowReleased(1), 6.0)
    assert delivered(run(link), 6.0, 7.0) == WINDOW_BYTES
    counters = link.counters()
    assert counters.queued_bytes == counters.in_flight_bytes == 0


def test_a_trace_may_begin_with_the_first_flow() -> None:
    trace = Trace((0, 1, 2), (8_000, 80))
    link = Link(trace, begins_with_flow=True)
    link.handle(FlowOpened(1), 7.5)
    link.handle(BytesOffered(1, 1000), 7.6)
    assert run(link)[-1][0] == pytest.approx(7.601)
    link.handle(FlowOpened(2), 8.0)  # changes nothing
    link.handle(BytesOffered(2, 100), 8.5)
    assert run(link)[-1][0] == pytest.approx(8.51)


def test_how_late_the_link_is_woken_changes_nothing() -> None:
    prompt, late = opened(Trace((0, 1, 2), (9_000, 300))), opened(Trace((0, 1, 2), (9_000, 300)))
    for link in (prompt, late):
        link.handle(BytesOffered(1, 200_000), 0.0)
    run(prompt)
    late.advance(50.0)
    assert late.counters() == prompt.counters()
    for link in (prompt, late):
        link.handle(BytesOffered(1, 200_000), 50.0)
    assert run(late)[-1][0] == run(prompt)[-1][0]


def test_a_network_with_slow_start_starts_later_and_the_switch_is_off_by_default() -> None:
    def startup_s(**shape: Any) -> float:
        table = {
            "seed": 3,
            "duration_s_max": 120,
            "catalog": {"film_count": 1, "film_s": 8, "segment_s": 2, "rungs_kbps": [800]},
            "edges": [{"name": "one", "backhaul": {"rate_kbps": 50_000, "delay_ms": 20, **shape}}],
            "audience": {
                "viewer_count": 1,
                "last_miles": [{"rate_kbps": 50_000, "delay_ms": 40, **shape}],
            },
        }
        figures = World(scenario_of(table, "test")).run().edges["one"].figures
        assert figures.startup_p50_s is not None
        return figures.startup_p50_s

    assert not LinkShape(rate_kbps=1).slow_start
    plain_s = startup_s()
    assert startup_s(slow_start=False) == plain_s
    # 200 kB are four windows' worth and more: three round trips of 80 ms, or some of 40.
    assert plain_s + 0.1 < startup_s(slow_start=True) < plain_s + 0.5
