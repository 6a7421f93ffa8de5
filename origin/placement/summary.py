"""What a plan says of itself: figures of each edge, for the operator and for what explains it."""

from __future__ import annotations

from typing import Literal

import msgspec

from nearcast.placement import EdgePlan, FillWindow
from origin.placement.settings import PlanSettings

Binding = Literal["storage", "fill", "churn", "common_fill"]


class EdgeSummary(msgspec.Struct, frozen=True, kw_only=True):
    edge: str
    cluster: str = ""
    region: str = ""
    files: int = 0
    """All that its plan names."""
    kept_files: int = 0
    reserved_files: int = 0
    """Of which nothing is fetched: what viewers pull of them stays."""
    pinned_bytes_max: int = 0
    missing_bytes: int = 0
    """Reckoned to be held, and not held by the edge's own word: planned as what is not there."""
    stored_bytes: int = 0
    """What it will hold for the plan when all is fetched."""
    reserved_bytes: int = 0
    """Places for what viewers pull beyond that."""
    fill_bytes: int = 0
    fill_bytes_able: int = 0
    """What its windows and its rate would let it fetch."""
    churn_bytes_max: int = 0
    value_bytes: float = 0.0
    """What it is expected to save while the plan is valid."""
    served_bytes: float = 0.0
    """What its viewers are expected to take."""
    storage_price: float = 0.0
    """Saved bytes per byte held, below which nothing more found room; 0: there was room."""
    fill_price: float = 0.0
    """What a fetched byte had to bring beyond that, by this edge's own fill budget."""
    binding: tuple[Binding, ...] = ()
    """The budgets that were spent: what more of would save more."""
    windows: tuple[FillWindow, ...] = ()
    refusal: str = ""
    """Why it is given nothing to fetch."""


class PlanSummary(msgspec.Struct, frozen=True, kw_only=True):
    plan_id: str
    made_wall_s: float
    valid_from_wall_s: float
    valid_until_wall_s: float
    settings: PlanSettings
    file_count: int
    """That could have been placed."""
    fill_bytes_max: int
    """The budget of all edges together."""
    fill_price: float
    """What a fetched byte had to save at least, everywhere."""
    edges: tuple[EdgeSummary, ...]

    def edge(self, name: str) -> EdgeSummary | None:
        return next((each for each in self.edges if each.edge == name), None)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan for all edges."""

    edges: tuple[EdgePlan, ...]
    """By name."""
    summary: PlanSummary

    @property
    def plan_id(self) -> str:
        return self.summary.plan_id

    def edge(self, name: str) -> EdgePlan | None:
        return next((each for each in self.edges if each.edge == name), None)
