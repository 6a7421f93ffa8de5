"""What the plans want next, weighed against each other.

Each plan has at most one offer open: the object that it wants next. Plans that want the same object
share the offer, and its probability is that any of their viewers uses it; so one fetch serves them
all, and what several are about to watch comes before what one is. Offers are served by value for
each byte, not by size or age: a byte of the budget goes where it is worth most.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from typing import Final

from edge.prefetch.plans import Plan, Want
from edge.prefetch.value import USES, Use, Worth

PRICED_S: Final = 5.0
"""How long a price holds, unless other plans come to want the object. What it depends on changes
slowly, and there may be thousands."""

LOOKED_AT_MAX: Final = 64
"""Offers that are not possible for now: if so many are not, the store is full or upstream ill."""


Rank = tuple[float, int, int, int, str]
"""Least first: by value, use, the plan's age; then by when it was ranked, which tells it apart from
the ranks it had before. Last the URL."""


class Offer:
    """One object that plans want next."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.wants: dict[str, tuple[Plan, Want]] = {}
        """By the plan's name, oldest first."""
        self.worth: Worth | None = None
        self.ranked_no = 0

    @property
    def first(self) -> tuple[Plan, Want]:
        """Who wanted it first."""
        return next(iter(self.wants.values()))

    def first_for(self, use: Use) -> tuple[Plan, Want]:
        """Who first wanted it for this use."""
        return next(one for one in self.wants.values() if one[1].use == use)


class Market:
    """The open offers."""

    def __init__(self, price: Callable[[Offer, float], Worth]) -> None:
        self._price = price
        self._offers: dict[str, Offer] = {}
        self._url_of: dict[str, str] = {}  # plan -> what it wants
        # Offers that are worth something, in order. Ranks that do not hold any more stay until
        # they surface or outnumber the others.
        self._ranks: list[Rank] = []
        self._ranked_no = 0
        self._unranked: dict[str, None] = {}
        self._ranked_until_s = float("-inf")

    def __len__(self) -> int:
        return len(self._offers)

    def get(self, url: str) -> Offer | None:
        return self._offers.get(url)

    def put(self, plan: Plan, want: Want) -> Offer:
        """The plan wants this next, and nothing else."""
        if self._url_of.get(plan.name) != want.url:
            self.withdraw(plan.name)
        offer = self._offers.get(want.url)
        if offer is None:
            offer = self._offers[want.url] = Offer(want.url)
        self._url_of[plan.name] = want.url
        offer.wants[plan.name] = plan, want
        self._change(offer)
        return offer

    def withdraw(self, plan_name: str) -> None:
        """The plan wants nothing for now."""
        url = self._url_of.pop(plan_name, None)
        if url is None:
            return
        offer = self._offers[url]
        del offer.wants[plan_name]
        self._change(offer)
        if not offer.wants:
            del self._offers[url]

    def worth(self, offer: Offer, now_s: float) -> Worth:
        if offer.worth is None:
            offer.worth = self._price(offer, now_s)
        return offer.worth

    def price(self, url: str, wants: Mapping[str, tuple[Plan, Want]], now_s: float) -> Worth:
        """What it would be worth to these plans."""
        offer = Offer(url)
        offer.wants = dict(wants)
        return self._price(offer, now_s)

    def best(
        self, now_s: float, is_possible: Callable[[Offer], bool]
    ) -> tuple[Offer | None, Offer | None]:
        """The offer that is worth most of those that are worth anything and possible, and the next
        best. Equal ones in the order of their plans."""
        self._rank(now_s)
        found: list[Offer] = []
        looked_at: list[Rank] = []
        while self._ranks and len(found) < 2 and len(looked_at) < LOOKED_AT_MAX:
            rank = heapq.heappop(self._ranks)
            offer = self._offers.get(rank[-1])
            if offer is None or offer.ranked_no != rank[3]:
                continue
            looked_at.append(rank)
            if is_possible(offer):
                found.append(offer)
        for rank in looked_at:
            heapq.heappush(self._ranks, rank)
        return (found[0] if found else None), (found[1] if len(found) > 1 else None)

    def _change(self, offer: Offer) -> None:
        """Its price and its rank do not hold any more."""
        offer.worth, offer.ranked_no = None, 0
        self._unranked[offer.url] = None

    def _rank(self, now_s: float) -> None:
        """Give their places to the offers that have none, and once in a while to all."""
        if now_s >= self._ranked_until_s or len(self._ranks) > 4 * len(self._offers) + 64:
            self._ranked_until_s = now_s + PRICED_S
            self._ranks.clear()
            for offer in self._offers.values():
                self._change(offer)
        for url in self._unranked:
            offer_of_url = self._offers.get(url)
            if offer_of_url is None:
                continue
            worth = self.worth(offer_of_url, now_s)
            if worth.value > 0:
                plan, _ = offer_of_url.first
                self._ranked_no += 1
                offer_of_url.ranked_no = self._ranked_no
                heapq.heappush(
                    self._ranks,
                    (-worth.value, USES.index(worth.use), plan.order_no, self._ranked_no, url),
                )
        self._unranked.clear()
