"""Any mix of requests, growing bodies, cancelled calls and broken answers over one path."""

from typing import Literal, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast.trace import Trace
from simulation.link import Link
from simulation.scheduler import Scheduler
from simulation.transport import Answer, Call, Client, Exchange, Request
from simulation.wire import Path


class Wish(NamedTuple):
    at_ms: int
    size_bytes: int
    way: Literal["whole", "growing", "unknown", "broken"]
    cancel_ms: int | None


wishes = st.lists(
    st.builds(
        Wish,
        st.integers(0, 2_000),
        st.integers(1, 600_000),
        st.sampled_from(["whole", "whole", "growing", "unknown", "broken"]),
        st.one_of(st.none(), st.none(), st.integers(0, 2_000)),
    ),
    min_size=1,
    max_size=12,
)


class Heard:
    """A listener that checks the order in which it is told things."""

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self.received_bytes = 0
        self.is_started = False
        self.is_cancelled = False
        self.outcome: str | None = None

    def started(self, answer: Answer) -> None:
        assert not self.is_started
        assert self.outcome is None
        assert not self.is_cancelled
        self.is_started = True

    def arrived(self, received_bytes: int) -> None:
        assert self.is_started
        assert self.outcome is None
        assert not self.is_cancelled
        assert self.received_bytes < received_bytes <= self.wish.size_bytes
        self.received_bytes = received_bytes

    def ended(self, size_bytes: int, text: bytes | None) -> None:
        assert self.outcome is None
        assert not self.is_cancelled
        assert size_bytes == self.received_bytes == self.wish.size_bytes
        self.outcome = "ended"

    def failed(self, detail: str) -> None:
        assert self.outcome is None
        assert not self.is_cancelled
        self.outcome = "failed"


class GrowingServer:
    """Answers each wish its way, a third of the body every 50 ms."""

    def __init__(self, scheduler: Scheduler, listed: list[Wish]) -> None:
        self._scheduler = scheduler
        self._wishes = listed
        self.over: list[Exchange] = []

    def requested(self, exchange: Exchange) -> None:
        wish = self._wishes[int(exchange.request.target)]
        known_bytes = None if wish.way == "unknown" else wish.size_bytes
        exchange.start(Answer(status=200, body_bytes=known_bytes))
        if wish.way == "whole":
            exchange.offer(wish.size_bytes)
        else:
            self._scheduler.after(0.05, lambda: self._grow(exchange, wish, 1))

    def _grow(self, exchange: Exchange, wish: Wish, third: int) -> None:
        if exchange.is_over:
            return
        if wish.way == "broken" and third == 2:
            exchange.abort()
            return
        exchange.offer(wish.size_bytes * third // 3)
        if third == 3:
            exchange.finish()
        else:
            self._scheduler.after(0.05, lambda: self._grow(exchange, wish, third + 1))

    def sent(self, exchange: Exchange) -> None:
        assert exchange not in self.over
        self.over.append(exchange)

    def left(self, exchange: Exchange) -> None:
        assert exchange not in self.over
        self.over.append(exchange)


@settings(deadline=None, max_examples=40)
@given(listed=wishes, connection_limit=st.integers(1, 4), rate_kbps=st.sampled_from([800, 20_000]))
def test_every_call_has_one_outcome_and_the_link_is_left_empty(
    listed: list[Wish], connection_limit: int, rate_kbps: int
) -> None:
    scheduler = Scheduler()
    path = Path(
        Link(Trace.constant(5_000), delay_s=0.02),
        Link(Trace((0, 1, 1.3), (rate_kbps, 0)), delay_s=0.02),
        scheduler,
    )
    server = GrowingServer(scheduler, listed)
    client = Client(path, server, scheduler, connection_limit=connection_limit)
    heard = [Heard(wish) for wish in listed]

    def send(index: int) -> None:
        request = Request(method="GET", target=str(index))
        call = client.send(request, heard[index])
        cancel_ms = listed[index].cancel_ms
        if cancel_ms is not None:
            scheduler.after(cancel_ms / 1000, lambda: cancel(index, call))

    def cancel(index: int, call: Call) -> None:
        heard[index].is_cancelled = heard[index].outcome is None
        client.cancel(call)

    for index, wish in enumerate(listed):
        scheduler.at(wish.at_ms / 1000, lambda index=index: send(index))  # type: ignore[misc]
    scheduler.run()

    for listener in heard:
        if not listener.is_cancelled:
            expected = "failed" if listener.wish.way == "broken" else "ended"
            assert listener.outcome == expected
    for wire in (path.up, path.down):
        counters = wire.link.counters()
        assert counters.queued_bytes == counters.in_flight_bytes == 0
        assert counters.offered_bytes == counters.delivered_bytes + counters.discarded_bytes
    assert path.down.link.counters().open_flow_count <= connection_limit
