"""Links nobody recorded: rates that wander, jump, step and fail.

They let a model exist without data, and teach one with data what its recordings lack.
"""

from __future__ import annotations

import numpy as np

from predictor.bandwidth.history import Floats
from predictor.train.bandwidth_traces import Trace

KINDS = ("wandering", "switching", "stepping", "drifting")
FAMILY = "generated"
_LENGTH_S = 400


def generate(count: int, rng: np.random.Generator) -> list[Trace]:
    """`count` traces of some minutes, of all kinds in turn."""
    return [_trace(KINDS[at % len(KINDS)], at, rng) for at in range(count)]


def _trace(kind: str, at: int, rng: np.random.Generator) -> Trace:
    step_s = float(rng.choice([0.5, 1.0, 2.0, 5.0], p=[0.1, 0.5, 0.2, 0.2]))
    steps = int(_LENGTH_S / step_s)
    level = rng.uniform(9.0, 19.0)
    if kind == "wandering":
        path = _wander(steps, step_s, rng, memory_s=2.0 ** rng.uniform(0.0, 6.0))
        path = path * 2.0 ** rng.uniform(-3.5, 0.7)
    elif kind == "switching":
        path = _switch(steps, step_s, rng)
    elif kind == "stepping":
        path = _steps(steps, step_s, rng)
    else:
        turns = rng.uniform(0.5, 4.0) * np.linspace(0.0, 2.0 * np.pi, steps)
        path = rng.uniform(0.3, 2.0) * np.sin(turns + rng.uniform(0.0, 6.0))
    noise = 2.0 ** rng.uniform(-6.0, -0.5) * rng.normal(size=steps)
    kbps = 2.0 ** (level + path + noise)
    if rng.random() < 0.35:
        kbps = np.where(_outages(steps, step_s, rng), 0.0, kbps)
    return Trace(
        family=FAMILY,
        trace_id=f"{kind}-{at}",
        times_s=np.arange(steps + 1, dtype=np.float64) * step_s,
        kbps=np.minimum(kbps, 4e6),
    )


def _wander(steps: int, step_s: float, rng: np.random.Generator, memory_s: float) -> Floats:
    """Noise of unit variance that forgets within `memory_s`."""
    keep = np.exp(-step_s / memory_s)
    draws = rng.normal(size=steps) * np.sqrt(1.0 - keep**2)
    path = np.empty(steps)
    value = rng.normal()
    for at in range(steps):
        value = keep * value + draws[at]
        path[at] = value
    return path


def _switch(steps: int, step_s: float, rng: np.random.Generator) -> Floats:
    """A few states of their own level, each held for a random time."""
    levels = rng.normal(0.0, rng.uniform(0.5, 2.0), int(rng.integers(2, 6)))
    hold_s = 2.0 ** rng.uniform(2.0, 6.0)
    changes = rng.random(steps) < 1.0 - np.exp(-step_s / hold_s)
    state = rng.integers(0, len(levels), steps)
    return np.asarray(levels[state[np.maximum.accumulate(np.arange(steps) * changes)]])


def _steps(steps: int, step_s: float, rng: np.random.Generator) -> Floats:
    """Slow and fast by turns, each for its own time."""
    slow_s, fast_s = rng.uniform(20.0, 120.0, 2)
    phase = (np.arange(steps) * step_s + rng.uniform(0.0, slow_s + fast_s)) % (slow_s + fast_s)
    return np.where(phase < slow_s, 0.0, rng.uniform(0.5, 5.0))


def _outages(steps: int, step_s: float, rng: np.random.Generator) -> Floats:
    hold_s, every_s = 2.0 ** rng.uniform(0.5, 7.0), 2.0 ** rng.uniform(4.0, 8.0)
    is_out = np.zeros(steps, dtype=bool)
    at = float(rng.exponential(every_s))
    while at < _LENGTH_S:
        end = at + float(rng.exponential(hold_s))
        is_out[int(at / step_s) : int(end / step_s) + 1] = True
        at = end + float(rng.exponential(every_s))
    return is_out
