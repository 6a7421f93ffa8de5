"""What a plan is made from."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.fleet import Duty, EdgeProfile, Storage
from nearcast.local_time import LocalTime
from origin.placement.files import Files
from origin.placement.settings import PlanSettings


class EdgeInput(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One edge, as known when a plan is made. Arrays have a row for each of the files."""

    edge: str
    profile: EdgeProfile
    clock: LocalTime | None = None
    """Of its viewers, to which the windows are local; None: the offset in its profile holds."""
    duty: Duty = "active"
    is_up: bool = True
    """False when it has been down so long that others should hold what it did."""
    storage: Storage | None = None
    """As it reported; None: not heard of yet, its profile counts."""
    value_bytes: NDArray[np.floating]
    """What holding each file is expected to save while the plan is valid."""
    head_value_bytes: NDArray[np.floating] | None = None
    """How much of that falls within its head."""
    held_bytes: NDArray[np.int64] | None = None
    """How much of each file, from its start, it holds pinned; None: nothing."""
    missing_bytes: NDArray[np.int64] | None = None
    """How much more was reckoned to be held, and is not by the edge's own word; None: nothing."""
    served_bytes: float = 0.0
    """What its viewers are expected to take while the plan is valid."""
    past_served_bytes: float = 0.0
    """What they took in the days that are looked at."""
    past_filled_bytes: float = 0.0
    """What it fetched for plans in those."""
    guess_share: float = 0.0
    """How much of what is expected of it is taken from what other edges are asked for."""


class PlanInputs(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    files: Files
    edges: tuple[EdgeInput, ...]
    wall_s: float
    settings: PlanSettings = PlanSettings()

    def __post_init__(self) -> None:
        for edge in self.edges:
            for column in (edge.value_bytes, edge.head_value_bytes, edge.held_bytes):
                assert column is None or column.shape == (len(self.files),), edge.edge
