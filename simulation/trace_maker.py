"""Makes the bandwidth traces that come with Nearcast.

None of them is a measurement. Each draws from a simple model of what such links are like, so that
a demo or a test has home and mobile links to run on without anybody's data: a slow random walk of
the logarithm of the rate around its median (how good the place is), fast noise on top, and for
mobile links hand-overs and dead spots, during which little or nothing gets through.

Make them again with: python -m simulation.trace_maker simulation/traces
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import msgspec

from nearcast.seeds import Seeds

SEED = 20260101
STEP_S = 1.0


class LinkModel(msgspec.Struct, frozen=True, kw_only=True):
    """How one kind of last mile behaves."""

    name: str
    median_kbps: float
    ceiling_kbps: float
    slow_spread: float  # standard deviation of the logarithm of the slow part
    slow_time_s: float  # how long a good or bad place lasts
    fast_spread: float  # the same of the noise from step to step
    dips_per_minute: float = 0.0
    dip_s: float = 0.0  # mean length of a dip
    dip_factor: float = 0.1  # what is left of the rate in a dip
    dead_share: float = 0.0  # of dips that let nothing through
    duration_s: float = 300.0


MODELS = (
    LinkModel(
        name="fibre",
        median_kbps=90_000,
        ceiling_kbps=100_000,
        slow_spread=0.03,
        slow_time_s=60,
        fast_spread=0.03,
    ),
    # Evening contention on a shared cable segment: slow swings, short dips.
    LinkModel(
        name="cable",
        median_kbps=38_000,
        ceiling_kbps=50_000,
        slow_spread=0.20,
        slow_time_s=45,
        fast_spread=0.08,
        dips_per_minute=0.7,
        dip_s=1.5,
        dip_factor=0.35,
    ),
    LinkModel(
        name="wifi",
        median_kbps=18_000,
        ceiling_kbps=40_000,
        slow_spread=0.35,
        slow_time_s=20,
        fast_spread=0.25,
        dips_per_minute=2.0,
        dip_s=1.5,
        dip_factor=0.15,
    ),
    LinkModel(
        name="mobile",
        median_kbps=11_000,
        ceiling_kbps=40_000,
        slow_spread=0.50,
        slow_time_s=25,
        fast_spread=0.22,
        dips_per_minute=1.5,
        dip_s=2.0,
        dip_factor=0.12,
    ),
    LinkModel(
        name="mobile-poor",
        median_kbps=1_600,
        ceiling_kbps=6_000,
        slow_spread=0.60,
        slow_time_s=25,
        fast_spread=0.30,
        dips_per_minute=1.5,
        dip_s=4.0,
        dip_factor=0.08,
        dead_share=0.5,
    ),
)


def make_rows(model: LinkModel, seed: int = SEED) -> list[tuple[float, float]]:
    """(time, rate) rows, the last of which marks the end."""
    draw = Seeds(seed).stream(f"trace/{model.name}")
    keep = math.exp(-STEP_S / model.slow_time_s)
    slow = 0.0
    dip_left_s = 0.0
    dip_factor = 1.0
    rows: list[tuple[float, float]] = []
    for step in range(round(model.duration_s / STEP_S)):
        slow = keep * slow + math.sqrt(1 - keep * keep) * model.slow_spread * draw.normal()
        fast = model.fast_spread * draw.normal()
        starts_dip = draw.random() < model.dips_per_minute * STEP_S / 60
        length_s = draw.exponential(model.dip_s) if model.dip_s > 0 else 0.0
        is_dead = draw.random() < model.dead_share
        if dip_left_s <= 0 and starts_dip:
            dip_left_s = max(length_s, STEP_S)
            dip_factor = 0.0 if is_dead else model.dip_factor
        rate_kbps = min(model.median_kbps * math.exp(slow + fast), model.ceiling_kbps)
        if dip_left_s > 0:
            rate_kbps *= dip_factor
            dip_left_s -= STEP_S
        rows.append((step * STEP_S, rate_kbps))
    rows.append((model.duration_s, rows[-1][1]))
    return rows


def trace_csv(model: LinkModel, seed: int = SEED) -> str:
    """The file as it is shipped: whole kbit/s, seconds."""
    lines = [f"{time_s:g},{rate_kbps:.0f}" for time_s, rate_kbps in make_rows(model, seed)]
    return "\n".join(["t_s,throughput_kbps", *lines]) + "\n"


def write_traces(folder: Path) -> None:
    for model in MODELS:
        (folder / f"{model.name}.csv").write_text(trace_csv(model), encoding="utf-8")


if __name__ == "__main__":
    write_traces(Path(sys.argv[1]))
