"""What the solver is asked, and what it answers.

An *item* is a rendition of a title, or its head, or what follows its head: bytes that are held or
not. All edges of a *site* (a cluster) share their items; an edge that stands alone is a site of
one. The value of an item is the bytes it is expected to save while the plan is valid. A second copy
at the same site saves less: it spares the first holder's link. Copy number j adds
`spread * value / (j * (j - 1))`, so that c copies add `spread * value * (1 - 1 / c)`, which falls
with each copy, and whose best c grows with demand when `spread` does (see `spread_of`).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

WHOLE, HEAD, REST = 0, 1, 2


class Items(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Things that could be held, one row each; a file's head comes right before its rest."""

    file_index: NDArray[np.int64]  # (item,)
    part: NDArray[np.int8]  # (item,): WHOLE, HEAD or REST
    size_bytes: NDArray[np.int64]  # (item,)
    value_bytes: NDArray[np.float64]  # (item,)
    held_bytes: NDArray[np.int64]  # (item,) or (item, member): of it there already

    def __post_init__(self) -> None:
        count = len(self.file_index)
        for name in ("part", "size_bytes", "value_bytes", "held_bytes"):
            assert len(getattr(self, name)) == count, f"{name} has another length"
        assert (self.size_bytes > 0).all(), "an item without bytes"
        rests = np.flatnonzero(self.part == REST)
        assert (self.part[rests - 1] == HEAD).all(), "a rest must follow its head"
        assert (self.file_index[rests - 1] == self.file_index[rests]).all()

    def __len__(self) -> int:
        return len(self.file_index)


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """An edge and its budgets for the plan's life."""

    edge: str
    storage_bytes: int
    """The plan's share of its store."""
    fill_bytes: int
    """What windows and rate let it fetch."""
    churn_bytes: int | None = None
    """How much of what it holds may make way, for what is fetched and for places that are reserved;
    None: all."""
    weight: float = 1.0
    """Its share of the site's files."""


class Site(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Edges that hold files for each other."""

    members: tuple[Member, ...]
    items: Items
    """Values are those of the whole site; `held_bytes` has a column for each member."""
    keys: NDArray[np.uint64]  # (item,): what is hashed, equal for items that should stay together
    spread: NDArray[np.float64]  # (item,), 0..1

    def __post_init__(self) -> None:
        assert self.members, "a site without edges"
        assert self.items.held_bytes.shape == (len(self.items), len(self.members))
        assert len(self.keys) == len(self.spread) == len(self.items)


class EdgeProblem(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """An edge that stands alone."""

    edge: str
    items: Items
    storage_bytes: int
    fill_bytes: int
    churn_bytes: int | None = None

    def site(self) -> Site:
        items = self.items
        return Site(
            members=(
                Member(
                    edge=self.edge,
                    storage_bytes=self.storage_bytes,
                    fill_bytes=self.fill_bytes,
                    churn_bytes=self.churn_bytes,
                ),
            ),
            items=Items(
                file_index=items.file_index,
                part=items.part,
                size_bytes=items.size_bytes,
                value_bytes=items.value_bytes,
                held_bytes=items.held_bytes.reshape(len(items), 1),
            ),
            keys=np.zeros(len(items), dtype=np.uint64),
            spread=np.zeros(len(items)),
        )


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for all edges together."""

    fill_bytes: int | None = None
    fill_price: float = 0.0
    """Saved bytes that one fetched byte must bring at least, everywhere."""


class EdgePlacement(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What one edge should hold."""

    edge: str
    chosen: NDArray[np.int64]  # indices into the site's items: kept ones, then fills in order
    copy_no: NDArray[np.int64]  # (chosen,): which copy at the site, from 1
    kept_count: int
    stored_bytes: int
    fill_bytes: int
    value_bytes: float
    storage_price: float
    """Saved bytes per byte held, below which nothing more found room; 0: there was room."""
    fill_price: float
    """What a fetched byte had to bring beyond that, because of this edge's own fill budget."""


class Placement(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    edges: tuple[EdgePlacement, ...]
    """In the order of the problems, and in each in that of its members."""
    fill_price: float
    """Of a fetched byte, because of the budget of all edges together, with `Limits.fill_price`."""

    @property
    def value_bytes(self) -> float:
        return sum(edge.value_bytes for edge in self.edges)

    @property
    def fill_bytes(self) -> int:
        return sum(edge.fill_bytes for edge in self.edges)

    def objective(self, limits: Limits) -> float:
        """What was maximised: saved bytes less the price of those fetched."""
        return self.value_bytes - limits.fill_price * self.fill_bytes


def fill_cap_bytes(member: Member, held_bytes: int) -> int:
    """What a member may fetch: its fill budget, and no more than it has room for without replacing
    more than the churn cap of the bytes it holds."""
    if member.churn_bytes is None:
        return member.fill_bytes
    free_bytes = max(0, member.storage_bytes - held_bytes)
    return min(member.fill_bytes, free_bytes + member.churn_bytes)


def sites_of(problems: Sequence[EdgeProblem | Site]) -> list[Site]:
    return [each.site() if isinstance(each, EdgeProblem) else each for each in problems]


def spread_of(
    value_bytes: NDArray[np.float64], link_bytes: float, weight: float
) -> NDArray[np.float64]:
    """How much of an item's value further copies bring: `weight` times the share of one edge's
    link (the bytes it could send while the plan is valid) that its demand takes, at most 1."""
    return np.minimum(1.0, weight * value_bytes / max(link_bytes, 1.0))


def copy_value(value_bytes: float, spread: float, copy_no: int) -> float:
    """What copy number `copy_no` adds."""
    return value_bytes if copy_no == 1 else value_bytes * spread / (copy_no * (copy_no - 1))
