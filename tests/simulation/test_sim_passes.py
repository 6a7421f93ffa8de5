"""Requests that a simulated edge passes through: what their answers do to what it holds."""

import pytest

from edge.config import EdgeConfig, PrefetchConfig, ServiceRules
from nearcast.record import DigestRecorder
from nearcast.trace import Trace
from simulation.edge_node import EdgeNode
from simulation.link import Link
from simulation.scenario import Costs
from simulation.scheduler import Scheduler
from simulation.transport import Answer, Client, Exchange, Headers, Request
from simulation.wire import Path

LIFETIME_S = 60
GET_FIELDS: Headers = (
    ("cache-control", f"max-age={LIFETIME_S}"),
    ("etag", '"1"'),
    ("x-inside", "secret"),
    ("cache-status", "shield; hit"),
)


class Origin:
    """Answers a GET with ten bytes and all else with none, as `status` and `headers` say."""

    def __init__(self) -> None:
        self.methods: list[str] = []
        self.status = 204
        self.headers: Headers = GET_FIELDS
        self.is_broken = False

    def requested(self, exchange: Exchange) -> None:
        method = exchange.request.method
        self.methods.append(method)
        if self.is_broken:
            exchange.abort()
        elif method == "GET":
            exchange.start(Answer(status=200, headers=GET_FIELDS, body_bytes=10))
            exchange.offer(10)
        else:
            exchange.start(Answer(status=self.status, headers=self.headers, body_bytes=0))

    def sent(self, exchange: Exchange) -> None: ...

    def left(self, exchange: Exchange) -> None: ...


class Heard:
    """A listener that keeps the head."""

    def __init__(self) -> None:
        self.answer: Answer | None = None

    def started(self, answer: Answer) -> None:
        self.answer = answer

    def arrived(self, received_bytes: int) -> None: ...

    def ended(self, size_bytes: int, text: bytes | None) -> None: ...

    def failed(self, detail: str) -> None: ...


class Bench:
    def __init__(self) -> None:
        self.scheduler = Scheduler()
        self.origin = Origin()
        config = EdgeConfig(
            upstream="http://origin.invalid",
            name="ams1",
            prefetch=PrefetchConfig(enabled=False),
            service=ServiceRules(response_headers_deny=("x-inside",)),
        )
        self.edge = EdgeNode(
            config.name,
            config,
            self._path(),
            self.origin,
            self.scheduler,
            DigestRecorder(),
            Costs(),
            None,
        )
        self.edge.start()
        self._client = Client(self._path(), self.edge, self.scheduler, connection_limit=1)

    def _path(self) -> Path:
        up, down = (Link(Trace.constant(8_000), delay_s=0.01) for _ in range(2))
        return Path(up, down, self.scheduler)

    def ask(self, method: str, target: str = "/a") -> Answer:
        heard = Heard()
        self._client.send(Request(method=method, target=target), heard)
        end_s = self.scheduler.now_s() + 2.0
        self.scheduler.run(until_s=end_s, is_done=lambda: heard.answer is not None)
        assert heard.answer is not None
        return heard.answer


def test_write_through_a_simulated_edge_invalidates_what_it_holds() -> None:
    bench = Bench()
    bench.ask("GET")
    bench.ask("GET")
    assert bench.origin.methods == ["GET"]
    assert bench.ask("POST").status == 204
    bench.ask("GET")
    assert bench.origin.methods == ["GET", "POST", "GET"]


def test_write_that_upstream_refuses_changes_nothing() -> None:
    bench = Bench()
    bench.origin.status = 403
    for method in ("GET", "POST", "GET"):
        bench.ask(method)
    assert bench.origin.methods == ["GET", "POST"]


def test_write_of_which_nothing_was_heard_may_have_happened() -> None:
    bench = Bench()
    bench.ask("GET")
    bench.origin.is_broken = True
    assert bench.ask("POST").status == 502
    bench.origin.is_broken = False
    bench.ask("GET")
    assert bench.origin.methods == ["GET", "POST", "GET"]


@pytest.mark.parametrize(("etag", "is_kept"), [('"1"', True), ('"2"', False)])
def test_head_renews_what_it_agrees_with_and_ends_what_it_contradicts(
    etag: str, is_kept: bool
) -> None:
    bench = Bench()
    bench.ask("GET")
    bench.scheduler.at(LIFETIME_S + 1, lambda: None)
    bench.scheduler.run(until_s=LIFETIME_S + 1)
    bench.origin.status = 200
    bench.origin.headers = (("cache-control", "max-age=600"), ("etag", etag))
    for method in ("HEAD", "GET"):
        bench.ask(method)
    assert bench.origin.methods == ["GET", "HEAD"] + ["GET"] * (not is_kept)


def test_passed_answer_shows_what_the_service_shows() -> None:
    bench = Bench()
    headers = bench.ask("POST").headers
    assert all(name != "x-inside" for name, _ in headers)
    (line,) = (value for name, value in headers if name == "cache-status")
    assert line.startswith("shield; hit, ams1;")
