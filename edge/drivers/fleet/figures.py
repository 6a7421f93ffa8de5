"""What an operator of an edge sees of its membership."""

from __future__ import annotations

import msgspec

from nearcast.fleet import Duty


class MembershipFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How membership goes."""

    edge: str = ""
    state: str = "off"
    duty: Duty = "active"
    origin: str = ""
    heard_s_ago: float | None = None
    clock_ahead_s: float = 0.0
    """The origin's, of ours."""
    heartbeat_count: int = 0
    heartbeat_failures: int = 0
    observation_failures: int = 0
    """Messages about other edges that no origin took."""
    plan_refusals: int = 0
    plan_refused_last: str = ""
    probed_count: int = 0
    """Other edges that are looked at."""
    down: tuple[str, ...] = ()
    """Of these, those that fail."""
