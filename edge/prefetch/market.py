"""What the plans want next, weighed against each other.

Each plan has at most one offer open: the object that it wants next. Plans that want the same object
share the offer, and its probability is that any of their viewers uses it; so one fetch serves them
all, and what several are about to watch comes before what one is. Offers are served by value for
each byte, not by size or age: a byte of the budget goes where it is worth most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from edge.prefetch.plans import Plan, Want
from edge.prefetch.value import Worth

PRICED_S: Final = 1.0
"""How long a price holds. What it depends on changes slowly, and there may be thousands."""

_ORDER: Final = {"start": 3, "next": 2, "head": 1, "rest": 0}


class Offer:
    """One object that plans want next."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.wants: dict[str, tuple[Plan, Want]] = {}
        """By the plan's name, oldest first."""
        self.worth: Worth | None = None
        self.priced_until_s = float("-inf")

    @property
    def first(self) -> tuple[Plan, Want]:
        """Who wanted it first."""
        return next(iter(self.wants.values()))


class Market:
    """The open offers."""

    def __init__(self, price: Callable[[Offer, float], Worth]) -> None:
        self._price = price
        self._offers: dict[str, Offer] = {}
        self._url_of: dict[str, str] = {}  # plan -> what it wants

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
        offer.priced_until_s = float("-inf")
        return offer

    def withdraw(self, plan_name: str) -> None:
        """The plan wants nothing for now."""
        url = self._url_of.pop(plan_name, None)
        if url is None:
            return
        offer = self._offers[url]
        del offer.wants[plan_name]
        offer.priced_until_s = float("-inf")
        if not offer.wants:
            del self._offers[url]

    def worth(self, offer: Offer, now_s: float) -> Worth:
        if offer.worth is None or now_s >= offer.priced_until_s:
            offer.worth = self._price(offer, now_s)
            offer.priced_until_s = now_s + PRICED_S
        return offer.worth

    def price(self, url: str, wants: dict[str, tuple[Plan, Want]], now_s: float) -> Worth:
        """What it would be worth to these plans."""
        offer = Offer(url)
        offer.wants = wants
        return self._price(offer, now_s)

    def best(
        self, now_s: float, is_possible: Callable[[Offer], bool]
    ) -> tuple[Offer | None, Offer | None]:
        """The offer that is worth most of those that are worth anything and possible, and the next
        best. Equal ones in the order of their plans."""
        best: tuple[tuple[float, int, int], Offer] | None = None
        second: tuple[tuple[float, int, int], Offer] | None = None
        for offer in self._offers.values():
            value = self.worth(offer, now_s).value
            if value <= 0:
                continue
            plan, want = offer.first
            rank = (value, _ORDER[want.use], -plan.order_no)
            if second is not None and rank <= second[0]:
                continue
            if not is_possible(offer):
                continue
            if best is None or rank > best[0]:
                best, second = (rank, offer), best
            else:
                second = rank, offer
        return (best[1] if best else None), (second[1] if second else None)
