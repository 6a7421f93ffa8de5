"""Live players behind shaped links, and the same sessions simulated: one short run."""

from pathlib import Path

import numpy as np
import pytest

from abr.controllers import ControllerSettings
from nearcast.trace import Trace
from simulation.bench.agreement.live import play_live
from simulation.bench.agreement.plan import Plan, Session
from simulation.bench.agreement.report import compare
from simulation.bench.agreement.simulated import play_simulated
from simulation.sessions.study import Choice
from simulation.sessions.title import SessionTitle


def test_a_short_title_is_played_alike(tmp_path: Path) -> None:
    ladder_kbps = np.array([1000.0, 3000.0])
    sizes_bits = np.broadcast_to(ladder_kbps * 1000.0 * 0.5, (6, 2)).copy()
    title = SessionTitle(ladder_kbps, 0.5, sizes_bits)
    # The first link carries the upper rung from the second segment on; the second one has an
    # outage of 2 s, which its buffer does not cover.
    traces = (Trace.constant(20_000), Trace((0, 0.8, 2.8, 600), (3_000, 0, 20_000)))
    sessions = tuple(
        Session(family="made", trace_id=f"{index}", trace=trace, rtt_s=0.04, title=title)
        for index, trace in enumerate(traces)
    )
    choice = Choice("throughput", "throughput", ControllerSettings())
    plan = Plan(sessions=sessions, choice=choice, buffer_s_max=25.0, can_abandon=False)
    live = play_live(plan, tmp_path)
    assert [report.ended for report in live.reports] == ["finished", "finished"]
    found = compare(plan, live, play_simulated(plan, live.manifests_bytes))
    clear, broken = found.rows
    assert clear.live.stalled_s == clear.simulated.stalled_s == 0
    assert clear.live.switch_count == clear.simulated.switch_count == 1
    assert clear.bitrate_gap == pytest.approx(0.0, abs=1e-6)
    assert broken.simulated.stalled_s > 0.5
    assert broken.live.stalled_s == pytest.approx(broken.simulated.stalled_s, abs=0.5)
    assert clear.live.startup_s >= clear.simulated.startup_s - 0.01
