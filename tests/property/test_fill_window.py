"""Random plans and random links: planned bytes keep to window, rate and budget."""

import numpy as np
import pytest

from nearcast.fill_window import BURST_S, FillClock, Grant
from nearcast.placement import EdgePlan, FillWindow
from nearcast.seeds import Seeds
from nearcast.units import bytes_per_s_from_kbps

SEED_COUNT = 1_000
SEEDS_PER_TEST = 100
STEPS = 120
START_WALL_S = 1_700_000_000.0


def random_plan(draw: np.random.Generator, number: int) -> EdgePlan:
    times = np.cumsum(draw.uniform(0.5, 60.0, size=2 * int(draw.integers(1, 5))))
    windows = tuple(
        FillWindow(from_wall_s=START_WALL_S + float(a), until_wall_s=START_WALL_S + float(b))
        for a, b in zip(times[::2], times[1::2], strict=True)
    )
    rate_kbps = float(10 ** draw.uniform(0.0, 6.0))
    whole_bytes = bytes_per_s_from_kbps(rate_kbps) * float(times[-1])
    return EdgePlan(
        plan_id=f"{number:064x}",
        edge="ams1",
        made_wall_s=START_WALL_S,
        valid_from_wall_s=START_WALL_S + float(draw.choice([-5.0, 5.0])),
        valid_until_wall_s=START_WALL_S + float(times[-1] * draw.uniform(0.6, 1.2)),
        pinned_bytes_max=10**12,
        fill_bytes_max=int(whole_bytes * draw.uniform(0.05, 1.0)),
        fill_kbps_max=rate_kbps,
        windows=windows,
        files=(),
    )


def arrivals(plan: EdgePlan, draw: np.random.Generator) -> list[tuple[float, int]]:
    """What a fetcher that asks all the time gets over links of any behaviour: (time, bytes)."""
    clock = FillClock()
    clock.follow(plan)
    waiting: list[tuple[float, Grant]] = []  # when the link delivers
    now_s, found = START_WALL_S - 1.0, []
    pace_s = float(draw.choice([0.001, 0.05, 1.0, 5.0]))
    for _ in range(STEPS):
        step_s = float(draw.exponential(pace_s))
        upcoming = clock.next_s(now_s)
        if not waiting and upcoming is not None and draw.random() < 0.5:
            step_s = max(0.0, upcoming - now_s)
        now_s += step_s
        for at_s, grant in sorted(waiting, key=lambda each: min(each[0], each[1].until_wall_s)):
            settled_s = min(at_s, grant.until_wall_s)
            if settled_s <= now_s:
                share = float(draw.choice([0.0, 0.3, 1.0])) if at_s < grant.until_wall_s else 0.0
                arrived_bytes = int(grant.size_bytes * share)
                clock.settle(grant, arrived_bytes, settled_s)
                waiting.remove((at_s, grant))
                if arrived_bytes:
                    found.append((at_s, arrived_bytes))
        if len(waiting) < 4:
            taken = clock.take(int(draw.integers(1, 200_000)), now_s)
            if taken is not None:
                waiting.append((now_s + float(draw.exponential(pace_s)), taken))
    assert clock.spent_bytes == sum(size_bytes for _, size_bytes in found)
    return sorted(found)


@pytest.mark.parametrize("first", range(0, SEED_COUNT, SEEDS_PER_TEST))
def test_never_a_byte_outside_window_rate_or_budget(first: int) -> None:
    came = 0
    for seed in range(first, first + SEEDS_PER_TEST):
        draw = Seeds(seed).stream("fill_window")
        plan = random_plan(draw, seed)
        rate = bytes_per_s_from_kbps(plan.fill_kbps_max)
        burst_bytes = max(1.0, rate * BURST_S)
        found = arrivals(plan, draw)
        assert sum(size for _, size in found) <= plan.fill_bytes_max, seed
        at = np.array([time for time, _ in found])
        total = np.concatenate([[0.0], np.cumsum([size for _, size in found])])
        for index, time in enumerate(at):
            open_now = [
                window
                for window in plan.windows
                if max(window.from_wall_s, plan.valid_from_wall_s) <= time
                and time < min(window.until_wall_s, plan.valid_until_wall_s)
            ]
            assert len(open_now) == 1, seed
            start_s = max(open_now[0].from_wall_s, plan.valid_from_wall_s)
            since = int(np.searchsorted(at, start_s))
            in_window_bytes = total[index + 1] - total[since]
            assert in_window_bytes <= rate * (time - start_s) * (1 + 1e-6) + 1.0, seed
            # Any interval that ends here.
            passed_bytes = total[index + 1] - total[: index + 1]
            assert (passed_bytes <= rate * (time - at[: index + 1]) + burst_bytes + 1.0).all(), seed
        came += len(found)
    assert came > SEEDS_PER_TEST  # the links did deliver
