"""Plans for random fleets keep every budget, and are the same for the same inputs."""

import msgspec
import numpy as np
import pytest

from nearcast.fleet import EdgeProfile, Storage
from nearcast.local_time import fixed
from nearcast.placement import EdgePlan, PlannedFile
from nearcast.seeds import Seeds
from nearcast.units import bytes_per_s_from_kbps
from origin.placement import few
from origin.placement.budget import common_fill_bytes, why_no_fills
from origin.placement.files import FileEntry, Files, files_of
from origin.placement.inputs import EdgeInput, PlanInputs
from origin.placement.planner import make_plan
from origin.placement.problem import EdgeProblem, Items, Limits
from origin.placement.settings import PlanSettings
from origin.placement.solver import solve
from origin.placement.windows import fill_windows

WALL_S = 1_700_000_000.0
SEEDS = range(10)
HUNDREDS = range(10)


def random_files(draw: np.random.Generator, count: int) -> Files:
    sizes = draw.lognormal(16, 1, count).astype(int) + 1000
    return files_of(
        FileEntry(
            title=f"title-{index // 3:04d}",
            rendition=f"v{index % 3}",
            manifest=f"/media/title-{index // 3:04d}/manifest.mpd",
            size_bytes=int(size),
            head_bytes=int(size * 0.1) if draw.random() < 0.7 else 0,
            head_s=60.0,
        )
        for index, size in enumerate(sizes)
    )


def random_edge(draw: np.random.Generator, files: Files, index: int) -> EdgeInput:
    total = int(files.size_bytes.sum())
    value = files.size_bytes * draw.lognormal(0, 1.5, len(files)) * (draw.random(len(files)) < 0.8)
    held = np.zeros(len(files), dtype=np.int64)
    kept = draw.random(len(files)) < 0.1
    held[kept] = files.size_bytes[kept]
    heads = (draw.random(len(files)) < 0.1) & ~kept
    held[heads] = files.head_bytes[heads]
    capacity = int(total * draw.uniform(0.0, 0.6))
    storage = Storage(
        capacity_bytes=int(capacity * draw.uniform(0.5, 1.1)), is_failing=draw.random() < 0.1
    )
    return EdgeInput(
        edge=f"edge-{index:02d}",
        profile=EdgeProfile(
            url=f"http://edge-{index:02d}.example:8080",
            cluster=str(draw.choice(["", "a", "b"])),
            region=str(draw.choice(["", "north"])),
            capacity_bytes=capacity,
            link_kbps=float(10 ** draw.uniform(3, 6)),
            utc_offset_h=float(draw.choice([-8.0, 0.0, 5.5])),
        ),
        duty=draw.choice(["active", "active", "active", "draining", "maintenance"]),
        is_up=bool(draw.random() < 0.9),
        storage=storage if draw.random() < 0.8 else None,
        value_bytes=value.astype(np.float32),
        head_value_bytes=(value * draw.uniform(0, 1, len(files))).astype(np.float32),
        held_bytes=held,
        served_bytes=float(value.sum() * draw.uniform(0.5, 3.0)),
        past_filled_bytes=float(total * draw.uniform(0, 0.1)),
    )


def random_inputs(seed: int) -> PlanInputs:
    draw = Seeds(seed).stream("plans")
    files = random_files(draw, int(draw.integers(1, 200)))
    return PlanInputs(
        files=files,
        edges=tuple(random_edge(draw, files, index) for index in range(int(draw.integers(1, 9)))),
        wall_s=WALL_S + float(draw.uniform(0, 86_400)),
        settings=PlanSettings(
            fill_kbps=float(10 ** draw.uniform(1, 5)),
            fill_share=float(draw.uniform(0.0, 0.3)),
            churn_share=float(draw.uniform(0.0, 1.0)),
            pinned_share=float(draw.uniform(0.0, 1.0)),
            fill_price=float(draw.choice([0.0, 0.5, 2.0])),
        ),
    )


def fetched_end(file: PlannedFile, files: Files, row: int) -> int:
    """Up to where it is to be there."""
    if file.fetch_until_s is None:
        return file.size_bytes
    return 0 if file.fetch_until_s == 0.0 else int(files.head_bytes[row])


def missing_bytes(plan: EdgePlan, edge: EdgeInput, files: Files) -> list[int]:
    """Of each file."""
    rows, held = files.rows(), edge.held_bytes
    assert held is not None
    found = []
    for file in plan.files:
        row = rows[file.title, file.rendition]
        found.append(max(0, fetched_end(file, files, row) - int(held[row])))
    return found


def fetched_bytes(plan: EdgePlan, edge: EdgeInput, files: Files) -> int:
    return sum(missing_bytes(plan, edge, files))


def dropped_bytes(plan: EdgePlan, edge: EdgeInput, files: Files) -> int:
    """What is held, and not to be held any more."""
    assert edge.held_bytes is not None
    left, rows = edge.held_bytes.copy(), files.rows()
    for file in plan.files:
        left[rows[file.title, file.rendition]] -= file.size_bytes
    return int(np.maximum(0, left).sum())


