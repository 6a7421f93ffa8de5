"""The plan for all edges: what each should hold, and how it comes by it.

    inputs -> budgets -> sites -> solver -> reserving -> sources -> an EdgePlan for each edge

The same inputs give the same plan, to the byte and so to the id, which is the SHA-256 of all edges'
plans. Edges that are draining, in maintenance, down, or whose disk takes no writes are given what
they hold and nothing to fetch; the other edges of their cluster take over.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.hashing import keys_of
from nearcast.placement import EdgePlan, Peer, PlannedFile
from nearcast.units import bytes_per_s_from_kbps, kbps_from_bytes_per_s
from origin.placement.budget import Budget, budget_of, common_fill_bytes, fills_with_manifests
from origin.placement.files import Files, increments
from origin.placement.inputs import EdgeInput, PlanInputs
from origin.placement.problem import (
    EdgePlacement,
    Limits,
    Member,
    Placement,
    Site,
    spread_of,
)
from origin.placement.reserving import share_out
from origin.placement.settings import PlanSettings
from origin.placement.solver import solve
from origin.placement.sources import Place, Sources
from origin.placement.summary import Binding, EdgeSummary, Plan, PlanSummary
from origin.placement.wanted import Wanted, held_files, wanted_files

RATE_SLACK: Final = 1.25
"""Viewers come first, and take some of the window..."""
RATE_SLACK_WAITING: Final = 2.5
"""...and an edge that waits for others does so for half of it."""
RATE_SHARE_MIN: Final = 0.05
"""Of what it may: a few files are there soon."""
PEERS_MAX: Final = 1_000
BINDING_SHARE: Final = 0.98
"""A budget that is used so far is one that binds."""


def make_plan(inputs: PlanInputs) -> Plan:
    """The plan as of `inputs.wall_s`."""
    settings, files = inputs.settings, inputs.files
    edges = sorted(inputs.edges, key=lambda edge: edge.edge)
    assert len({edge.edge for edge in edges}) == len(edges), "an edge twice"
    budgets = {edge.edge: budget_of(edge, settings, inputs.wall_s) for edge in edges}
    keys = keys_of(files.titles)
    sites, limits = _problem(inputs, edges, budgets, keys)
    placement = solve(sites, limits)
    wanted = {edge.edge: held_files(files, edge, budgets[edge.edge].pinned_bytes) for edge in edges}
    solved: dict[str, EdgePlacement] = {}
    churn_bound: set[str] = set()
    placed = iter(placement.edges)
    for site in sites:
        members = [next(placed) for _ in site.members]
        shares = share_out(site, members, settings.valid_s)
        for column, (one, share) in enumerate(zip(members, shares, strict=True)):
            solved[one.edge] = one
            churn_bound |= {one.edge} if share.is_churn_bound else set()
            wanted[one.edge] = wanted_files(files, site, column, one, share)
    sources = Sources([_place(edge, wanted[edge.edge]) for edge in edges], keys)
    urls = {edge.edge: edge.profile.url for edge in edges}
    allowed = fills_with_manifests(
        [(_bytes_of(one), _filled_titles(files, one)) for one in wanted.values()],
        limits.fill_bytes or 0,
    )
    plans = [
        _edge_plan(inputs, edge, budgets[edge.edge], wanted[edge.edge], fill_bytes, sources, urls)
        for edge, fill_bytes in zip(edges, allowed, strict=True)
    ]
    plan_id = _id_of(plans)
    summary = PlanSummary(
        plan_id=plan_id,
        made_wall_s=inputs.wall_s,
        valid_from_wall_s=inputs.wall_s,
        valid_until_wall_s=inputs.wall_s + settings.valid_s,
        settings=settings,
        file_count=len(files),
        fill_bytes_max=limits.fill_bytes or 0,
        fill_price=placement.fill_price,
        edges=tuple(
            _edge_summary(
                edge,
                budgets[edge.edge],
                wanted[edge.edge],
                solved.get(edge.edge),
                _spent_together(placement, limits),
                is_churn_bound=edge.edge in churn_bound,
            )
            for edge in edges
        ),
    )
    return Plan(
        edges=tuple(msgspec.structs.replace(plan, plan_id=plan_id) for plan in plans),
        summary=summary,
    )


def problem_of(inputs: PlanInputs) -> tuple[list[Site], Limits]:
    """What the solver is asked for a plan."""
    edges = sorted(inputs.edges, key=lambda edge: edge.edge)
    budgets = {edge.edge: budget_of(edge, inputs.settings, inputs.wall_s) for edge in edges}
    return _problem(inputs, edges, budgets, keys_of(inputs.files.titles))


def _problem(
    inputs: PlanInputs,
    edges: Sequence[EdgeInput],
    budgets: Mapping[str, Budget],
    keys: NDArray[np.uint64],
) -> tuple[list[Site], Limits]:
    settings = inputs.settings
    taking_part = [edge for edge in edges if not budgets[edge.edge].refusal]
    # An edge that drops out gives nothing back to the others of what it fetched too much of, and
    # lends them nothing of what it may not fetch itself.
    fill_bytes = min(common_fill_bytes(each, settings) for each in (edges, taking_part))
    limits = Limits(fill_bytes=fill_bytes, fill_price=settings.fill_price)
    return _sites(inputs.files, keys, taking_part, budgets, settings), limits


def _sites(
    files: Files,
    keys: NDArray[np.uint64],
    edges: Sequence[EdgeInput],
    budgets: Mapping[str, Budget],
    settings: PlanSettings,
) -> list[Site]:
    grouped: dict[str, list[EdgeInput]] = defaultdict(list)
    for edge in edges:
        grouped[site_name(edge)].append(edge)
    return [_site(files, keys, grouped[name], budgets, settings) for name in sorted(grouped)]


def site_name(edge: EdgeInput) -> str:
    """Of its cluster; an edge without one is a site of its own."""
    return f"cluster {edge.profile.cluster}" if edge.profile.cluster else f"edge {edge.edge}"


def _site(
    files: Files,
    keys: NDArray[np.uint64],
    edges: Sequence[EdgeInput],
    budgets: Mapping[str, Budget],
    settings: PlanSettings,
) -> Site:
    value = np.zeros(len(files))
    head_value = np.zeros(len(files))
    held = np.zeros((len(files), len(edges)), dtype=np.int64)
    for column, edge in enumerate(edges):
        value += np.maximum(0.0, edge.value_bytes)
        if edge.head_value_bytes is not None:
            head_value += np.clip(edge.head_value_bytes, 0.0, np.maximum(0.0, edge.value_bytes))
        if edge.held_bytes is not None:
            held[:, column] = edge.held_bytes
    items = increments(files, value, head_value, held)
    link_kbps = float(np.mean([edge.profile.link_kbps for edge in edges]))
    link_bytes = bytes_per_s_from_kbps(link_kbps) * settings.valid_s
    is_alone = len(edges) == 1
    return Site(
        members=tuple(
            Member(
                edge=edge.edge,
                storage_bytes=budgets[edge.edge].pinned_bytes,
                fill_bytes=budgets[edge.edge].fill_bytes,
                churn_bytes=budgets[edge.edge].churn_bytes,
                weight=float(max(1, budgets[edge.edge].pinned_bytes)),
            )
            for edge in edges
        ),
        items=items,
        keys=keys[items.file_index],
        spread=spread_of(value[items.file_index], link_bytes, 0.0 if is_alone else settings.spread),
    )


def _place(edge: EdgeInput, wanted: Wanted) -> Place:
    is_asked = edge.is_up and edge.duty != "maintenance"
    is_fill = wanted.fill_bytes > 0
    return Place(
        edge=edge.edge,
        site=site_name(edge),
        region=edge.profile.region,
        held_bytes=edge.held_bytes if is_asked else None,
        fetch_file=wanted.file[is_fill],
        fetch_bytes=wanted.fetch_bytes[is_fill],
    )


def _edge_plan(
    inputs: PlanInputs,
    edge: EdgeInput,
    budget: Budget,
    wanted: Wanted,
    fill_bytes: int,
    sources: Sources,
    urls: Mapping[str, str],
) -> EdgePlan:
    files, settings = inputs.files, inputs.settings
    is_head = wanted.end_bytes < files.size_bytes[wanted.file]
    until_s = files.head_s[wanted.file].tolist()
    is_fill = wanted.fill_bytes > 0
    fetch_until_s = np.where(wanted.is_reserved, 0.0, files.head_s[wanted.file]).tolist()
    held = np.zeros(len(files), dtype=np.int64) if edge.held_bytes is None else edge.held_bytes
    held_bytes = np.minimum(held[wanted.file], wanted.end_bytes).tolist()
    is_partial = wanted.fetch_bytes < wanted.end_bytes
    asked_for = iter(sources.of(edge.edge))
    from_edges = [next(asked_for) if one else () for one in is_fill.tolist()]
    planned = [
        PlannedFile(
            title=files.titles[file],
            rendition=files.renditions[file],
            manifest=files.manifests[file],
            until_s=until if head else None,
            fetch_until_s=fetch_s if partial else None,
            size_bytes=end,
            held_bytes=there,
            value_bytes=worth,
            from_edges=asked,
        )
        for file, head, until, partial, fetch_s, end, there, worth, asked in zip(
            wanted.file.tolist(),
            is_head.tolist(),
            until_s,
            is_partial.tolist(),
            fetch_until_s,
            wanted.end_bytes.tolist(),
            held_bytes,
            np.round(wanted.value_bytes, 1).tolist(),
            from_edges,
            strict=True,
        )
    ]
    named = sorted({name for asked in set(from_edges) for name in asked})
    fill_bytes_max = min(budget.fill_bytes, fill_bytes)
    return EdgePlan(
        plan_id="",
        edge=edge.edge,
        made_wall_s=inputs.wall_s,
        valid_from_wall_s=inputs.wall_s,
        valid_until_wall_s=inputs.wall_s + settings.valid_s,
        pinned_bytes_max=budget.pinned_bytes,
        fill_bytes_max=fill_bytes_max,
        fill_kbps_max=_even_kbps(budget, fill_bytes_max, waits=bool(named)),
        windows=budget.windows,
        files=tuple(planned),
        peers=tuple(Peer(edge=name, url=urls[name]) for name in named[:PEERS_MAX]),
    )


def _bytes_of(wanted: Wanted) -> int:
    return int(wanted.fill_bytes.sum())


def _filled_titles(files: Files, wanted: Wanted) -> int:
    rows = wanted.file[wanted.fill_bytes > 0].tolist()
    return len({files.titles[row] for row in rows})


def _even_kbps(budget: Budget, fill_bytes: int, *, waits: bool) -> float:
    """At which the bytes take most of the first window. `waits`: for other edges, first.

    All edges' windows open at once where they have one clock: fetched as fast as may be, the
    night's bytes would be a peak of their own at the origin."""
    if not budget.windows:
        return budget.fill_kbps
    first_s = budget.windows[0].until_wall_s - budget.windows[0].from_wall_s
    slack = RATE_SLACK_WAITING if waits else RATE_SLACK
    even = slack * kbps_from_bytes_per_s(fill_bytes / first_s)
    return float(min(budget.fill_kbps, max(even, RATE_SHARE_MIN * budget.fill_kbps)))


