"""The price of an offer: what the settings say, and what this edge has measured."""

from __future__ import annotations

from edge.config import PrefetchConfig
from edge.prefetch.backhaul import Backhaul
from edge.prefetch.displaced import Displaced
from edge.prefetch.hours import Hours
from edge.prefetch.market import Offer
from edge.prefetch.trust import Trust
from edge.prefetch.value import USES, Worth, hold_cost, together, worth


class Prices:
    """Gives each offer its worth."""

    def __init__(
        self,
        config: PrefetchConfig,
        *,
        hours: Hours,
        trust: Trust,
        displaced: Displaced,
        backhaul: Backhaul,
    ) -> None:
        self._config = config
        self._hours = hours
        self._trust = trust
        self._displaced = displaced
        self._backhaul = backhaul
        self._by_settings = hold_cost(config)

    def __call__(self, offer: Offer, now_s: float) -> Worth:
        """For who wants it most; used as soon as one of them uses it."""
        wants = tuple(offer.wants.values())
        uses = {want.use for _, want in wants}
        use = next(use for use in USES if use in uses)
        # One viewer may want it for several reasons, and is one viewer nevertheless.
        chances: dict[str, float] = {}
        for plan, want in wants:
            chance = plan.chance * want.share * self._trust.factor(plan.source, now_s)
            chances[plan.viewer_key] = max(chance, chances.get(plan.viewer_key, 0.0))
        return worth(
            self._config,
            together(chances.values()),
            use,
            cost_now=self._hours.tariff(now_s).cost_now,
            held_cost=self._displaced.hold_cost(self._config.cost_peak, self._by_settings),
            load=max(
                self._backhaul.load(want.rate_kbps) if want.load is None else want.load
                for _, want in wants
            ),
        )
