"""An edge's core on a test's clock, and shorthands for what its drivers say to it."""

from __future__ import annotations

from typing import TypeVar

from edge.config import EdgeConfig
from edge.core import EdgeCore
from edge.effects import Commit, Effect, FetchCatalog, ServeObject, StartFill
from edge.events import Event, FillEnded, FillHeaders, Headers, Requested, ResponseEnded
from nearcast.record import ListRecorder

EPOCH_S = 1_767_225_600.0
T = TypeVar("T")

UPSTREAM = "http://origin:8000/base"
MAX_AGE = (("cache-control", "max-age=60"), ("etag", '"v1"'))
SIZE = 1000


class Bench:
    """A core with a clock that moves when told."""

    def __init__(self, *, is_in_fleet: bool = False, **settings: object) -> None:
        self.recorder = ListRecorder()
        if "services" not in settings:
            settings["upstream"] = UPSTREAM
        config = EdgeConfig(**settings)  # type: ignore[arg-type]
        self.core = EdgeCore.from_config(
            config, epoch_s=EPOCH_S, recorder=self.recorder, is_in_fleet=is_in_fleet
        )
        self.now_s = 0.0
        self.last_id = 0
        self.core.drain()

    def feed(self, event: Event) -> list[Effect]:
        self.core.handle(event, self.now_s)
        return [e for e in self.core.drain() if not isinstance(e, FetchCatalog)]

    def request(self, target: str = "/a", headers: Headers = (), method: str = "GET") -> Requested:
        self.last_id += 1
        return Requested(
            request_id=self.last_id, method=method, target=target, headers=headers, client="c"
        )

    def ask(self, target: str = "/a", headers: Headers = (), method: str = "GET") -> list[Effect]:
        return self.feed(self.request(target, headers, method))

    def hit(
        self, target: str = "/a", headers: Headers = (), method: str = "GET"
    ) -> ServeObject | None:
        return self.core.find_hit(self.request(target, headers, method), self.now_s)

    def head(
        self,
        effects: list[Effect],
        headers: Headers = MAX_AGE,
        *,
        status: int = 200,
        size: int | None = SIZE,
    ) -> list[Effect]:
        """Upstream answers the one fill among the effects."""
        length = (("content-length", str(size)),) if size is not None else ()
        return self.feed(
            FillHeaders(
                fill_id=one(effects, StartFill).fill_id, status=status, headers=headers + length
            )
        )

    def end(self, effects: list[Effect], *, size: int = SIZE) -> list[Effect]:
        return self.feed(
            FillEnded(fill_id=one(effects, StartFill).fill_id, size_bytes=size, crc32c=7)
        )

    def store(self, target: str = "/a", headers: Headers = MAX_AGE, size: int = SIZE) -> Commit:
        started = self.ask(target)
        request_id = self.last_id
        self.head(started, headers, size=size)
        commit = one(self.end(started, size=size), Commit)
        self.feed(ResponseEnded(request_id=request_id, sent_bytes=size))
        return commit


def one(effects: list[Effect], kind: type[T]) -> T:
    """The only effect of that kind."""
    found = [effect for effect in effects if isinstance(effect, kind)]
    assert len(found) == 1, effects
    return found[0]