def _id_of(plans: Sequence[EdgePlan]) -> str:
    digest = hashlib.sha256()
    for plan in plans:
        digest.update(msgspec.json.encode(plan))
        digest.update(b"\n")
    return digest.hexdigest()


def _spent_together(placement: Placement, limits: Limits) -> tuple[Binding, ...]:
    return ("common_fill",) if placement.fill_price > limits.fill_price else ()


def _edge_summary(
    edge: EdgeInput,
    budget: Budget,
    wanted: Wanted,
    one: EdgePlacement | None,
    spent_together: Sequence[Binding],
    *,
    is_churn_bound: bool,
) -> EdgeSummary:
    stored_bytes, fill_bytes = int(wanted.fetch_bytes.sum()), int(wanted.fill_bytes.sum())
    named_bytes = int(wanted.end_bytes.sum())
    binding: list[Binding] = []
    if one is not None:
        held_bytes = 0 if edge.held_bytes is None else int(edge.held_bytes.sum())
        free_bytes = max(0, budget.pinned_bytes - held_bytes)
        if named_bytes >= BINDING_SHARE * budget.pinned_bytes:
            binding.append("storage")
        is_short = one.fill_price > 0
        is_churn = free_bytes + budget.churn_bytes < budget.fill_bytes
        if is_churn_bound or (is_short and is_churn):
            binding.append("churn")
        if is_short and not is_churn:
            binding.append("fill")
        binding += spent_together
    return EdgeSummary(
        edge=edge.edge,
        cluster=edge.profile.cluster,
        region=edge.profile.region,
        files=len(wanted.file),
        kept_files=int(((wanted.fill_bytes == 0) & ~wanted.is_reserved).sum()),
        reserved_files=int(wanted.is_reserved.sum()),
        pinned_bytes_max=budget.pinned_bytes,
        missing_bytes=0 if edge.missing_bytes is None else int(edge.missing_bytes.sum()),
        stored_bytes=stored_bytes,
        reserved_bytes=named_bytes - stored_bytes,
        fill_bytes=fill_bytes,
        fill_bytes_able=budget.fill_bytes,
        churn_bytes_max=budget.churn_bytes,
        value_bytes=round(float(wanted.value_bytes.sum()), 1),
        served_bytes=round(float(edge.served_bytes), 1),
        storage_price=one.storage_price if one is not None else 0.0,
        fill_price=one.fill_price if one is not None else 0.0,
        binding=tuple(binding),
        windows=budget.windows,
        refusal=budget.refusal,
    )
