"""Fetching ahead what is worth it, within what the link and the store have to spare.

Sources make plans (edge.prefetch.plans), the market weighs what they want (edge.prefetch.market).
Whenever something has happened, `balance` brings the running prefetches in line with these rules:

    demand first   while a client waits for upstream, running prefetches are paused and none starts
    the budget     no more than its rate on average and its bytes a day, few at a time
    the store      no more than prefetched objects may take; nothing useful is pushed out for them
    value first    of what is worth its bytes, what is worth most for each byte
    no regrets     what no plan has a use for any more is cancelled, unless it is nearly here; what
                   has begun is not given up for something a little better

Viewers share by URL: what one plan has fetched, another finds settled. A plan ends with its reason:
its viewer starts the successor (from then on it is demand), goes away, or upstream does not allow
storing.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from edge.config import PrefetchConfig
from edge.fill import FillOutcome
from edge.fills import Fills
from edge.ledger import Ledger
from edge.open_fills import OpenFills
from edge.prefetch.accounts import Accounts
from edge.prefetch.budget import Budget
from edge.prefetch.expectations import Expectations
from edge.prefetch.market import Market, Offer
from edge.prefetch.plans import Plan
from edge.prefetch.running import Running
from edge.prefetch.shelf import Shelf

REST_S: Final = 1.0
"""How long a plan with nothing to do is not looked at, unless something happens to it: with
thousands of them, looking at all whenever a fill ends would cost more than the fill."""


class Planner:
    """Starts, pauses and ends prefetches."""

    def __init__(
        self,
        config: PrefetchConfig,
        *,
        shelf: Shelf,
        market: Market,
        budget: Budget,
        accounts: Accounts,
        expectations: Expectations,
        ledger: Ledger,
        open_fills: OpenFills,
        fills: Fills,
    ) -> None:
        self._config = config
        self._shelf = shelf
        self._market = market
        self._budget = budget
        self._accounts = accounts
        self._expectations = expectations
        self._ledger = ledger
        self._open = open_fills
        self._fills = fills
        self._plans: OrderedDict[str, Plan] = OrderedDict()  # oldest first
        self._foreseen: OrderedDict[str, None] = (
            OrderedDict()
        )  # of these, all that nobody else bounds
        self._due: OrderedDict[str, None] = OrderedDict()  # plans to look at
        self._resting: OrderedDict[str, float] = OrderedDict()  # plans to look at again then
        self._running = Running(market, open_fills)
        self._order_no = 0
        self._is_stirred = False
        self._is_stopped = not config.enabled

    def __len__(self) -> int:
        return len(self._plans)

    # -- plans come and go

    def plan(self, name: str) -> Plan | None:
        return self._plans.get(name)

    def plans(self) -> tuple[Plan, ...]:
        """Oldest first."""
        return tuple(self._plans.values())

    def put(self, plan: Plan) -> None:
        """A plan is new, or has changed."""
        if self._is_stopped:
            return
        if plan.name not in self._plans:
            self._order_no += 1
            plan.order_no = self._order_no
            self._plans[plan.name] = plan
            if not plan.is_bounded:
                self._foreseen[plan.name] = None
                if len(self._foreseen) > self._config.plans_max:
                    self.end(next(iter(self._foreseen)))
        self.look_at(plan.name)

    def nudge(self, plan: Plan) -> None:
        """A plan may have moved on; if it wanted nothing a moment ago, it can wait for its turn."""
        if plan.name in self._resting:
            self.stir()
        elif plan.name not in self._due:
            self.put(plan)

    def end(self, name: str) -> None:
        """Nobody needs what is left of this plan."""
        if self._plans.pop(name, None) is not None:
            self._foreseen.pop(name, None)
            self._market.withdraw(name)
            self._due.pop(name, None)
            self._resting.pop(name, None)
            self.stir()

    def fulfil(self, name: str) -> None:
        """It came true: what is on its way for it is about to be asked for."""
        self._running.keep(name)
        self.end(name)

    def look_at(self, name: str) -> None:
        """Something happened to a plan: it may want something else."""
        if name in self._plans:
            self._resting.pop(name, None)
            self._due[name] = None
            self.stir()

    def stop(self, now_s: float) -> None:
        """The node is about to end: nothing of its own accord any more."""
        self._is_stopped = True
        for name in tuple(self._plans):
            self.end(name)
        for fill in self._open.prefetches():
            self._open.cancel(fill, "draining", now_s)

    # -- what happens

    def stir(self) -> None:
        """Something changed: there may be something to fetch now."""
        self._is_stirred = True

    def learned(self) -> None:
        """A manifest was read: who waited for it can go on."""
        for name in tuple(self._resting):
            self.look_at(name)
        self.stir()

    def received(self, size_bytes: int, now_s: float) -> None:
        """So much has arrived that nobody asked for."""
        if size_bytes:
            self._budget.charge(size_bytes, now_s)

    def ended(self, outcome: FillOutcome, now_s: float) -> None:
        """A fill is over."""
        self.stir()
        names = self._running.ended(outcome.fill_id)
        if names is None:
            return
        self._accounts.ended(outcome, now_s)
        for name in names:
            self.look_at(name)
        if outcome.result in ("stored", "not_modified"):
            return
        if outcome.result == "cancelled" and not outcome.was_barred:
            return  # by ourselves
        self._shelf.leave_alone(outcome.url, now_s)
        is_hopeless = outcome.result in ("not_stored", "cancelled")
        for name in names:
            plan = self._plans.get(name)
            if plan is not None and (is_hopeless or outcome.url == plan.about_url):
                self.end(name)

    def unreadable(self, url: str) -> None:
        """What was fetched as a manifest is none: its title cannot be fetched ahead."""
        for plan in self.plans():
            if plan.about_url == url:
                self.end(plan.name)

    # -- what is done

    def balance(self, now_s: float) -> None:
        """Bring what is running in line with the rules above."""
        if not self._is_stirred and not self._open.has_prefetches:
            return
        self._running.check(self._plans, now_s)
        prefetches = self._open.prefetches()
        must_wait = self._must_wait() or self._budget.is_dry(now_s)
        for fill in prefetches:
            if must_wait:
                self._open.pause(fill, now_s)
            else:
                self._open.resume(fill, now_s)
        if must_wait or self._is_stopped:
            return
        running_count = len(prefetches)
        while self._is_stirred and running_count < self._config.in_flight_max:
            if self._open.is_full or not self._start_next(now_s):
                self._is_stirred = False
            else:
                running_count += 1

    def deadline_s(self, now_s: float) -> float | None:
        """When the budget lets something go on."""
        if not self._is_stirred and not self._open.has_prefetches:
            return None
        if self._is_stopped or self._must_wait() or not self._budget.is_dry(now_s):
            return None
        return self._budget.ready_s(now_s)

    def waits_for(self, now_s: float) -> str | None:
        """Why nothing starts at the moment, in words; None: something could."""
        if self._is_stopped:
            return "prefetching is off" if not self._config.enabled else "the node is stopping"
        if self._must_wait():
            return "clients wait for upstream, and come first"
        if self._budget.is_dry(now_s):
            return "the budget"
        if len(self._open.prefetches()) >= self._config.in_flight_max:
            return "a prefetch that is running"
        return None

    def _must_wait(self) -> bool:
        return self._open.demand_count > 0 or self._ledger.pass_count > 0

    def _start_next(self, now_s: float) -> bool:
        self._look_around(now_s)
        while True:
            offer, runner_up = self._market.best(
                now_s, lambda offer: self._is_possible(offer, now_s)
            )
            if offer is None:
                return False
            # What it was wanted for may have happened meanwhile, or its viewer may have switched.
            changed = [plan for plan, want in offer.wants.values() if plan.next_want(now_s) != want]
            for plan in changed:
                self._look_at(plan, now_s)
            if not changed:
                self._start(offer, runner_up, now_s)
                return True

    def _start(self, offer: Offer, runner_up: Offer | None, now_s: float) -> None:
        plan, _ = offer.first
        until_s = self._shelf.until_s(now_s)
        fill_id = self._fills.prefetch(offer.url, plan.headers, until_s, now_s)
        self._running.started(fill_id, offer)
        self._expectations.fetching(offer, now_s)
        self._accounts.started(offer, runner_up, now_s)
        for name in tuple(offer.wants):
            self._market.withdraw(name)
            self.look_at(name)

    def _is_possible(self, offer: Offer, now_s: float) -> bool:
        _, want = offer.first
        return self._open.upstreams.is_well(offer.url) and self._shelf.has_room(
            offer.url, self._running.expected_bytes + want.size_bytes, now_s
        )

    def _look_around(self, now_s: float) -> None:
        """Ask the plans whose turn it is what they want."""
        while self._resting:
            name, until_s = next(iter(self._resting.items()))
            if until_s > now_s:
                break
            del self._resting[name]
            self._due[name] = None
        while self._due:
            name, _ = self._due.popitem(last=False)
            self._look_at(self._plans[name], now_s)

    def _look_at(self, plan: Plan, now_s: float) -> None:
        want = plan.next_want(now_s)
        if want is None:
            self._market.withdraw(plan.name)
            self._resting.pop(plan.name, None)
            self._resting[plan.name] = now_s + REST_S
        else:
            self._accounts.offered(self._market.put(plan, want), now_s)
