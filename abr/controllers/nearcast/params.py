"""What an operator may set, what was tuned, and the prices that follow."""

from __future__ import annotations

from typing import Annotated

import msgspec

from abr.controllers.nearcast.induction import Prices
from abr.qoe import stall_penalty_of
from abr.view import Floats
from nearcast.config import Section

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class NearcastParams(Section, frozen=True, kw_only=True):
    """What the operator wants, and below that what was tuned (docs/results/abr.md).

    `stall_penalty`: Mbit/s that a second of stall costs, 0 for what qoe_linear takes with the
    ladder. `switch_penalty`: per Mbit/s of change. `startup_penalty`: Mbit/s that a second before
    the first picture costs, 0 for half of a second of stall. `bitrate_kbps_max`: what the device
    shows, 0 for no limit. `data_kbps_max`: mean rate that a session may fetch, 0 for no limit.
    `model`: a bandwidth model of your own, file or folder; the shipped one if empty.
    """

    stall_penalty: NotNegative = 0.0
    switch_penalty: NotNegative = 1.0
    startup_penalty: NotNegative = 0.0
    bitrate_kbps_max: NotNegative = 0.0
    data_kbps_max: NotNegative = 0.0
    model: str = ""

    caution: Positive = 1.6
    """Stalls are planned with at so many times their penalty."""
    caution_told: Positive = 1.5
    """And more so where an edge says what it holds: plans that count on it run the buffer lower."""
    plan_s: Positive = 16.0
    """Looked ahead."""
    buffer_share: NotNegative = 0.68
    """At the end of a plan a second of buffer is worth so much of the rate that it can become."""
    change_share: NotNegative = 1.0
    """So much of the change that is then still to come, to what the link sustains, is paid."""
    reserve_s: NotNegative = 2.0
    """An empty buffer at the end of a plan costs so many seconds of stall,"""
    reserve_decay_s: Positive = 6.0
    """and one of so many seconds 1/e of that."""
    patience_s: Positive = 4.3
    """A rate lasts so long within a transfer; what is left comes at the mean of what follows."""
    giving_up_s: NotNegative = 2.5
    """Lost, in a plan, when a segment is given up for the lowest rung."""
    trust_s: Positive = 2.3
    """After so long a transfer's own rate counts as much as the forecast."""
    rescue_margin: NotNegative = 0.4
    """Of a rung's rate: gained at least where its segment is given up."""


def prices_of(params: NearcastParams, ladder_kbps: Floats, *, is_told: bool) -> Prices:
    """What plans reckon with; `is_told`: an edge has said what it holds."""
    stall = params.stall_penalty or stall_penalty_of(ladder_kbps)
    return Prices(
        stall=stall * params.caution * (params.caution_told if is_told else 1.0),
        switch=params.switch_penalty,
        buffer_share=params.buffer_share,
        change_share=params.change_share,
        reserve_s=params.reserve_s,
        reserve_decay_s=params.reserve_decay_s,
        patience_s=params.patience_s,
        giving_up_s=params.giving_up_s,
    )
