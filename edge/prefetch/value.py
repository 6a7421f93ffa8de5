"""What a prefetched byte is worth, and from which probability on it is worth fetching.

For an object of S bytes whose use before eviction has probability p:

    gained when it is used     p * (V + S * c_peak)     a warm start, and no fetch at a busy time
    spent in any case          S * c_now + S * T * d    the fetch now, and the room it takes

with V what a warm object is worth to its viewer, c_now and c_peak the price of a byte on the
backhaul now and when it would be asked for, T how long it is kept and d what the coldest resident
byte would have earned in that time. Prefetching pays from

    p* = (c_now + T * d) / (c_peak + V / S)

on. Settings give V per byte (`startup_value`), so that one threshold holds for objects of any size.
The defaults give 0.48: just below even, as a start-up without waiting is worth a little more than
the bytes. It needs calibrated probabilities: the model's are, on viewers it has not seen.
Where an object is as likely to be used as not, that is worth it; where rather not, it is not.
"""

from __future__ import annotations

from edge.config import PrefetchConfig

_S_PER_H = 3600.0


def threshold(config: PrefetchConfig) -> float:
    """The least probability at which prefetching pays, 0..1."""
    if config.threshold is not None:
        return config.threshold
    hold_cost = config.lifetime_s / _S_PER_H * config.hold_cost_per_h
    return min((config.cost_now + hold_cost) / (config.cost_peak + config.startup_value), 1.0)
