"""The value of playing on, by backward induction over rate level, buffer and rung.

The state before a segment is the level the link was at, the buffer, and the rung before. The next
level is drawn from the chain, the segment takes the time that level needs, a stall costs its
penalty, the rung earns its rate, less the change from the rung before. Two things keep the plan
from fearing what does not happen:

- A level lasts for `patience_s` of one transfer; what is left after that comes at the mean rate of
  the levels that follow. A link in trouble now is not in trouble until a whole large segment is
  through.
- A segment that would take longer than giving it up for the lowest rung counts as given up.

Behind the last step stands what a second of buffer is worth: rate it can be turned into, and
stalls it may spare. And a rung away from what the link sustains has the change to it ahead.

Arrays are (rungs, levels, n, buffers): the long axes are behind, so that each step of the recursion
over rungs and levels is one pass over contiguous memory. Source of the method: Yin et al., SIGCOMM
2015 (MPC for bitrates) and Yan et al., "Learning in situ", NSDI 2020 (value iteration over a
forecast distribution); the chain, patience and giving up are ours, measured in
docs/results/abr.md.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]

TRANSFER_S_MAX = 2000.0
"""Longer ones differ in nothing that matters."""
BUFFER_COUNT = 16
"""Buffer levels of the grid, closer together where the buffer is low: (i / 15) ** 2 of the limit.
With 26 even ones results are the same and the time is nearly double."""
PLACE_MAX = 2**24
"""Places in an array of values are reckoned in single precision, exact below this."""


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """What things cost, in Mbit/s of one segment."""

    stall: float
    """A second of stall."""
    switch: float
    """A Mbit/s of change."""
    buffer_share: float
    """Of what the link could turn a second of buffer into, at the horizon."""
    change_share: float
    """Of the change from the last rung to what the link sustains, at the horizon: it is still to
    come. Without it no plan is long enough to pay a dear change back."""
    reserve_s: float
    reserve_decay_s: float
    """At the horizon an empty buffer is worth `reserve_s` of stall less, falling with this."""
    patience_s: float
    giving_up_s: float
    """Lost when a segment is given up."""


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """What lies ahead of `n` sessions; one entry a step, the next segment first."""

    rates: Singles
    """(rungs,) Mbit/s."""
    durations_s: Singles
    """(n, steps)."""
    bits: Singles
    """(rungs, n, steps)."""
    bps: Singles
    """(levels, rungs or 1, n, steps): the rate at each level."""
    later_bps: Singles
    """The same: the mean rate that follows a step at each level."""
    latency_s: Singles
    """(n,)."""
    limit_s: Singles
    """(n,)."""
    is_end: bool
    """The title ends with the last step: what is then in the buffer is worth nothing more."""


class Scratch:
    """Memory that is used again and again: fresh arrays of this size cost as much, in pages the
    system hands out and takes back, as what is computed in them. What a call returns out of it
    lasts until the next call."""

    def __init__(self) -> None:
        self._floats: dict[str, Singles] = {}
        self._places: NDArray[np.intp] = np.empty(0, np.intp)

    def floats(self, name: str, shape: tuple[int, ...]) -> Singles:
        size = math.prod(shape)
        kept = self._floats.get(name)
        if kept is None or kept.size < size:
            kept = self._floats[name] = np.empty(size, np.float32)
        return kept[:size].reshape(shape)

    def places(self, shape: tuple[int, ...]) -> NDArray[np.intp]:
        size = math.prod(shape)
        if self._places.size < size:
            self._places = np.empty(size, np.intp)
        return self._places[:size].reshape(shape)


class Values:
    """What the state after the next segment is worth: `flat` is (rungs, levels, n, buffers)."""

    def __init__(self, values: Singles, limit_s: Singles, scratch: Scratch, name: str) -> None:
        assert values.size < PLACE_MAX
        self.shape = values.shape
        self.scale: Singles = grid_scale(limit_s)[:, None]  # (n, 1)
        self.flat: Singles = values.reshape(-1)
        slope = scratch.floats(f"slope {name}", values.shape)
        np.subtract(values[..., 1:], values[..., :-1], out=slope[..., :-1])
        slope[..., -1] = 0.0
        self.slope: Singles = slope.reshape(-1)
        # Where the buffers of each state begin in `flat`.
        first = np.arange(0, values.size, values.shape[-1], dtype=np.float32)
        self.first: Singles = first.reshape(*values.shape[:-1], 1)

    def at(self, buffer_s: Singles, scratch: Scratch) -> Singles:
        """Interpolated at `buffer_s` (rungs or 1, levels, n, b), which is overwritten."""
        place = np.multiply(buffer_s, self.scale, out=buffer_s)
        np.sqrt(place, out=place)
        np.minimum(place, np.float32(BUFFER_COUNT - 1), out=place)
        whole = np.floor(place, out=scratch.floats("whole", place.shape))
        place -= whole
        whole += self.first[: place.shape[0]]
        at = scratch.places(place.shape)
        np.copyto(at, whole, casting="unsafe")
        # Clipping is only what lets numpy write to `out` at once: all are within.
        out = np.take(self.slope, at, out=whole, mode="clip")
        out *= place
        out += np.take(self.flat, at, out=place, mode="clip")
        return out


def grid_scale(limit_s: Singles) -> Singles:
    """(n,): the square root of this times a buffer is its place on the grid."""
    return ((BUFFER_COUNT - 1) ** 2 / limit_s).astype(np.float32)


def transfer_s(bits: Any, bps: Any, later_bps: Any, patience_s: float) -> Singles:
    """The time of `bits` at `bps` for at most `patience_s`, and then at `later_bps`."""
    quick_s = bits / bps
    slow_s = patience_s + (bits - bps * patience_s) / later_bps
    out: Singles = np.where(quick_s <= patience_s, quick_s, slow_s)
    return np.minimum(out, np.float32(TRANSFER_S_MAX))


def outcomes(
    steps: Steps,
    step: int,
    after: Values | None,
    buffer_s: Singles,
    prices: Prices,
    scratch: Scratch | None = None,
) -> Singles:
    """(rungs, levels, n, b): earned at each rung with each level, and what follows, when the
    request goes out at `buffer_s` (n, b). `after` None: nothing follows."""
    scratch = scratch or Scratch()
    bps = steps.bps[:, :, :, step].swapaxes(0, 1)  # (rungs or 1, levels, n)
    later_bps = steps.later_bps[:, :, :, step].swapaxes(0, 1)
    bits = steps.bits[:, None, :, step]
    duration_s = steps.durations_s[:, step]
    room_s = np.maximum(steps.limit_s - duration_s, np.float32(0.0))
    buffer_s = np.minimum(np.maximum(buffer_s, np.float32(0.0)), room_s[:, None])
    took_s = transfer_s(bits, bps, later_bps, prices.patience_s) + steps.latency_s
    out = scratch.floats("out", (*took_s.shape, buffer_s.shape[1]))
    _earn(took_s, buffer_s, duration_s, after, prices, scratch, out)
    rates = steps.rates
    out += rates[:, None, None, None]
    if rates.size > 1:
        # Instead of going on: lost time, and the segment at the lowest rung.
        rest_s = max(prices.patience_s - prices.giving_up_s, 0.0)
        again_s = transfer_s(bits[:1], bps[:1], later_bps[:1], rest_s)
        again_s = again_s + steps.latency_s + np.float32(prices.giving_up_s)  # (1, levels, n)
        instead = scratch.floats("instead", out[:1].shape)
        _earn(again_s, buffer_s, duration_s, after, prices, scratch, instead)
        instead += rates[0]
        fall = np.where(took_s > again_s, 0.0, -np.inf).astype(np.float32)
        fall -= (np.float32(prices.switch) * (rates - rates[0]))[:, None, None]
        given_up = np.add(instead, fall[..., None], out=scratch.floats("given up", out.shape))
        np.maximum(out, given_up, out=out)
    return out


def _earn(
    took_s: Singles,
    buffer_s: Singles,
    duration_s: Singles,
    after: Values | None,
    prices: Prices,
    scratch: Scratch,
    out: Singles,
) -> None:
    """`out` becomes what follows, less stalls; `took_s` is (rungs, levels, n)."""
    left_s = np.subtract(buffer_s, took_s[..., None], out=out)
    ahead_s = np.maximum(left_s, np.float32(0.0), out=scratch.floats("ahead", out.shape))
    out -= ahead_s
    out *= np.float32(prices.stall)
    if after is not None:
        ahead_s += duration_s[:, None]
        out += after.at(ahead_s, scratch)


def solve(
    steps: Steps, transitions: list[Singles], prices: Prices, scratch: Scratch | None = None
) -> Values | None:
    """What follows the next segment: by rung and level of that segment and the buffer after it.

    `transitions[k]` (levels, levels) leads from step k to step k + 1.
    """
    scratch = scratch or Scratch()
    step_count = steps.durations_s.shape[1]
    limit_s = steps.limit_s
    n, count = limit_s.size, BUFFER_COUNT
    share = (np.arange(count) / (count - 1)) ** 2
    grid_s = (share * limit_s[:, None]).astype(np.float32)  # (n, b)
    after = None if steps.is_end else _horizon(steps, grid_s, prices, scratch)
    for step in range(step_count - 1, 0, -1):
        drawn = outcomes(steps, step, after, grid_s, prices, scratch)
        flat = (*drawn.shape[:2], n * count)
        # Those after the step are not needed any more: two names take turns.
        name = f"values {step % 2}"
        values = scratch.floats(name, flat)
        np.matmul(transitions[step - 1], drawn.reshape(flat), out=values)
        _best(values, steps.rates, prices.switch)
        after = Values(values.reshape(drawn.shape), limit_s, scratch, name)
    return after


def _horizon(steps: Steps, grid_s: Singles, prices: Prices, scratch: Scratch) -> Values:
    """What a buffer is worth at the end of the plan."""
    usable = np.minimum(steps.bps[:, -1, :, -1] / 1e6, steps.rates[-1])  # (levels, n)
    per_s = prices.buffer_share * usable / steps.durations_s[:, -1]
    reserve = prices.stall * prices.reserve_s * np.exp(-grid_s / prices.reserve_decay_s)
    worth = per_s[:, :, None] * grid_s - reserve
    values = scratch.floats("horizon", (steps.rates.size, *worth.shape))
    away = np.abs(steps.rates[:, None, None] - usable)  # (rungs, levels, n)
    values[:] = worth - (prices.change_share * prices.switch * away)[..., None]
    return Values(values, steps.limit_s, scratch, "horizon")


def _best(worth: Singles, rates: Singles, switch: float) -> None:
    """`worth` (rungs, ...) becomes, for each rung before, the best of it less the change to it.

    The cost of a change is a distance along the ladder, so one pass up and one down do.
    """
    gaps = np.float32(switch) * np.diff(rates)
    rungs = len(worth)
    for rung in range(1, rungs):
        np.maximum(worth[rung], worth[rung - 1] - gaps[rung - 1], out=worth[rung])
    for rung in range(rungs - 2, -1, -1):
        np.maximum(worth[rung], worth[rung + 1] - gaps[rung], out=worth[rung])
