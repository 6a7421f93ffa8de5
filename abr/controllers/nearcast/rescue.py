"""Giving up a segment under way, valued like any other plan.

What came so far says how fast the link is now; the forecast said what it would be. The two are
mixed by how long the transfer has run. Going on and starting afresh at each lower rung are then
compared with the values the controller found when it chose.
"""

from __future__ import annotations

import msgspec
import numpy as np

from abr.controllers.nearcast.induction import (
    BUFFER_COUNT,
    Prices,
    Singles,
    Steps,
    Values,
    grid_scale,
    transfer_s,
)
from abr.view import GO_ON, Attempt, Floats, Rungs
from nearcast.units import KBPS_PER_MBPS

RATE_BPS_MIN = 1000.0


class Plans(msgspec.Struct, frozen=True, kw_only=True):
    """What the controller thought when it last chose, of all its sessions (first axis)."""

    bps: Singles
    """(n, levels): of the next segment."""
    later_bps: Singles
    values: Singles
    """(n, rungs, levels, buffers): after the next segment."""
    limit_s: Singles
    latency_s: Singles
    last_rung: Rungs
    stall: Singles
    """(n,): what a second of stall cost then; instead of the prices' own."""


def no_plans(session_count: int, rungs: int, levels: int) -> Plans:
    """Of sessions that have not been planned for yet."""
    n = session_count
    return Plans(
        bps=np.ones((n, levels), np.float32),
        later_bps=np.ones((n, levels), np.float32),
        values=np.zeros((n, rungs, levels, BUFFER_COUNT), np.float32),
        limit_s=np.ones(n, np.float32),
        latency_s=np.zeros(n, np.float32),
        last_rung=np.full(n, -1),
        stall=np.ones(n, np.float32),
    )


def remember(
    plans: Plans, at: Rungs, steps: Steps, after: Values | None, last_rung: Rungs, stall: float
) -> None:
    """The sessions `at` were planned for just now, in this order."""
    plans.bps[at] = steps.bps[:, 0, :, 0].T
    plans.later_bps[at] = steps.later_bps[:, 0, :, 0].T
    if after is None:  # the title ends
        plans.values[at] = 0.0
    else:
        plans.values[at] = after.flat.reshape(after.shape).transpose(2, 0, 1, 3)
    plans.limit_s[at] = steps.limit_s
    plans.latency_s[at] = steps.latency_s
    plans.last_rung[at] = last_rung
    plans.stall[at] = stall


def rescue(
    attempt: Attempt,
    plans: Plans,
    weights: Floats,
    prices: Prices,
    *,
    trust_s: float,
    margin: float,
) -> Rungs:
    """(n,): the rung to start afresh at, or GO_ON. `trust_s`: after so long a transfer's own rate
    counts as much as the forecast; `margin`: of the rung's rate, to be gained at least."""
    n, rungs = attempt.sizes_bits.shape
    at = attempt.session
    took_s = np.maximum(attempt.elapsed_s - attempt.ttfb_s, 1e-3)
    seen = np.log(np.maximum(attempt.received_bits / took_s, RATE_BPS_MIN))
    share = took_s / (took_s + trust_s)
    levels_bps = plans.bps[at]  # (n, levels)
    mixed = share[:, None] * seen[:, None] + (1.0 - share)[:, None] * np.log(levels_bps)
    bps = np.exp(mixed)
    borders = 0.5 * np.log(levels_bps[:, 1:] * levels_bps[:, :-1])
    nearest = (mixed[:, :, None] > borders[:, None, :]).sum(axis=2)  # (n, levels)
    later_bps = np.maximum(np.take_along_axis(plans.later_bps[at], nearest, axis=1), bps)

    rung = np.arange(rungs)
    is_own = rung[None, :] == attempt.rung[:, None]  # (n, rungs)
    left = (attempt.size_bits - attempt.received_bits)[:, None]
    bits = np.where(is_own, left, attempt.sizes_bits)
    need_s = (
        transfer_s(bits[:, :, None], bps[:, None, :], later_bps[:, None, :], prices.patience_s)
        + np.where(is_own, 0.0, plans.latency_s[at][:, None])[:, :, None]
    )
    slack_s = attempt.buffer_s[:, None, None] - need_s  # (n, rungs, levels)
    ahead_s = np.maximum(slack_s, 0.0) + attempt.duration_s[:, None, None]
    rates = attempt.ladder_kbps / KBPS_PER_MBPS
    worth = rates[:, None] + plans.stall[at][:, None, None] * np.minimum(slack_s, 0.0)
    worth = worth + _values(plans, at, nearest, ahead_s)
    value = worth @ weights
    before = plans.last_rung[at]
    change = np.abs(rates[None, :] - rates[np.maximum(before, 0)][:, None])
    value -= prices.switch * np.where(before[:, None] < 0, 0.0, change)
    own = value[np.arange(n), attempt.rung]
    value[rung[None, :] >= attempt.rung[:, None]] = -np.inf
    best = value.argmax(axis=1)
    gain = value[np.arange(n), best] - own
    return np.where(gain > margin * rates[attempt.rung], best, GO_ON).astype(np.int64)


def _values(plans: Plans, at: Rungs, level: Rungs, buffer_s: Floats) -> Floats:
    """(n, rungs, levels): interpolated."""
    _, rungs, levels, buffers = plans.values.shape
    scale = grid_scale(plans.limit_s[at])[:, None, None]
    place = np.minimum(np.sqrt(buffer_s * scale), buffers - 1)
    whole = np.minimum(place.astype(np.intp), buffers - 2)
    share = place - whole
    first = (at[:, None, None] * rungs + np.arange(rungs)[:, None]) * levels + level[:, None, :]
    flat = plans.values.reshape(-1)
    place_at = first * buffers + whole
    low, high = flat[place_at], flat[place_at + 1]
    values: Floats = low * (1.0 - share) + high * share
    return values
