"""How requests are answered: from the store, by fetches that equal requests share, or past both.

    Requested ----> router --> desk (answers), fills (misses)
    Fill* events -> fill_course --> responses, residents, desk

This is the wiring of those parts. Whoever foresees what viewers will want, or follows a plan, asks
`fills` like any request, and is told by `accounts` what became of it.
"""

from __future__ import annotations

from edge.config import EdgeConfig
from edge.desk import Desk
from edge.effects import Effect
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
    """The cache of one node. Events go to the part that they concern."""

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
        self.course = FillCourse(
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
        self.passes = Passes(
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
            passes=self.passes,
            uncacheable=uncacheable,
        )
        self.purges = Purges(
            epoch_s=epoch_s,
            effects=effects,
            services=services,
            residents=residents,
            open_fills=open_fills,
            counters=counters,
            recorder=recorder,
        )

    def reconfigure(self, config: EdgeConfig) -> None:
        """Go by these settings from now on. What is stored is judged anew by `purges.sweep`, when
        all the node has them."""
        self.reader.target_length_max = config.server.target_length_max
        self._uncacheable.lifetime_s = config.http.uncacheable_s
        self._rules.reconfigure(config.http)
        self._upstreams.reconfigure(config.http)
        for part in (
            self._desk,
            self.open_fills,
            self.fills,
            self.course,
            self._responses,
            self.router,
        ):
            part.reconfigure(config)

    def advance(self, now_s: float) -> None:
        self.residents.advance(now_s)
        self.course.advance(now_s)
        self.purges.advance(now_s)

    def deadline_s(self, now_s: float) -> float | None:
        return soonest(
            self.residents.deadline_s(),
            self.course.deadline_s(),
            self.purges.deadline_s(now_s),
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
