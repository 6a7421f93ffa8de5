"""Whatever plans say and links do, an edge keeps to windows, rate, bytes and share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import FleetConfig
from edge.fleet.leave import Leave
from edge.fleet.orders import PlanFollowed
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


@pytest.mark.parametrize("over_bytes", [0, 1, 65_536])
def test_what_a_socket_brings_beyond_its_leave_is_paid_back(over_bytes: int) -> None:
    world = PlacedWorld()
    plan = world.plan(fill_kbps_max=800.0, fill_bytes_max=20_000_000)
    leave = Leave()
    leave.follow(plan, 0)
    wall_s, received_bytes = EPOCH_S + 1.0, 0
    reader = leave.begin(10_000_000, wall_s)
    assert reader is not None
    received_bytes = reader.until_bytes + over_bytes
    assert leave.received(reader, received_bytes, wall_s)
    for _ in range(2_000):
        wall_s += 0.05
        if leave.extend(reader, wall_s) is not None:
            received_bytes = reader.until_bytes + over_bytes
            assert leave.received(reader, received_bytes, wall_s)
    took_s = wall_s - EPOCH_S
    assert received_bytes <= 100_000 * took_s + over_bytes
    assert received_bytes >= 0.9 * 100_000 * took_s
