"""Whether a client stays where it is: when it is moved for being slow, and where to.

A client that measures little where it was sent is sent to an edge it has not tried, and when it has
tried all that are near, to the one where it measured most, if that is clearly more. Its last mile
may be the slow part; then it is sent round once in ten minutes, and comes to rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nearcast.steering import HOME_PATHWAY, Measured
from origin.steering.tried import TRIED_MAX, TRIED_S, Tried

SLOW_KBPS: Final = 2_500.0
"""Less does not carry 720p; who has more is left in peace."""
SETTLE_S: Final = 15.0
"""Before that a client's estimate is of elsewhere, or a default (hls.js begins at 500 kbit/s)."""
BETTER_RATIO: Final = 1.5
RETURN_S: Final = 120.0
"""Between two moves among edges that were all tried."""


def pathways_used(tried: tuple[Tried, ...], measured: Sequence[Measured]) -> tuple[str, ...]:
    """Where the client is, as far as it says; then where it was since it last asked.

    dash.js lists what it used by throughput, not by time: where it was sent to counts as where it
    is, if that is in the list.
    """
    used = tuple(dict.fromkeys(one.pathway for one in reversed(measured)))
    if tried and tried[0].edge in used:
        return tuple(dict.fromkeys((tried[0].edge, *used)))
    return used or (HOME_PATHWAY,)


def noted(
    tried: tuple[Tried, ...], measured: Sequence[Measured], wall_s: float
) -> tuple[Tried, ...]:
    """`tried` with what the client measured where it was sent, once that means something."""
    if not tried or wall_s - tried[0].since_wall_s < SETTLE_S:
        return tried
    here, *others = tried
    said = next((one for one in measured if one.pathway == here.edge), None)
    if said is None or said.throughput_kbps is None:
        return tried
    kbps = max(1, round(said.throughput_kbps))
    return (
        Tried(edge=here.edge, since_wall_s=here.since_wall_s, throughput_kbps=kbps),
        *others,
    )


def faster_place(tried: tuple[Tried, ...], near: Sequence[str], wall_s: float) -> str | None:
    """Where a client that does badly should go; None: it does well enough, or nowhere is better.
    `near`: edges as good as its own, the best first."""
    if not tried or not 0 < tried[0].throughput_kbps < SLOW_KBPS:
        return None
    here, *others = tried
    known = {one.edge: one for one in tried if wall_s - one.since_wall_s < TRIED_S}
    known[here.edge] = here
    for name in near:
        if name not in known and len(known) < TRIED_MAX:
            return name
    if wall_s - here.since_wall_s < RETURN_S:
        return None
    best = max(others, key=lambda one: one.throughput_kbps, default=None)
    if best is None or best.edge not in near:
        return None
    return best.edge if best.throughput_kbps > BETTER_RATIO * here.throughput_kbps else None


def moved(tried: tuple[Tried, ...], edge: str, wall_s: float) -> tuple[Tried, ...]:
    """`tried` of a client that is sent to `edge` now, or stays there."""
    if tried and tried[0].edge == edge:
        return tried
    others = [one for one in tried if one.edge != edge and wall_s - one.since_wall_s < TRIED_S]
    return (Tried(edge=edge, since_wall_s=int(wall_s)), *others)[:TRIED_MAX]
