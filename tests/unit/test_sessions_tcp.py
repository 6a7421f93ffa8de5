"""The tcp transport against arithmetic, against plain, and against a packet-by-packet link."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abr.view import Floats
from nearcast.trace import Trace
from simulation.link import QUEUE_BYTES_MAX, Link
from simulation.link_events import BytesDelivered, BytesOffered, FlowOpened
from simulation.sessions.capacity import Capacity
from simulation.sessions.plain import PlainTransport
from simulation.sessions.tcp import Backhaul, TcpTransport
from simulation.slow_start import SlowStart

RTT_S = 0.1
FAST = Trace.constant(1e9)
WINDOW_BITS = 10 * 1460 * 8.0
OPEN = SlowStart(initial_bytes=1 << 50, bytes_max=1 << 50)

traces = st.lists(
    st.tuples(st.integers(1, 30), st.sampled_from([0, 0, 64, 800, 3_000, 20_000, 200_000])),
    min_size=1,
    max_size=6,
).filter(lambda rows: any(rate for _, rate in rows))
# Size in bits and silence before it, request by request.
requests = st.lists(
    st.tuples(st.floats(100, 3e7), st.sampled_from([0.0, 0.3, 0.95, 2.0])), min_size=1, max_size=6
)
rtts = st.sampled_from([0.005, 0.04, 0.1, 0.3])


def built(rows: list[tuple[int, int]]) -> Trace:
    times = np.cumsum([0, *(tenths for tenths, _ in rows)]) / 10
    return Trace([float(time) for time in times], [rate for _, rate in rows])


def one(value: float) -> Floats:
    return np.array([value])


ROW = np.array([0])
MISS = np.array([False])
HIT = np.array([True])


def ends(transport: TcpTransport | PlainTransport, asked: list[tuple[float, float]]) -> list[float]:
    """When each response ends, the next request following after its silence."""
    found, now_s = [], 0.0
    for size_bits, gap_s in asked:
        now_s += gap_s
        flight = transport.send(ROW, one(now_s), one(gap_s), one(size_bits), MISS)
        now_s = float(flight.end_s[0])
        found.append(now_s)
    return found


def test_windows_double_with_every_round_trip() -> None:
    transport = TcpTransport(Capacity([FAST]), RTT_S)
    # A connection and a request cost a round trip each; 1 + 2 + 4 windows take two more.
    assert ends(transport, [(7 * WINDOW_BITS, 0.0)]) == pytest.approx([4 * RTT_S], abs=1e-3)


def test_window_stays_open_between_requests_and_closes_in_silence() -> None:
    transport = TcpTransport(Capacity([FAST]), RTT_S)
    first_s, second_s, third_s = ends(
        transport, [(7 * WINDOW_BITS, 0.0), (7 * WINDOW_BITS, 0.5), (7 * WINDOW_BITS, 1.5)]
    )
    assert second_s - first_s - 0.5 == pytest.approx(RTT_S, abs=1e-3)
    assert third_s - second_s - 1.5 == pytest.approx(3 * RTT_S, abs=1e-3)


def test_window_ends_where_the_senders_buffer_does() -> None:
    small = SlowStart(bytes_max=10 * 1460)
    transport = TcpTransport(Capacity([FAST]), RTT_S, slow_start=small)
    assert ends(transport, [(5 * WINDOW_BITS, 0.0)]) == pytest.approx([6 * RTT_S], abs=1e-3)


def test_a_request_after_one_given_up_needs_a_new_connection() -> None:
    transport = TcpTransport(Capacity([FAST]), RTT_S)
    end_s = ends(transport, [(100 * WINDOW_BITS, 0.0)])[0]
    now_s = end_s - 0.01
    flight = transport.send(ROW, one(now_s), one(0.0), one(WINDOW_BITS / 2), MISS)
    assert float(flight.first_s[0]) == pytest.approx(now_s + 2 * RTT_S)
    again_s = float(flight.end_s[0])
    flight = transport.send(ROW, one(again_s), one(0.0), one(WINDOW_BITS), MISS)
    assert float(flight.end_s[0]) == pytest.approx(again_s + RTT_S, abs=1e-3)


def test_a_miss_costs_the_backhauls_round_trip_and_its_rate() -> None:
    backhaul = Backhaul(capacity=Capacity([Trace.constant(1_000)]), rtt_s=0.05)
    transport = TcpTransport(
        Capacity([Trace.constant(8_000)]), RTT_S, slow_start=OPEN, backhaul=backhaul
    )
    hit = transport.send(ROW, one(0.0), one(0.0), one(8e6), HIT)
    assert float(hit.end_s[0]) == pytest.approx(2 * RTT_S + 1.0)
    miss = transport.send(ROW, one(10.0), one(0.0), one(8e6), MISS)
    assert float(miss.first_s[0]) == pytest.approx(10 + RTT_S + 0.05)
    assert float(miss.end_s[0]) == pytest.approx(10 + RTT_S + 0.05 + 8.0)
    halfway_s = one(float(miss.first_s[0]) + 4.0)
    assert miss.received_bits(ROW, halfway_s)[0] == pytest.approx(4e6)


def test_hits_do_not_open_the_backhauls_window() -> None:
    backhaul = Backhaul(capacity=Capacity([FAST]), rtt_s=RTT_S)
    transport = TcpTransport(Capacity([FAST]), 0.001, backhaul=backhaul)
    hit = transport.send(ROW, one(0.0), one(0.0), one(7 * WINDOW_BITS), HIT)
    now_s = hit.end_s + 0.1
    miss = transport.send(ROW, now_s, one(0.1), one(7 * WINDOW_BITS), MISS)
    assert float((miss.end_s - now_s)[0]) == pytest.approx(0.001 + 3 * RTT_S, abs=1e-3)


@settings(deadline=None, max_examples=50)
@given(rows=traces, asked=requests, rtt_s=rtts)
def test_never_faster_than_plain_and_equal_with_an_open_window(
    rows: list[tuple[int, int]], asked: list[tuple[float, float]], rtt_s: float
) -> None:
    capacity = Capacity([built(rows)])
    tcp, open_tcp, plain = (
        TcpTransport(capacity, rtt_s),
        TcpTransport(capacity, rtt_s, slow_start=OPEN),
        PlainTransport(capacity, rtt_s),
    )
    now_s = rtt_s  # the connection
    for size_bits, gap_s in asked:
        now_s += gap_s
        arguments = (ROW, one(now_s), one(gap_s), one(size_bits), MISS)
        first = now_s == rtt_s + gap_s and size_bits == asked[0][0]
        if first:  # only the first request sets the connection up
            early = (ROW, one(now_s - rtt_s), one(gap_s), one(size_bits), MISS)
            flights = [tcp.send(*early), open_tcp.send(*early)]
        else:
            flights = [tcp.send(*arguments), open_tcp.send(*arguments)]
        expected = plain.send(*arguments)
        assert flights[0].first_s == pytest.approx(expected.first_s)
        assert flights[0].end_s[0] >= expected.end_s[0] - 1e-6
        assert flights[1].end_s == pytest.approx(expected.end_s)
        now_s = float(flights[0].end_s[0])


@settings(deadline=None, max_examples=50)
@given(rows=traces, asked=requests, rtt_s=rtts, is_hit=st.booleans())
def test_received_bits_rise_from_nothing_to_all_within_what_the_link_carries(
    rows: list[tuple[int, int]], asked: list[tuple[float, float]], rtt_s: float, is_hit: bool
) -> None:
    capacity = Capacity([built(rows)])
    backhaul = Backhaul(capacity=Capacity([built(rows[::-1])]), rtt_s=2 * rtt_s)
    transport = TcpTransport(capacity, rtt_s, backhaul=backhaul)
    now_s = 0.0
    for size_bits, gap_s in asked:
        now_s += gap_s
        flight = transport.send(ROW, one(now_s), one(gap_s), one(size_bits), np.array([is_hit]))
        first_s, end_s = float(flight.first_s[0]), float(flight.end_s[0])
        at_s = np.linspace(first_s, end_s, 40)
        rows_asked = np.zeros(at_s.size, dtype=np.int64)
        got = flight.received_bits(rows_asked, at_s)
        carried = capacity.sent_bits(rows_asked, np.full(at_s.size, first_s), at_s)
        assert got[0] == pytest.approx(0.0, abs=1e-3)
        assert got[-1] == pytest.approx(size_bits, rel=1e-6, abs=1.0)
        assert (np.diff(got) >= -1e-3).all()
        assert (got <= carried * (1 + 1e-9) + 1e-3).all()
        now_s = end_s


@settings(deadline=None, max_examples=30)
@given(rows=traces, size_bits=st.floats(1e4, 3e7), more_bits=st.floats(0, 3e7), rtt_s=rtts)
def test_more_bits_and_longer_round_trips_never_end_earlier(
    rows: list[tuple[int, int]], size_bits: float, more_bits: float, rtt_s: float
) -> None:
    capacity = Capacity([built(rows)])

    def end_s(bits: float, rtt: float) -> float:
        return ends(TcpTransport(capacity, rtt), [(bits, 0.0)])[0]

    assert end_s(size_bits + more_bits, rtt_s) >= end_s(size_bits, rtt_s) - 1e-6
    assert end_s(size_bits, rtt_s * 1.5) >= end_s(size_bits, rtt_s) - 1e-6


def test_sessions_do_not_touch_each_other() -> None:
    fast, slow = Trace.constant(50_000), Trace((0, 2, 3), (4_000, 0))
    together = TcpTransport(Capacity([fast, slow]), RTT_S)
    alone = [TcpTransport(Capacity([trace]), RTT_S) for trace in (fast, slow)]
    now_s = np.zeros(2)
    for size_bits in (3e6, 1e5, 8e6):
        sizes = np.full(2, size_bits)
        both = together.send(np.arange(2), now_s, np.zeros(2), sizes, np.zeros(2, dtype=np.bool_))
        for row, transport in enumerate(alone):
            own = transport.send(ROW, one(float(now_s[row])), one(0.0), one(size_bits), MISS)
            assert both.end_s[row] == pytest.approx(own.end_s[0])
            middle_s = (own.first_s + own.end_s) / 2
            got = both.received_bits(np.array([row]), middle_s)
            assert got == pytest.approx(own.received_bits(ROW, middle_s))
        now_s = both.end_s


def link_ends(trace: Trace, rtt_s: float, asked: list[tuple[int, float]]) -> list[float]:
    """The same requests through the link that `nearcast shape` drives, quantum by quantum."""
    # The link's bytes take half a round trip more after it; its trace begins so much earlier.
    link = Link(trace, delay_s=rtt_s / 2, start_s=-rtt_s / 2, slow_start=SlowStart())
    link.handle(FlowOpened(1), 0.0)
    found, now_s = [], rtt_s
    for size_bytes, gap_s in asked:
        now_s += gap_s + rtt_s / 2  # the request
        left = got = 0
        left = size_bytes
        while got < size_bytes:
            room = link.room_bytes(1)
            if left and room > QUEUE_BYTES_MAX // 2:
                part = min(left, room)
                link.handle(BytesOffered(1, part), now_s)
                left -= part
            due_s = link.deadline_s()
            assert due_s is not None
            now_s = due_s
            link.advance(now_s)
            got += sum(each.size_bytes for each in link.drain() if isinstance(each, BytesDelivered))
        found.append(now_s)
    return found


@pytest.mark.parametrize("rate_kbps", [300, 3_000, 30_000, 300_000])
@pytest.mark.parametrize("rtt_s", [0.02, 0.1])
def test_agrees_with_the_link_at_a_constant_rate(rate_kbps: float, rtt_s: float) -> None:
    trace = Trace.constant(rate_kbps)
    asked = [(200_000, 0.0), (1_500_000, 0.2), (60_000, 3.0), (900_000, 0.0)]
    bits = [(size_bytes * 8.0, gap_s) for size_bytes, gap_s in asked]
    expected_s = np.diff(ends(TcpTransport(Capacity([trace]), rtt_s), bits), prepend=0.0)
    found_s = np.diff(link_ends(trace, rtt_s, asked), prepend=0.0)
    # What is acknowledged at once lengthens a round by the time the link takes for it.
    ack_s = 2 * 1460 * 8 / (rate_kbps * 1000)
    assert (found_s >= expected_s - 1e-6).all()
    assert (found_s <= expected_s + 3 * ack_s + 0.06 * rtt_s).all()


@settings(deadline=None, max_examples=25)
@given(rows=traces, size_bytes=st.integers(2_000, 1_500_000), rtt_s=rtts)
def test_a_response_is_never_later_than_over_the_link(
    rows: list[tuple[int, int]], size_bytes: int, rtt_s: float
) -> None:
    """And may be earlier: the pace of acknowledgements within a round is not modelled."""
    trace = built(rows)
    expected_s = ends(TcpTransport(Capacity([trace]), rtt_s), [(size_bytes * 8.0, 0.0)])[0]
    assert link_ends(trace, rtt_s, [(size_bytes, 0.0)])[0] >= expected_s - 1e-3
