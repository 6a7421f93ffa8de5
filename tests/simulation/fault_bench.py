"""An edge in front of a misbehaving origin, on a virtual clock, and clients to ask it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nearcast.cache_status import parse_cache_status
from nearcast.record import ListRecorder
from simulation.checks import Checker
from simulation.faults import FaultSpec
from simulation.scenario import Setting, scenario_of
from simulation.transport import Answer, Call, Client, Headers, Request
from simulation.wire import Path
from simulation.world import World

SEGMENTS = tuple(f"/media/film1/v400/{number}.m4s" for number in range(1, 6))
SEGMENT, OTHER = SEGMENTS[0], SEGMENTS[1]
LIMIT_S = 60.0


class Reply:
    """What a client got, and how long it took."""

    def __init__(self, bench: FaultBench, at_s: float) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.size_bytes = 0
        self.is_whole = False
        self.failure: str | None = None
        self.took_s = 0.0
        self._bench = bench
        self._at_s = at_s

    @property
    def is_over(self) -> bool:
        return self.is_whole or self.failure is not None

    @property
    def is_hit(self) -> bool:
        return parse_cache_status(self.headers["cache-status"])[-1].is_hit

    @property
    def fwd(self) -> str | None:
        return parse_cache_status(self.headers["cache-status"])[-1].fwd

    @property
    def age_s(self) -> int:
        return int(self.headers["age"])

    def started(self, answer: Answer) -> None:
        self.status, self.headers = answer.status, dict(answer.headers)

    def arrived(self, received_bytes: int) -> None:
        self.size_bytes = received_bytes

    def ended(self, size_bytes: int, text: bytes | None) -> None:
        self.size_bytes, self.is_whole = size_bytes, True
        self.took_s = self._bench.now_s - self._at_s

    def failed(self, detail: str) -> None:
        self.failure = detail
        self.took_s = self._bench.now_s - self._at_s


class FaultBench:
    """A world whose viewers never come; the test asks in their place."""

    def __init__(
        self, settings: Mapping[str, Setting] | None = None, *, max_age_s: int | None = None
    ) -> None:
        self.checker = Checker()
        self.recorder = ListRecorder()
        link = {"rate_kbps": 100_000, "delay_ms": 5}
        scenario = scenario_of(
            {
                "catalog": {"film_count": 1, "film_s": 20, "rungs_kbps": [400], "audio_kbps": 0},
                "edges": [
                    {
                        "name": "edge",
                        "backhaul": link,
                        "settings": {
                            "prefetch.enabled": False,
                            "store": "disk",
                            **(settings or {}),
                        },
                    }
                ],
                "viewers": [{"id": "late", "titles": ["film1"], "last_mile": link, "start_s": 1e9}],
                "origin_max_age_s": max_age_s,
            },
            "test",
        )
        self.world = World(scenario, recorder=self.recorder)
        self.edge = self.world.edges["edge"]
        self.origin = self.world.origin
        self._scheduler = self.world.scheduler
        self.client = Client(
            Path(*scenario.edges[0].backhaul.build(), self._scheduler),
            self.edge,
            self._scheduler,
            connection_limit=1000,
        )
        self._calls: dict[Reply, Call] = {}
        self.edge.start()

    @property
    def now_s(self) -> float:
        return self._scheduler.now_s()

    @property
    def status(self) -> Any:
        return self.edge.core.status(self.now_s)

    def begin(self, kind: str, lasts_s: float = 1e6, **how: Any) -> None:
        """A fault from now on."""
        fault = FaultSpec(kind=kind, at_s=self.now_s, lasts_s=lasts_s, **how)  # type: ignore[arg-type]
        self.world.injector.begin(fault)

    def end(self) -> None:
        """All is well again."""
        for fault in tuple(self.world.injector.active):
            self.world.injector.end(fault)

    def send(self, target: str = SEGMENT, headers: Headers = ()) -> Reply:
        reply = Reply(self, self.now_s)
        request = Request(method="GET", target=target, headers=headers)
        self._calls[reply] = self.client.send(request, reply)
        return reply

    def leave(self, reply: Reply) -> None:
        """The client closes in the middle."""
        self.client.cancel(self._calls[reply])

    def finish(self, *replies: Reply) -> None:
        """Run until they are over, looking at the invariants after every event."""
        until_s = self.now_s + LIMIT_S
        while not all(reply.is_over for reply in replies):
            assert self._scheduler.next_s() < until_s, "nobody answers"
            self._scheduler.step()
            self.checker.look(self.world)

    def get(self, target: str = SEGMENT, headers: Headers = ()) -> Reply:
        reply = self.send(target, headers)
        self.finish(reply)
        return reply

    def wait(self, time_s: float) -> None:
        until_s = self.now_s + time_s
        self._scheduler.run(until_s=until_s)
        self._scheduler.clock.move_to(until_s)

    def asked(self, target: str = SEGMENT) -> int:
        """How often the origin was asked for it."""
        return self.origin.asked[target]
