"""Compiled sessions against those played by the controllers themselves."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from abr.controllers import ControllerSettings, build_controller
from abr.view import Flags
from nearcast.config import load
from nearcast.trace import Trace
from simulation.sessions.capacity import Capacity
from simulation.sessions.engine import Settings, play
from simulation.sessions.plain import PlainTransport
from simulation.sessions.title import SessionTitle

pytestmark = pytest.mark.skipif(
    find_spec("numba") is None, reason="numba is not installed (extra sim)"
)

SESSION_COUNT = 8
SEGMENT_COUNT = 20
LADDER_KBPS = np.array([300.0, 750.0, 1200.0, 2850.0, 6000.0])
PARAMS = {
    "throughput": [
        "throughput.safety=0.7",
        "throughput.low_buffer_safety=0",
        "throughput.abandon_ratio=1.1",
    ],
    "bola": ["bola.gamma_p=2.5", "bola.safety=0.8"],
    "bolae": ["bolae.low_buffer_safety_first=0.8", "bolae.low_buffer_safety=0.3"],
    "dynamicdash": ["dynamicdash.low_buffer_s=3", "dynamicdash.high_buffer_s=7"],
    "hybrid": ["hybrid.safety=0.9", "hybrid.up_buffer_s=5", "hybrid.window_weight=900"],
    "dynamic": ["dynamic.low_buffer_s=6", "dynamic.gamma_p=8", "dynamic.safety=0.75"],
}


def make_title(seed: int, segment_s: float) -> SessionTitle:
    draw = np.random.default_rng(seed)
    sizes_bits = LADDER_KBPS * 1000 * segment_s * draw.uniform(0.6, 1.5, (SEGMENT_COUNT, 1))
    return SessionTitle(LADDER_KBPS, segment_s, sizes_bits)


def make_traces(seed: int) -> list[Trace]:
    """Links that stall, recover and repeat within a session."""
    draw = np.random.default_rng(seed)
    traces = []
    for _ in range(SESSION_COUNT):
        count = int(draw.integers(1, 30))
        times_s = np.cumsum(draw.uniform(0.2, 8.0, count + 1))
        rates_kbps = draw.lognormal(np.log(1500), 1.0, count) * (draw.random(count) > 0.2)
        rates_kbps[0] += 100.0
        traces.append(Trace(times_s.tolist(), rates_kbps.tolist()))
    return traces


def make_hits(seed: int) -> Flags:
    hits: Flags = np.random.default_rng(seed).random((SESSION_COUNT, SEGMENT_COUNT)) < 0.5
    return hits


@pytest.mark.parametrize("name", list(PARAMS))
@given(
    seed=st.integers(0, 10_000),
    own=st.booleans(),
    segment_s=st.sampled_from([2.0, 4.0]),
    latency_s=st.sampled_from([0.0, 0.04, 0.7]),
    has_hits=st.booleans(),
    how=st.builds(
        Settings,
        buffer_s_max=st.sampled_from([3.0, 12.0, 25.0]),
        first_rung=st.sampled_from([None, 0, 2]),
        can_abandon=st.sampled_from([True, True, False]),
        abandon_count_max=st.integers(0, 2),
    ),
)
@example(seed=1, own=False, segment_s=4.0, latency_s=0.04, has_hits=False, how=Settings())
@example(seed=2753, own=True, segment_s=4.0, latency_s=0.0, has_hits=True, how=Settings())
@settings(max_examples=25, deadline=None)
def test_compiled_sessions_are_those_of_the_controllers(
    name: str,
    seed: int,
    own: bool,
    segment_s: float,
    latency_s: float,
    has_hits: bool,
    how: Settings,
) -> None:
    from simulation.sessions.compiled import play_compiled

    title, capacity = make_title(seed, segment_s), Capacity(make_traces(seed))
    hits = make_hits(seed) if has_hits else None
    found = load(ControllerSettings, role="abr", assignments=PARAMS[name] if own else []).value
    plain = play(
        title,
        build_controller(name, found, SESSION_COUNT),
        PlainTransport(capacity, latency_s, hit_speedup=5.0),
        SESSION_COUNT,
        how,
        hits=hits,
    )
    compiled = play_compiled(
        title,
        name,
        getattr(found, name),
        capacity,
        latency_s,
        how,
        hits=hits,
        hit_speedup=5.0,
    )
    for field in plain.__struct_fields__:
        ours, theirs = getattr(compiled, field), getattr(plain, field)
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-9), field


def test_the_links_of_this_test_use_all_of_every_rule() -> None:
    """Else nothing would be said of that."""
    from simulation.sessions.compiled import KERNELS, play_compiled

    assert set(KERNELS) == set(PARAMS)
    for name in KERNELS:
        params = getattr(ControllerSettings(), name)
        lost = 0
        rungs: set[int] = set()
        for seed in range(5):
            capacity = Capacity(make_traces(seed))
            outcome = play_compiled(make_title(seed, 4.0), name, params, capacity, 0.04)
            lost += int(outcome.abandoned.sum())
            rungs.update(outcome.rungs.ravel().tolist())
        assert lost > 2, name
        assert len(rungs) == LADDER_KBPS.size, name
