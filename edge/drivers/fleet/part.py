"""A node's part in its fleet: the membership, and the telemetry that goes the same way.

A node that has not enrolled has none; asked for something it then does nothing, so that nobody else
needs to know whether there is a fleet.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from importlib import metadata
from typing import TYPE_CHECKING

from edge.config import EdgeConfig
from edge.drivers.fleet.figures import MembershipFigures
from edge.drivers.fleet.folder import Enrolled
from edge.drivers.telemetry import Telemetry
from edge.drivers.telemetry.figures import TelemetryFigures
from edge.effects import WriteTelemetry
from edge.events import Event, Noticed
from edge.fleet.orders import KeepSpent, PlanFollowed
from nearcast.clock import Clock
from nearcast.seeds import Seeds

if TYPE_CHECKING:
    from edge.drivers.fleet.membership import Membership
    from edge.drivers.fleet.reports import Node
    from edge.drivers.telemetry.driver import Spawn


class FleetPart:
    """Make it inside the running loop; `start`, `leave`, `close`, once each."""

    def __init__(
        self,
        config: EdgeConfig,
        enrolled: Enrolled | None,
        *,
        clock: Clock,
        node: Node,
        tell: Callable[[Event], None],
        spawn: Spawn,
        tell_all: Callable[[], None],
    ) -> None:
        """`tell_all`: hand out what telemetry the core has gathered so far. Raises ConfigError when
        the certificate cannot be used."""
        self._tell = tell
        self._tell_all = tell_all
        self._membership: Membership | None = None
        self._telemetry: Telemetry | None = None
        if enrolled is None:
            return
        from edge.drivers.fleet.membership import Membership  # X.509 takes 0.1 s to import

        seeds = Seeds(secrets.randbits(32))
        self._software = f"nearcast {metadata.version('nearcast')}"
        self._membership = membership = Membership(
            config,
            folder=enrolled.folder,
            identity=enrolled.identity,
            software=self._software,
            clock=clock,
            node=node,
            tell=tell,
            jitter=seeds.stream("edge/fleet"),
        )
        if config.telemetry.enabled:
            self._telemetry = Telemetry(
                config.telemetry,
                enrolled.folder.path / "telemetry",
                edge=membership.edge,
                boot_id=membership.boot_id,
                now_s=clock.now_s,
                spawn=spawn,
                jitter=seeds.stream("edge/telemetry"),
            )
            self._telemetry.use(membership.client)

    async def start(self) -> None:
        if self._membership is None:  # what a plan had pinned before is pinned no more
            self._tell(PlanFollowed(plan=None))
            return
        if self._telemetry is not None:
            await self._telemetry.start()
        self._tell(Noticed(what="started", detail=self._software))
        await self._membership.start()

    async def leave(self) -> None:
        """Say that the node drains."""
        if self._membership is not None:
            await self._membership.leave()

    async def close(self) -> None:
        if self._telemetry is not None:
            self._tell_all()
            self._tell(Noticed(what="stopped"))  # hands out what was served until now too
            await self._telemetry.close()
        if self._membership is not None:
            await self._membership.close()

    # What the core wants

    def write_telemetry(self, effect: WriteTelemetry) -> None:
        if self._telemetry is not None:
            self._telemetry.write(effect)

    def keep_spent(self, effect: KeepSpent) -> None:
        if self._membership is not None:
            self._membership.keep_spent(effect)

    # How it does

    def unready(self) -> str | None:
        """Why no players should be sent here, as the operator of the fleet wants it."""
        return self._membership.unready() if self._membership is not None else None

    @property
    def waiting_bytes(self) -> int:
        """Telemetry that no origin has yet."""
        return self._telemetry.waiting_bytes if self._telemetry is not None else 0

    @property
    def dropped_events(self) -> int:
        """Telemetry that there was no room for."""
        return self._telemetry.dropped_events if self._telemetry is not None else 0

    def membership_figures(self) -> MembershipFigures | None:
        return self._membership.figures() if self._membership is not None else None

    def telemetry_figures(self) -> TelemetryFigures | None:
        return self._telemetry.figures() if self._telemetry is not None else None
