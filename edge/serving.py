"""How requests are answered: from the store, by fetches that equal requests share, or past both.

    Requested ----> router --> desk (answers), fills (misses)
    Fill* events -> fill_course --> responses, residents, desk

This wires those parts and tells each what concerns it. Whoever foresees what viewers will want, or
follows a plan, asks `fills` like any request, and is told by `accounts` what became of it.
"""

from __future__ import annotations

from edge.config import EdgeConfig
from edge.desk import Desk
from edge.effects import Effect
from edge.events import (
    ClientLeft,
    Event,
    FillBlocked,
    FillEnded,
    FillFailed,
    FillHeaders,
    FillInterim,
    FillProgress,
    ObjectLost,
    PassAnswered,
    Purge,
    ResponseEnded,
)
from edge.fill_accounts import FillAccounts
from edge.fill_course import FillCourse
from edge.fills import Fills
from edge.hops import Hops
from edge.ledger import Ledger
from edge.open_fills import OpenFills
from edge.passes import Passes
from edge.purge import Purges
from edge.requests import Reader
from edge.residents import Residents
from edge.response_rules import ResponseRules
from edge.responses import Responses
from edge.router import Router
from edge.services import Services
from edge.status import Counters
from edge.uncacheable import Uncacheable
from edge.upstreams import Upstreams
from nearcast.machine import EffectQueue, soonest
from nearcast.record import Recorder


class Serving:
    """The cache of one node."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        epoch_s: float,
        services: Services,
        effects: EffectQueue[Effect],
        counters: Counters,
        recorder: Recorder,
        hops: Hops,
    ) -> None:
        self._services = services
        self.reader = Reader(services, target_length_max=config.server.target_length_max, hops=hops)
        self.ledger = Ledger(effects=effects, counters=counters, recorder=recorder)
        self._rules = ResponseRules(config.http, services)
        self.residents = residents = Residents(
            config, rules=self._rules, effects=effects, counters=counters, recorder=recorder
        )
        self._desk = desk = Desk(
            config,
            epoch_s=epoch_s,
            effects=effects,
            ledger=self.ledger,
            residents=residents,
            counters=counters,
        )
        self._upstreams = Upstreams(config.http, counters)
        self.accounts = FillAccounts(counters, recorder)
        self.open_fills = open_fills = OpenFills(
            config,
            epoch_s=epoch_s,
            effects=effects,
            upstreams=self._upstreams,
            accounts=self.accounts,
        )
        self._uncacheable = uncacheable = Uncacheable(config.http.uncacheable_s)
        self._responses = Responses(
            config,
            epoch_s=epoch_s,
            open_fills=open_fills,
            desk=desk,
            residents=residents,
            counters=counters,
            uncacheable=uncacheable,
            rules=self._rules,
        )
        self.fills = Fills(
            config,
            open_fills=open_fills,
            responses=self._responses,
            desk=desk,
            residents=residents,
            counters=counters,
            services=services,
        )
        self._course = FillCourse(
            config,
            effects=effects,
            open_fills=open_fills,
            accounts=self.accounts,
            responses=self._responses,
            desk=desk,
            residents=residents,
            counters=counters,
            uncacheable=uncacheable,
        )
        self._passes = Passes(
            epoch_s=epoch_s, services=services, residents=residents, open_fills=open_fills
        )
        self.router = Router(
            config,
            epoch_s=epoch_s,
            reader=self.reader,
            ledger=self.ledger,
            desk=desk,
            residents=residents,
            open_fills=open_fills,
            fills=self.fills,
            passes=self._passes,
            uncacheable=uncacheable,
        )
        self._purges = Purges(
            epoch_s=epoch_s,
            effects=effects,
            services=services,
            residents=residents,
            open_fills=open_fills,
            counters=counters,
            recorder=recorder,
        )

    def handle(self, event: Event, now_s: float) -> bool:
        """Whether this is of responses, fetches or stored objects; what arrives is for `arrived`,
        and what is asked for for the router."""
        match event:
            case ResponseEnded(request_id=request_id, sent_bytes=sent_bytes):
                if self.ledger.close(request_id, sent_bytes, now_s):
                    self._course.request_over(request_id, now_s)
            case ClientLeft(request_id=request_id, sent_bytes=sent_bytes):
                if self.ledger.close(request_id, sent_bytes, now_s):
                    self._course.client_left(request_id, now_s)
            case FillHeaders():
                self._course.headers(event, now_s)
            case FillFailed():
                self._course.failed(event, now_s)
            case FillInterim():
                self._course.interim(event, now_s)
            case FillBlocked():
                self._course.blocked(event, now_s)
            case PassAnswered():
                self._passes.answered(event, now_s)
            case ObjectLost(object_id=object_id):
                self.residents.lose(object_id, now_s)
            case Purge():
                self._purges.begin(event, now_s)
            case _:
                return False
        return True

    def arrived(self, event: FillProgress | FillEnded, now_s: float) -> int:
        """How many bytes have come that nobody had asked for yet."""
        if isinstance(event, FillProgress):
            return self._course.progress(event, now_s)
        return self._course.ended(event, now_s)

    def reconfigure(self, config: EdgeConfig) -> None:
        """Go by these settings from now on. What is stored is judged anew by `sweep`, when
        all the node has them."""
        self.reader.target_length_max = config.server.target_length_max
        self._uncacheable.lifetime_s = config.http.uncacheable_s
        self._rules.reconfigure(config.http)
        self._upstreams.reconfigure(config.http)
        for part in (
            self._desk,
            self.open_fills,
            self.fills,
            self._course,
            self._responses,
            self.router,
        ):
            part.reconfigure(config)

    def sweep(self, now_s: float) -> None:
        """Judge anew what is stored, by other settings."""
        self._purges.sweep(now_s)

    def advance(self, now_s: float) -> None:
        self.residents.advance(now_s)
        self._course.advance(now_s)
        self._purges.advance(now_s)

    def deadline_s(self, now_s: float) -> float | None:
        return soonest(
            self.residents.deadline_s(),
            self._course.deadline_s(),
            self._purges.deadline_s(now_s),
        )

    def settle(self, now_s: float) -> None:
        """Route again who waited for something that does not answer him."""
        while asks := self.open_fills.take_resubmitted():
            for ask in asks:
                self.router.route(ask, now_s)

    def is_cut_off(self, now_s: float) -> bool:
        """Whether there is nothing to serve: nothing is stored, and no upstream may be asked."""
        return len(self.residents) == 0 and self._upstreams.are_failing(
            {
                f"{service.target.scheme}://{service.target.authority}"
                for service in self._services.all
            },
            now_s,
        )
