"""How much each edge, and all together, may hold and fetch under a plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from nearcast.local_time import fixed
from nearcast.placement import FillWindow
from nearcast.units import bytes_per_s_from_kbps
from origin.placement.inputs import EdgeInput
from origin.placement.settings import PlanSettings
from origin.placement.windows import fill_windows, open_s

MANIFEST_BYTES: Final = 32_768
"""For each title of which something is fetched: its manifests are fetched as well."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """Of one edge, while the plan is valid."""

    pinned_bytes: int
    fill_bytes: int
    """What its windows and its rate let it fetch."""
    fill_kbps: float
    churn_bytes: int
    windows: tuple[FillWindow, ...]
    refusal: str = ""
    """Why it is given nothing to fetch; empty: it is."""


def budget_of(edge: EdgeInput, settings: PlanSettings, from_wall_s: float) -> Budget:
    """What this edge may hold and fetch from `from_wall_s` on."""
    storage = edge.storage
    capacity_bytes = edge.profile.capacity_bytes
    if storage is not None:
        # A disk that is smaller than it was said to be.
        capacity_bytes = min(capacity_bytes, storage.capacity_bytes)
    pinned_bytes = int(capacity_bytes * settings.pinned_share)
    fill_kbps = float(min(settings.fill_kbps, edge.profile.link_kbps))
    refusal = why_no_fills(edge)
    windows = (
        ()
        if refusal
        else fill_windows(
            settings.windows,
            edge.clock or fixed(edge.profile.utc_offset_h),
            from_wall_s,
            from_wall_s + settings.valid_s,
        )
    )
    return Budget(
        pinned_bytes=pinned_bytes,
        fill_bytes=int(open_s(windows) * bytes_per_s_from_kbps(fill_kbps)),
        fill_kbps=fill_kbps,
        churn_bytes=int(pinned_bytes * settings.churn_share),
        windows=windows,
        refusal=refusal,
    )


def why_no_fills(edge: EdgeInput) -> str:
    """Why an edge is given nothing to fetch; empty: no reason."""
    if edge.storage is not None and edge.storage.is_failing:
        return "its disk takes no writes; replace it, or make room"
    if edge.storage is not None and edge.storage.capacity_bytes == 0:
        return "it has no store"
    if edge.duty == "draining":
        return "it is draining: what it holds stays, and others take over"
    if edge.duty == "maintenance":
        return "it is in maintenance"
    if not edge.is_up:
        return "it is down: what it holds stays, and others take over"
    return ""


def common_fill_bytes(edges: Sequence[EdgeInput], settings: PlanSettings) -> int:
    """What all edges together may fetch: the share of what viewers took and are expected to take,
    less what was fetched already. It is an account over the days that are looked at, so that a new
    plan every few hours does not spend the budget anew each time."""
    served = sum(edge.past_served_bytes + edge.served_bytes for edge in edges)
    fetched = sum(edge.past_filled_bytes for edge in edges)
    return max(0, int(settings.fill_share * served - fetched))


def fills_with_manifests(fills: Sequence[tuple[int, int]], common_bytes: int) -> list[int]:
    """What each edge may fetch for its files and their manifests; `fills`: the bytes of the files
    and how many titles they are of. Where the budget of all edges is spent to its end, manifests
    take what is left of it, and then the room of the files that are worth least."""
    wanted_bytes = sum(titles for _, titles in fills) * MANIFEST_BYTES
    left_bytes = max(0, common_bytes - sum(size_bytes for size_bytes, _ in fills))
    granted_bytes = min(wanted_bytes, left_bytes)
    return [
        size_bytes + titles * MANIFEST_BYTES * granted_bytes // max(1, wanted_bytes)
        for size_bytes, titles in fills
    ]
