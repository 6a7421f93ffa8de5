"""Keeps the books of prefetching: what was decided from which grounds, and what came of it.

Each prefetched object is booked to the source that wanted it, until a client asks for it or it is
let go; then the source's trust is told, and the object's story has its end.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import msgspec

from edge.fill import FillOutcome
from edge.prefetch.backhaul import Backhaul
from edge.prefetch.book import Book, Grounds, State
from edge.prefetch.budget import Budget
from edge.prefetch.displaced import Displaced
from edge.prefetch.hours import Hours
from edge.prefetch.market import Market, Offer
from edge.prefetch.plans import Source
from edge.prefetch.trust import Trust
from edge.residents import News

BOOKED_MAX: Final = 100_000
"""Prefetched objects whose fate is awaited; one pushed out is not counted for its source."""


class _Booked(msgspec.Struct, frozen=True):
    source: Source
    probability: float
    """As the source said: what it is held to."""
    size_bytes: int


class Accounts:
    """What prefetching did, for those who ask and for what it does next."""

    def __init__(
        self,
        *,
        market: Market,
        budget: Budget,
        hours: Hours,
        trust: Trust,
        displaced: Displaced,
        backhaul: Backhaul,
        book: Book,
    ) -> None:
        self._market = market
        self._budget = budget
        self._hours = hours
        self._trust = trust
        self._displaced = displaced
        self._backhaul = backhaul
        self._book = book
        self._booked: OrderedDict[str, _Booked] = OrderedDict()

    def offered(self, offer: Offer, now_s: float) -> None:
        """A plan wants this object next."""
        worth = self._market.worth(offer, now_s)
        state: State = "queued" if worth.value > 0 else "refused"
        story = self._book.story(offer.url)
        if story is None or story.state != state:
            self._book.decide(offer.url, self._grounds(offer, None, now_s), state, now_s)

    def started(self, offer: Offer, runner_up: Offer | None, now_s: float) -> None:
        """It is being fetched, and not `runner_up`."""
        grounds = self._grounds(offer, runner_up, now_s)
        self._book.decide(offer.url, grounds, "fetching", now_s)
        plan, want = offer.first_for(self._market.worth(offer, now_s).use)
        self._booked.pop(offer.url, None)
        self._booked[offer.url] = _Booked(plan.source, plan.chance * want.share, want.size_bytes)
        if len(self._booked) > BOOKED_MAX:
            self._booked.popitem(last=False)

    def ended(self, outcome: FillOutcome, now_s: float) -> None:
        """A prefetch is over."""
        booked = self._booked.get(outcome.url)
        if booked is not None and outcome.received_bytes:
            booked = self._booked[outcome.url] = msgspec.structs.replace(
                booked, size_bytes=outcome.received_bytes
            )
        if outcome.was_joined:
            self._resolve(outcome.url, now_s, is_used=True)
        elif outcome.result in ("stored", "not_modified"):
            self._book.follow(outcome.url, "held", now_s)
        else:
            self._book.follow(outcome.url, "dropped", now_s, outcome.detail or outcome.result)
            if outcome.received_bytes:
                self._resolve(outcome.url, now_s, is_used=False, is_told=True)
            self._booked.pop(outcome.url, None)

    def demanded(self, outcome: FillOutcome, now_s: float) -> None:
        """A fetch that clients had asked for is over."""
        self._book.asked(outcome.url, now_s)
        self._displaced.fetched(outcome.url, now_s)
        if outcome.result == "stored":
            self._backhaul.learn(outcome.received_bytes, outcome.took_s)

    def heard(self, news: Iterable[News], now_s: float) -> None:
        """What became of stored objects."""
        for one in news:
            if one.what == "evicted":
                self._displaced.evicted(one.url, one.size_bytes, now_s)
            else:
                self._resolve(one.url, now_s, is_used=one.what == "used")

    def _resolve(self, url: str, now_s: float, *, is_used: bool, is_told: bool = False) -> None:
        booked = self._booked.pop(url, None)
        if booked is None:
            return
        self._trust.resolved(
            booked.source, booked.probability, booked.size_bytes, now_s, is_used=is_used
        )
        if not is_told:
            self._book.follow(url, "used" if is_used else "wasted", now_s)

    def _grounds(self, offer: Offer, runner_up: Offer | None, now_s: float) -> Grounds:
        worth = self._market.worth(offer, now_s)
        plan, want = offer.first_for(worth.use)
        return Grounds(
            source=plan.source,
            about_url=plan.about_url,
            use=worth.use,
            size_bytes=want.size_bytes,
            viewer_count=len({one.viewer_key for one, _ in offer.wants.values()}),
            said=plan.probabilities,
            chance=worth.probability,
            trust=self._trust.factor(plan.source, now_s),
            gain=worth.gain,
            cost=worth.cost,
            value=worth.value,
            threshold=worth.threshold,
            budget=self._budget.describe(now_s),
            tariff=self._hours.tariff(now_s).name,
            runner_up_url=runner_up.url if runner_up is not None else None,
            runner_up_value=(
                self._market.worth(runner_up, now_s).value if runner_up is not None else None
            ),
        )
