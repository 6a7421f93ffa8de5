"""Exchanges over simulated paths: round trips, limits, growing bodies, ends in the middle."""

from typing import Any

import pytest

from nearcast.trace import Trace
from simulation.link import Link
from simulation.scheduler import Scheduler
from simulation.transport import Answer, Client, Exchange, Request
from simulation.wire import Path

DELAY_S = 0.1


class Recording:
    """A listener that keeps what it heard, with times."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.heard: list[tuple[float, str, Any]] = []

    def _hear(self, what: str, value: Any) -> None:
        self.heard.append((self._scheduler.now_s(), what, value))

    def started(self, answer: Answer) -> None:
        self._hear("started", answer.status)

    def arrived(self, received_bytes: int) -> None:
        self._hear("arrived", received_bytes)

    def ended(self, size_bytes: int, text: bytes | None) -> None:
        self._hear("ended", (size_bytes, text))

    def failed(self, detail: str) -> None:
        self._hear("failed", detail)

    @property
    def last(self) -> tuple[float, str, Any]:
        return self.heard[-1]


class Server:
    """Answers `/<size>` with that many bytes; anything else is left to the test."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.sent_targets: list[str] = []
        self.left_targets: list[str] = []

    def requested(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        name = exchange.request.target.removeprefix("/")
        if name.isdecimal():
            exchange.start(Answer(status=200, body_bytes=int(name)))
            exchange.offer(int(name))

    def sent(self, exchange: Exchange) -> None:
        self.sent_targets.append(exchange.request.target)

    def left(self, exchange: Exchange) -> None:
        self.left_targets.append(exchange.request.target)


class Bench:
    def __init__(self, *, rate_kbps: float = 8_000, connection_limit: int = 4) -> None:
        self.scheduler = Scheduler()
        self.server = Server()
        trace = Trace.constant(rate_kbps)
        self.path = Path(
            Link(Trace.constant(1e9), delay_s=DELAY_S),
            Link(trace, delay_s=DELAY_S),
            self.scheduler,
        )
        self.client = Client(
            self.path, self.server, self.scheduler, connection_limit=connection_limit
        )

    def send(self, target: str) -> Recording:
        recording = Recording(self.scheduler)
        self.client.send(Request(method="GET", target=target), recording)
        return recording


def test_first_exchange_costs_two_round_trips_and_the_next_one() -> None:
    bench = Bench()
    one = bench.send("/1000000")
    bench.scheduler.run()
    assert one.heard[0][1:] == ("started", 200)
    at_s, what, value = one.last
    assert (what, value) == ("ended", (1_000_000, None))
    assert at_s == pytest.approx(4 * DELAY_S + 1.0, abs=0.001)

    two = bench.send("/1000000")
    bench.scheduler.run()
    assert two.last[0] - at_s == pytest.approx(2 * DELAY_S + 1.0, abs=0.001)
    assert bench.client.connection_count == 1


def test_connection_limit_makes_requests_wait_their_turn() -> None:
    bench = Bench(connection_limit=1)
    for target in ("/10", "/30", "/20"):
        bench.send(target)
    bench.scheduler.run()
    assert bench.server.sent_targets == ["/10", "/30", "/20"]
    assert bench.client.connection_count == 1


def test_growing_body_is_passed_on_as_it_grows() -> None:
    bench = Bench()
    recording = bench.send("/growing")
    bench.scheduler.run()
    (exchange,) = bench.server.exchanges
    exchange.start(Answer(status=200, body_bytes=3_000))
    bench.scheduler.run()
    for available_bytes in (1_000, 2_500, 3_000):
        exchange.offer(available_bytes)
        bench.scheduler.run()
        assert ("arrived", available_bytes) in [item[1:] for item in recording.heard]
    assert recording.last[1:] == ("ended", (3_000, None))
    assert bench.server.sent_targets == ["/growing"]


def test_body_of_unknown_length_ends_when_it_is_finished() -> None:
    bench = Bench()
    recording = bench.send("/growing")
    bench.scheduler.run()
    (exchange,) = bench.server.exchanges
    exchange.start(Answer(status=200, text=b"hello"))
    exchange.offer(5)
    bench.scheduler.run()
    assert recording.last[1:] == ("arrived", 5)
    exchange.finish()
    bench.scheduler.run()
    assert recording.last[1:] == ("ended", (5, b"hello"))


def test_server_that_breaks_off_fails_the_call_behind_its_bytes() -> None:
    bench = Bench()
    recording = bench.send("/growing")
    bench.scheduler.run()
    (exchange,) = bench.server.exchanges
    exchange.start(Answer(status=200, body_bytes=3_000))
    exchange.offer(1_000)
    exchange.abort()
    bench.scheduler.run()
    assert [item[1] for item in recording.heard] == ["started", "arrived", "failed"]
    bench.send("/10")
    bench.scheduler.run()
    assert bench.client.connection_count == 2


def test_cancelled_call_is_silent_and_the_server_hears_of_it() -> None:
    bench = Bench()
    recording = Recording(bench.scheduler)
    call = bench.client.send(Request(method="GET", target="/5000000"), recording)
    bench.scheduler.run(until_s=1.0)
    heard_count = len(recording.heard)
    assert heard_count > 0
    bench.client.cancel(call)
    bench.scheduler.run()
    assert len(recording.heard) == heard_count
    assert bench.server.left_targets == ["/5000000"]
    counters = bench.path.down.link.counters()
    assert counters.queued_bytes == counters.in_flight_bytes == counters.open_flow_count == 0
    assert bench.server.exchanges[0].sent_bytes < 5_000_000


def test_call_cancelled_before_its_connection_is_there_is_never_sent() -> None:
    bench = Bench(connection_limit=1)
    recording = Recording(bench.scheduler)
    call = bench.client.send(Request(method="GET", target="/5"), recording)
    bench.client.cancel(call)
    after = bench.send("/10")
    bench.scheduler.run()
    assert recording.heard == []
    assert after.last[1] == "ended"
    assert bench.server.sent_targets == ["/10"]


def test_held_call_waits_while_others_go_on() -> None:
    bench = Bench()
    held = Recording(bench.scheduler)
    call = bench.client.send(Request(method="GET", target="/100000"), held)
    bench.client.hold(call)
    other = bench.send("/100000")
    bench.scheduler.run()
    assert other.last[1] == "ended"
    assert held.heard == []
    bench.client.release(call)
    bench.scheduler.run()
    assert held.last[1] == "ended"


def test_head_only_answer_needs_no_body() -> None:
    bench = Bench()
    recording = bench.send("/0")
    bench.scheduler.run()
    assert [item[1] for item in recording.heard] == ["started", "ended"]
