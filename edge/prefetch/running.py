"""The prefetches on their way, and when one of them is given up.

What no plan has a use for any more is cancelled (its viewer left, or went to another title or
rung), and what is not worth its bytes any more by far; but not what is nearly here, and not what
its viewer is about to ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from edge.open_fills import OpenFills
from edge.prefetch.market import Market, Offer
from edge.prefetch.plans import Plan, Want

NEARLY_DONE: Final = 0.6
"""Of a fetch that turned out pointless: from there on the rest is cheaper than the regret."""

REGRET: Final = 0.25
"""A fetch is given up when a byte of it is worth so much less than nothing: forecasts waver, and
one that wavers about its threshold must not start and stop a fetch each time."""

CHECK_S: Final = 0.1
"""How often what is running is looked at; something happens a thousand times as often."""


class _Fetch(msgspec.Struct, frozen=True):
    """One, and for whom."""

    url: str
    size_bytes: int
    wants: dict[str, tuple[Plan, Want]]
    """By the plan's name."""
    is_kept: bool = False


class Running:
    """Those that the planner has started, by fill."""

    def __init__(self, market: Market, open_fills: OpenFills) -> None:
        self._market = market
        self._open = open_fills
        self._fetches: dict[int, _Fetch] = {}
        self._check_s = float("-inf")

    @property
    def expected_bytes(self) -> int:
        """Of all of them."""
        return sum(fetch.size_bytes for fetch in self._fetches.values())

    def started(self, fill_id: int, offer: Offer) -> None:
        _, want = offer.first
        self._fetches[fill_id] = _Fetch(offer.url, want.size_bytes, dict(offer.wants))

    def ended(self, fill_id: int) -> tuple[str, ...] | None:
        """The plans it was for. None: it was none of ours."""
        fetch = self._fetches.pop(fill_id, None)
        return tuple(fetch.wants) if fetch is not None else None

    def keep(self, plan_name: str) -> None:
        """This plan has come true: what is on its way for it is about to be asked for."""
        for fill_id, fetch in self._fetches.items():
            if plan_name in fetch.wants:
                self._fetches[fill_id] = msgspec.structs.replace(fetch, is_kept=True)

    def check(self, plans: Mapping[str, Plan], now_s: float) -> None:
        """Cancel what turned out pointless, or not worth it by far. `plans`: those there are."""
        if now_s < self._check_s:
            return
        self._check_s = now_s + CHECK_S
        for fill in self._open.prefetches():
            fetch = self._fetches.get(fill.fill_id)
            if fetch is None or fetch.is_kept:
                continue
            if fill.received_bytes >= NEARLY_DONE * (fill.size_bytes or fetch.size_bytes):
                continue
            wants = {
                name: (plan, want)
                for name, (plan, want) in fetch.wants.items()
                if plans.get(name) is plan and plan.wants(fetch.url)
            }
            if not wants:
                self._open.cancel(fill, "nobody needs it any more", now_s)
            elif self._market.price(fetch.url, wants, now_s).value < -REGRET:
                self._open.cancel(fill, "it is not worth it any more", now_s)
