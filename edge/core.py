"""The core of an edge: it wires the parts, and decides nothing itself.

    Requested ----> router --> desk (answers), fills (misses)
    Fill* events -> responses, fills --> residents, desk
    HitsServed ---> residents (uses)

Every part emits into one queue, so effects come out in the order they were decided.
"""

from __future__ import annotations

from edge.config import EdgeConfig
from edge.desk import Desk
from edge.events import (
    ClientLeft,
    Effect,
    Event,
    FillEnded,
    FillFailed,
    FillHeaders,
    FillProgress,
    HitsServed,
    ObjectLost,
    Requested,
    ResponseEnded,
    Restored,
    ServeObject,
)
from edge.fills import Fills
from edge.ledger import Ledger
from edge.open_fills import OpenFills
from edge.requests import Reader
from edge.residents import Residents
from edge.responses import Responses
from edge.router import Router
from edge.snapshot import Watching, snapshot
from edge.status import Counters, EdgeStatus
from nearcast.machine import EffectQueue
from nearcast.record import Recorder


class EdgeCore:
    """One cache node: a machine over edge.events."""

    def __init__(self, config: EdgeConfig, *, epoch_s: float, recorder: Recorder) -> None:
        upstream_url = config.upstream_url()
        self._config = config
        self._started_s = 0.0
        self._is_draining = False
        self._effects: EffectQueue[Effect] = EffectQueue()
        self._counters = Counters()
        self._reader = Reader(upstream_url, target_length_max=config.http.target_length_max)
        self._ledger = Ledger(effects=self._effects, counters=self._counters, recorder=recorder)
        self._residents = Residents(
            config, effects=self._effects, counters=self._counters, recorder=recorder
        )
        self._desk = Desk(
            config,
            epoch_s=epoch_s,
            effects=self._effects,
            ledger=self._ledger,
            residents=self._residents,
        )
        self._open = OpenFills(
            config,
            epoch_s=epoch_s,
            effects=self._effects,
            counters=self._counters,
            recorder=recorder,
        )
        self._responses = Responses(
            config,
            epoch_s=epoch_s,
            fills=self._open,
            desk=self._desk,
            residents=self._residents,
            counters=self._counters,
        )
        self._fills = Fills(
            config,
            fills=self._open,
            responses=self._responses,
            desk=self._desk,
            residents=self._residents,
            counters=self._counters,
        )
        self._router = Router(
            config,
            epoch_s=epoch_s,
            reader=self._reader,
            ledger=self._ledger,
            desk=self._desk,
            residents=self._residents,
            open_fills=self._open,
            fills=self._fills,
            uncacheable=self._responses.uncacheable,
        )

    @classmethod
    def from_config(cls, config: EdgeConfig, *, epoch_s: float, recorder: Recorder) -> EdgeCore:
        """`epoch_s`: the wall time at `now_s == 0`. Raises ConfigError without an upstream."""
        return cls(config, epoch_s=epoch_s, recorder=recorder)

    def find_hit(self, request: Requested, now_s: float) -> ServeObject | None:
        """The answer to a plain hit. Decides nothing and changes nothing; report it with
        `HitsServed` once it was sent."""
        return self._router.find_hit(request, now_s)

    def handle(self, event: Event, now_s: float) -> None:
        match event:
            case Requested():
                self._router.take(event, now_s)
            case HitsServed():
                self._count_hits(event, now_s)
            case FillProgress():
                self._fills.progress(event, now_s)
            case FillHeaders():
                self._responses.headers(event, now_s)
            case FillEnded():
                self._fills.ended(event, now_s)
            case FillFailed():
                self._fills.failed(event, now_s)
            case ResponseEnded(request_id=request_id, sent_bytes=sent_bytes):
                if self._ledger.close(request_id, sent_bytes, now_s):
                    self._fills.request_over(request_id)
            case ClientLeft(request_id=request_id, sent_bytes=sent_bytes):
                if self._ledger.close(request_id, sent_bytes, now_s):
                    self._fills.client_left(request_id, now_s)
            case Restored(objects=objects):
                self._residents.restore(objects, now_s)
            case ObjectLost(object_id=object_id):
                self._residents.lose(object_id, now_s)
            case _:
                pass
        self._settle(now_s)

    def advance(self, now_s: float) -> None:
        self._residents.advance(now_s)
        self._settle(now_s)

    def deadline_s(self) -> float | None:
        return self._residents.deadline_s()

    def drain(self) -> list[Effect]:
        return self._effects.drain()

    def status(self, now_s: float) -> EdgeStatus:
        """All figures as of now."""
        return snapshot(
            self._config,
            uptime_s=now_s - self._started_s,
            is_draining=self._is_draining,
            counters=self._counters,
            ledger=self._ledger,
            open_fills=self._open,
            residents=self._residents,
            watching=Watching(),
        )

    def _settle(self, now_s: float) -> None:
        """Until nothing is left to pass on between the parts."""
        while asks := self._open.take_resubmitted():
            for ask in asks:
                self._router.route(ask, now_s)
        self._open.take_outcomes()

    def _count_hits(self, event: HitsServed, now_s: float) -> None:
        self._counters.hits_dropped += event.dropped
        for hit in event.hits:
            used_bytes = 0
            if hit.sent_bytes:
                used_bytes = self._residents.touch(hit.object_id, now_s)
            self._ledger.hit(
                self._reader.url(hit.target),
                hit.sent_bytes,
                at_s=hit.at_s,
                is_prefetched=used_bytes > 0,
            )
