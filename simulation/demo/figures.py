"""From what each side left behind to the same figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from edge.status import EdgeStatus
from origin.catalog import TitleDetail
from simulation.demo.live import LiveSide
from simulation.demo.plan import DemoPlan
from simulation.demo.twin import twin_scenario, twin_title
from simulation.report import Figures, figures
from simulation.world import World


def live_figures(side: LiveSide) -> Mapping[str, Any]:
    """The figures of one live side, from its viewers' reports and its edge's last status."""
    sessions = tuple(session for viewer in side.viewers for session in viewer.sessions)
    inference = side.edge.get("inference") or {}
    return _plain(
        figures(
            sessions,
            msgspec.convert(side.edge, EdgeStatus),
            inference.get("p99_s"),
            inference.get("p50_s"),
        )
    )


def simulated_figures(
    plan: DemoPlan, titles: Mapping[str, TitleDetail], seed: int
) -> dict[str, Mapping[str, Any]]:
    """The figures of both sides of the twin."""
    twins = tuple(twin_title(titles[title.id]) for title in plan.titles)
    outcome = World(twin_scenario(plan, twins, seed), titles=twins).run()
    return {side: _plain(edge.figures) for side, edge in outcome.edges.items()}


def _plain(found: Figures) -> Mapping[str, Any]:
    plain = msgspec.to_builtins(found)
    assert isinstance(plain, dict)
    return plain
