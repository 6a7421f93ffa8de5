"""What a prefetched byte is worth, and from which probability on it is worth fetching.

For an object of S bytes whose use before it is let go has probability p, in units of fetching one
byte now:

    gained when it is used     p * S * (c_peak + v)     no fetch at a busy time, and less waiting
    spent in any case          S * (c_now + h)          the fetch now, and what it displaces

`v` is what a warm byte is worth to its viewer. A start-up waits for the first `start_s` seconds and
nothing else, so the worth of a warm start (`startup_value` on each of the first `head_s` seconds)
is concentrated there: that is why heads come first without a rule that says so. Later bytes save a
stall, the likelier the less faster the backhaul is than the picture (`load`, 0..1), so there
`v` is `stall_value * (1 + load)`. `h` is what the room would have earned (edge.prefetch.displaced).
Prefetching pays from

    p* = (c_now + h) / (c_peak + v)

on. The defaults give 0.48 for a title and 0.11 for its first four seconds: as a start-up without
waiting is worth a little more than the bytes, a title has to be about as likely as not, and its
few first bytes need not. It takes calibrated probabilities: the model's are, and what a source is
worth beyond its word is measured (edge.prefetch.trust).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from edge.config import PrefetchConfig
from nearcast.units import HOUR_S

Use = Literal["start", "head", "rest", "next"]
"""start: what a start-up waits for. head: the first half minute or so. rest: all after that. next:
what somebody who is watching asks for in a moment."""

USES: Final[tuple[Use, ...]] = ("start", "next", "head", "rest")
"""Most urgent first: an object that is wanted for several uses counts as the first of them."""


class Worth(msgspec.Struct, frozen=True, kw_only=True):
    """Of one byte, in fetches of a byte now."""

    use: Use
    """That it is priced for."""
    probability: float
    """That it is used before it is let go."""
    gain: float
    """If it is."""
    cost: float
    """In any case."""

    @property
    def value(self) -> float:
        return self.probability * self.gain - self.cost

    @property
    def threshold(self) -> float:
        """The least probability at which it pays, 0..1."""
        return min(self.cost / self.gain, 1.0) if self.gain > 0 else 1.0


def worth(
    config: PrefetchConfig,
    probability: float,
    use: Use,
    *,
    cost_now: float | None = None,
    held_cost: float | None = None,
    load: float = 0.0,
) -> Worth:
    """`cost_now` and `held_cost` of a byte: the settings' when they are not given."""
    now = config.cost_now if cost_now is None else cost_now
    if use == "next":
        # It is fetched in a moment in any case, at the same price, and takes no room until then.
        gain = now + config.stall_value * load
        return Worth(use=use, probability=probability, gain=gain, cost=now)
    if use == "start":
        gain = config.cost_peak + config.startup_value * max(config.head_s / config.start_s, 1.0)
    elif use == "head":
        gain = config.cost_peak + config.startup_value * (1.0 + load)
    else:
        gain = config.cost_peak + config.stall_value * (1.0 + load)
    if config.threshold is not None:
        cost = config.threshold * (config.cost_peak + config.startup_value)
    else:
        cost = now + (hold_cost(config) if held_cost is None else held_cost)
    return Worth(use=use, probability=probability, gain=gain, cost=cost)


def threshold(config: PrefetchConfig, use: Use = "head") -> float:
    """The least probability at which prefetching pays by the settings alone, 0..1."""
    return worth(config, 0.0, use).threshold


def together(probabilities: Iterable[float]) -> float:
    """That at least one of several viewers uses it, each for itself."""
    unused = 1.0
    for probability in probabilities:
        unused *= 1.0 - probability
    return 1.0 - unused


def hold_cost(config: PrefetchConfig) -> float:
    """What keeping a byte costs by the settings."""
    return config.lifetime_s / HOUR_S * config.hold_cost_per_h
