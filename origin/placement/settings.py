"""How plans are made, by whoever makes them: an origin or a simulation."""

from __future__ import annotations

import msgspec


class PlanSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's wishes; `origin.config.PlanConfig` has those that are settings.

    Attributes:
        valid_s: How long an edge that hears nothing more follows a plan.
        pinned_share: Of an edge's store; the rest is its own policy's.
        windows: Local hours in which edges fetch for the plan (see `windows.parse_window`).
        fill_share: What plans may fetch, of what viewers take.
        fill_kbps: What an edge may fetch for the plan at a time.
        fill_price: Bytes that a fetched byte must be expected to save, at least.
        churn_share: Of an edge's pinned bytes, that one plan may replace: what is held and makes
            way for what is fetched, or for places reserved.
        spread: How eager hot files are copied within a cluster: so many times the share of one
            edge's link that a file takes is what its further copies are worth.
    """

    valid_s: float = 36 * 3600.0
    pinned_share: float = 0.97
    windows: tuple[str, ...] = ("02:00-08:00",)
    fill_share: float = 0.1
    fill_kbps: float = 200_000.0
    fill_price: float = 0.1
    churn_share: float = 0.5
    spread: float = 4.0
