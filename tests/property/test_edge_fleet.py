"""Whatever plans say and links do, an edge keeps to windows, rate, bytes and share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import FleetConfig
from edge.fleet.leave import Leave, Reader
from edge.fleet.orders import PlanFollowed, SpentKept
from nearcast.fill_window import BURST_S
from nearcast.placement import FillWindow, Peer
from nearcast.units import bytes_per_s_from_kbps
from tests.edge_bench import EPOCH_S
from tests.placed_world import PlacedWorld, planned

PEER = "http://peer:8081"


@st.composite
def plans(draw: st.DrawFn) -> dict[str, object]:
    """What a plan may say beside its files."""
    starts = sorted(draw(st.lists(st.integers(0, 200), min_size=1, max_size=3, unique=True)))
    windows = [
        FillWindow(
            from_wall_s=EPOCH_S + start,
            until_wall_s=EPOCH_S + min(start + draw(st.integers(2, 60)), following),
        )
        for start, following in zip(starts, [*starts[1:], 10_000], strict=True)
    ]
    return {
        "windows": tuple(windows),
        "fill_kbps_max": float(draw(st.sampled_from([200, 1_000, 20_000]))),
        "fill_bytes_max": draw(st.integers(0, 600_000)),
        "pinned_bytes_max": draw(st.integers(0, 600_000)),
        "peers": (Peer(edge="p1", url=PEER),),
    }


@settings(max_examples=40, deadline=None)
@given(
    changes=plans(),
    seed=st.integers(0, 1 << 30),
    in_flight_max=st.integers(1, 3),
)
def test_no_byte_outside_windows_rate_and_bytes(
    changes: dict[str, object], seed: int, in_flight_max: int
) -> None:
    chance = np.random.default_rng(seed)
    world = PlacedWorld(fleet=FleetConfig(in_flight_max=in_flight_max))
    world.is_slow = True
    paths = [f"/media/e{no}/low/{index}.m4s" for no in (1, 2, 3) for index in range(1, 11)]
    world.peers[PEER] = set(chance.choice(paths, 15, replace=False))
    files = tuple(planned(no, from_edges=("p1",)) for no in (1, 2, 3))
    plan = world.plan(*files, **changes)
    world.run(PlanFollowed(plan=plan))
    for _ in range(150):
        world.move_to(world.now_s + float(chance.uniform(0.0, 3.0)))
        world.deliver(int(chance.integers(1, 200_000)))
        if chance.random() < 0.1:  # a viewer, who may join what is being fetched
            world.get(str(chance.choice(paths)))
        pinned_bytes = world.core.status(world.now_s).pinned_bytes
        assert pinned_bytes <= plan.pinned_bytes_max
    check_arrivals(world.arrived, plan.windows, plan.fill_kbps_max)
    assert sum(size_bytes for _, size_bytes in world.arrived) <= plan.fill_bytes_max
    assert world.figures.spent_bytes <= plan.fill_bytes_max


def check_arrivals(
    arrived: list[tuple[float, int]], windows: tuple[FillWindow, ...], rate_kbps: float
) -> None:
    rate = bytes_per_s_from_kbps(rate_kbps)
    opened: list[list[float]] = []  # windows that touch are open on
    for window in windows:
        if opened and window.from_wall_s == opened[-1][1]:
            opened[-1][1] = window.until_wall_s
        else:
            opened.append([window.from_wall_s, window.until_wall_s])
    for from_wall_s, until_wall_s in opened:
        inside = [
            (at_wall_s, size_bytes)
            for at_wall_s, size_bytes in arrived
            if from_wall_s <= at_wall_s < until_wall_s
        ]
        arrived = [one for one in arrived if one not in inside]
        total_bytes = 0
        for at_wall_s, size_bytes in inside:
            total_bytes += size_bytes
            assert total_bytes <= rate * (at_wall_s - from_wall_s) + 1
        for first in range(len(inside)):
            run_bytes = 0
            for at_wall_s, size_bytes in inside[first:]:
                run_bytes += size_bytes
                assert run_bytes <= rate * (at_wall_s - inside[first][0] + BURST_S) + 1
    assert arrived == [], "bytes came outside of all windows"


def write_down(leave: Leave, now_s: float, *, is_kept: bool = True) -> int | None:
    """What is wanted of the disk, and now written."""
    wanted = leave.account.take_wanted(now_s)
    if wanted is None:
        return None
    told = SpentKept(plan_id=wanted.plan_id, spent_bytes=wanted.spent_bytes, is_kept=is_kept)
    leave.account.kept(told, now_s)
    return wanted.spent_bytes if is_kept else None


def test_kills_at_any_moment_do_not_pass_the_bytes() -> None:
    """Each life knows only what was written down: bytes on their way at a kill are spent too."""
    world = PlacedWorld()
    plan_bytes = 2_000_000
    plans = [
        world.plan(plan_id=name * 16, fill_kbps_max=1_600.0, fill_bytes_max=plan_bytes)
        for name in "ab"
    ]
    most_bytes = 0
    for seed in range(1_000):
        chance = np.random.default_rng(seed)
        kept = dict.fromkeys((plan.plan_id for plan in plans), 0)
        came = dict(kept)
        wall_s = EPOCH_S
        for _life in range(int(chance.integers(1, 12))):
            leave = Leave()
            readers: list[Reader] = []
            for is_changed, is_written, share in chance.random((15, 3)) < (0.1, 0.8, 0.7):
                if not leave.clock.plan_id or is_changed:
                    for reader in readers:
                        leave.end(reader, reader.received_bytes, wall_s)
                    readers = []
                    plan = plans[int(chance.integers(2))]
                    leave.follow(plan, kept[plan.plan_id])
                wall_s += 0.7
                if len(readers) < 2 and (begun := leave.begin(300_000, wall_s)) is not None:
                    readers.append(begun)
                if is_written:
                    written = write_down(leave, wall_s)
                    if written is not None:
                        kept[leave.clock.plan_id] = written
                for reader in readers:
                    if not share:
                        continue
                    came[leave.clock.plan_id] += reader.until_bytes - reader.received_bytes
                    if leave.received(reader, reader.until_bytes, wall_s):
                        leave.extend(reader, wall_s)
            assert all(came[name] <= kept[name] for name in came), seed
        assert max(came.values()) <= plan_bytes, seed
        most_bytes = max(most_bytes, *came.values())
    assert most_bytes > 0.9 * plan_bytes  # they do come near


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_nodes_that_are_killed_keep_to_the_bytes_of_a_plan(seed: int) -> None:
    chance = np.random.default_rng(seed)
    kept: dict[str, int] = {}
    arrived_bytes = 0
    plan = None
    for _ in range(6):
        world = PlacedWorld()
        world.is_slow = True
        world.kept = kept
        plan = plan or world.plan(planned(1), planned(2), planned(3), fill_bytes_max=400_000)
        world.run(PlanFollowed(plan=plan, spent_bytes=kept.get(plan.plan_id, 0)))
        for _ in range(int(chance.integers(1, 12))):
            world.move_to(world.now_s + float(chance.uniform(0.0, 1.0)))
            world.deliver(int(chance.integers(1, 60_000)))
            assert arrived_bytes + sum(size for _, size in world.arrived) <= kept.get(
                plan.plan_id, 0
            )
        arrived_bytes += sum(size for _, size in world.arrived)
    assert arrived_bytes <= 400_000


@pytest.mark.parametrize("over_bytes", [0, 1, 65_536])
def test_what_a_socket_brings_beyond_its_leave_is_paid_back(over_bytes: int) -> None:
    world = PlacedWorld()
    plan = world.plan(fill_kbps_max=800.0, fill_bytes_max=20_000_000)
    leave = Leave()
    leave.follow(plan, 0)
    wall_s, received_bytes = EPOCH_S + 1.0, 0
    assert leave.begin(10_000_000, wall_s) is None  # it is to be written down first
    write_down(leave, wall_s)
    reader = leave.begin(10_000_000, wall_s)
    assert reader is not None
    received_bytes = reader.until_bytes + over_bytes
    assert leave.received(reader, received_bytes, wall_s)
    for _ in range(2_000):
        wall_s += 0.05
        write_down(leave, wall_s)
        if leave.extend(reader, wall_s) is not None:
            received_bytes = reader.until_bytes + over_bytes
            assert leave.received(reader, received_bytes, wall_s)
    took_s = wall_s - EPOCH_S
    assert received_bytes <= 100_000 * took_s + over_bytes
    assert received_bytes >= 0.9 * 100_000 * took_s