def full_of_something(inputs: PlanInputs, seed: int, churn_share: float) -> PlanInputs:
    """The same fleet with stores full of whole files, whatever they are worth."""
    draw = Seeds(seed).stream("full")
    size = inputs.files.size_bytes
    edges = []
    for edge in inputs.edges:
        store = edge.profile.capacity_bytes
        if edge.storage is not None:
            store = min(store, edge.storage.capacity_bytes)
        order = draw.permutation(len(size))
        order = order[np.cumsum(size[order]) <= store * 0.97]
        held = np.zeros(len(size), dtype=np.int64)
        held[order] = size[order]
        edges.append(msgspec.structs.replace(edge, held_bytes=held, duty="active", is_up=True))
    settings = msgspec.structs.replace(
        inputs.settings, churn_share=churn_share, pinned_share=0.97, fill_share=0.1
    )
    return msgspec.structs.replace(inputs, edges=tuple(edges), settings=settings)


@pytest.mark.parametrize("churn_share", [0.0, 0.05, 0.3])
def test_a_plan_replaces_no_more_than_it_may(
    churn_share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(few, "STEPS_MAX", 1_000)
    is_used = False
    for seed in range(40):
        inputs = full_of_something(random_inputs(seed), seed, churn_share)
        edges = {edge.edge: edge for edge in inputs.edges}
        plan = make_plan(inputs)
        for one, summary in zip(plan.edges, plan.summary.edges, strict=True):
            dropped = dropped_bytes(one, edges[one.edge], inputs.files)
            if summary.refusal:
                continue
            assert dropped <= int(churn_share * one.pinned_bytes_max), (seed, one.edge)
            is_used |= "churn" in summary.binding and dropped >= 0.5 * summary.churn_bytes_max
    assert is_used


@pytest.mark.parametrize("hundred", HUNDREDS)
def test_plans_keep_every_budget_at_a_thousand_seeds(
    hundred: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The search where files are few is cut short: it takes longer than all the rest.
    monkeypatch.setattr(few, "STEPS_MAX", 1_000)
    for seed in range(100 * hundred, 100 * hundred + 100):
        keeps_every_budget(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_plans_keep_every_budget_after_a_full_search(seed: int) -> None:
    keeps_every_budget(seed)


def keeps_every_budget(seed: int) -> None:
    inputs = random_inputs(seed)
    settings, files = inputs.settings, inputs.files
    plan = make_plan(inputs)
    edges = {edge.edge: edge for edge in inputs.edges}
    assert [one.edge for one in plan.edges] == sorted(edges)
    rows = files.rows()
    for one in plan.edges:
        edge = edges[one.edge]
        is_resting = edge.duty != "active" or not edge.is_up
        is_failing = edge.storage is not None and edge.storage.is_failing
        store = edge.profile.capacity_bytes
        if edge.storage is not None:
            store = min(store, edge.storage.capacity_bytes)
        assert one.pinned_bytes_max <= store * settings.pinned_share
        assert sum(file.size_bytes for file in one.files) <= one.pinned_bytes_max
        assert len({(file.title, file.rendition) for file in one.files}) == len(one.files)
        fetched = fetched_bytes(one, edge, files)
        assert fetched <= one.fill_bytes_max
        open_s = sum(w.until_wall_s - w.from_wall_s for w in one.windows)
        assert one.fill_bytes_max <= open_s * bytes_per_s_from_kbps(one.fill_kbps_max)
        assert one.fill_kbps_max <= min(settings.fill_kbps, edge.profile.link_kbps)
        local = fill_windows(
            settings.windows,
            fixed(edge.profile.utc_offset_h),
            one.valid_from_wall_s,
            one.valid_until_wall_s,
        )
        assert one.windows in (local, ())
        held = edge.held_bytes
        assert held is not None
        free = max(0, one.pinned_bytes_max - int(held.sum()))
        assert fetched <= free + settings.churn_share * one.pinned_bytes_max + 1
        if not (is_resting or is_failing) and files.size_bytes[held > 0].sum() <= (
            one.pinned_bytes_max  # else what is held in part may not find room
        ):
            assert (
                dropped_bytes(one, edge, files) <= settings.churn_share * one.pinned_bytes_max + 1
            )
        if is_resting or is_failing:
            assert fetched == 0
            assert one.windows == ()
        # What is held comes first, then what is fetched, then what is only reserved.
        sorts = [
            2 if file.fetch_until_s == 0.0 else int(missing > 0)
            for file, missing in zip(one.files, missing_bytes(one, edge, files), strict=True)
        ]
        assert sorts == sorted(sorts)
        for file in one.files:
            row = rows[file.title, file.rendition]
            whole = int(files.size_bytes[row])
            assert file.size_bytes == (
                whole if file.until_s is None else int(files.head_bytes[row])
            )
            assert one.edge not in file.from_edges
            assert set(file.from_edges) <= {peer.edge for peer in one.peers}
        assert all(peer.url == edges[peer.edge].profile.url for peer in one.peers)
    total = sum(fetched_bytes(one, edges[one.edge], files) for one in plan.edges)
    taking_part = [edge for edge in inputs.edges if not why_no_fills(edge)]
    assert total <= common_fill_bytes(taking_part, settings)
    assert total <= common_fill_bytes(inputs.edges, settings)
    promised = sum(one.fill_bytes_max for one in plan.edges)  # with manifests
    assert promised <= common_fill_bytes(inputs.edges, settings)
    assert total <= settings.fill_share * sum(edge.served_bytes for edge in inputs.edges)


@pytest.mark.parametrize("seed", SEEDS)
def test_nobody_waits_for_each_other(seed: int) -> None:
    """An edge is told only of edges that hold a file, or fetch it from somebody else."""
    inputs = random_inputs(seed)
    plan = make_plan(inputs)
    rows = inputs.files.rows()
    edges = {edge.edge: edge for edge in inputs.edges}
    waits: dict[tuple[str, int], set[str]] = {}
    for one in plan.edges:
        for file in one.files:
            row = rows[file.title, file.rendition]
            for name in file.from_edges:
                held = edges[name].held_bytes
                assert held is not None
                if held[row] < fetched_end(file, inputs.files, row):
                    waits.setdefault((one.edge, row), set()).add(name)
    for (edge, row), names in waits.items():
        seen, front = set(), names
        while front:
            assert edge not in front
            seen |= front
            front = {more for name in front for more in waits.get((name, row), set())} - seen


@pytest.mark.parametrize("seed", SEEDS)
def test_same_inputs_same_plan_whatever_their_order(seed: int) -> None:
    inputs = random_inputs(seed)
    shuffled = msgspec.structs.replace(inputs, edges=tuple(reversed(inputs.edges)))
    one, two = make_plan(inputs), make_plan(shuffled)
    assert one.plan_id == two.plan_id
    assert msgspec.json.encode(one) == msgspec.json.encode(two)
    later = make_plan(msgspec.structs.replace(inputs, wall_s=inputs.wall_s + 1.0))
    assert later.plan_id != one.plan_id


@pytest.mark.parametrize("seed", SEEDS)
def test_who_holds_what_was_planned_fetches_nothing_more(seed: int) -> None:
    """With the same demand, the next plan finds nothing to do: plans do not move files about."""
    inputs = random_inputs(seed)
    settings = PlanSettings(fill_share=1e6, fill_kbps=1e9, churn_share=1e6)
    inputs = msgspec.structs.replace(inputs, settings=settings)
    plan = make_plan(inputs)
    rows = inputs.files.rows()
    filled = []
    for edge in inputs.edges:
        held = np.zeros(len(inputs.files), dtype=np.int64)
        one = plan.edge(edge.edge)
        assert one is not None
        for file in one.files:
            row = rows[file.title, file.rendition]
            held[row] = max(
                0 if edge.held_bytes is None else edge.held_bytes[row],
                fetched_end(file, inputs.files, row),
            )
        filled.append(msgspec.structs.replace(edge, held_bytes=held))
    again = make_plan(msgspec.structs.replace(inputs, edges=tuple(filled)))
    first = sum(edge.fill_bytes for edge in plan.summary.edges)
    assert sum(edge.fill_bytes for edge in again.summary.edges) <= 0.1 * first


@pytest.mark.parametrize("seed", range(30))
def test_more_of_any_budget_never_saves_less_than_a_hundredth(seed: int) -> None:
    """Greedy choices are not monotone to the byte, but no budget is worse for being larger."""
    draw = Seeds(seed).stream("monotone")
    size = draw.lognormal(16, 0.5, 600).astype(np.int64) + 1
    held = np.where(draw.random(600) < 0.1, size, 0)
    total = int(size.sum())

    def saved(storage: float, fill: float, common: float) -> float:
        items = Items(
            file_index=np.arange(600),
            part=np.zeros(600, dtype=np.int8),
            size_bytes=size,
            value_bytes=value,
            held_bytes=held,
        )
        problems = [
            EdgeProblem(
                edge=f"e{index}",
                items=items,
                storage_bytes=int(total * storage),
                fill_bytes=int(total * fill),
            )
            for index in range(2)
        ]
        limits = Limits(fill_bytes=int(total * common), fill_price=0.1)
        return solve(problems, limits).objective(limits)

    value = size * draw.lognormal(0, 1, 600)
    base = saved(0.2, 0.1, 0.15)
    assert saved(0.3, 0.1, 0.15) >= 0.99 * base
    assert saved(0.2, 0.15, 0.15) >= 0.99 * base
    assert saved(0.2, 0.1, 0.2) >= 0.99 * base
