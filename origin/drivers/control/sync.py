"""Keeps this origin and the database in step, about once a second.

What edges said here is written, what they said to other origins is read, and so are changes of
records, tokens and plans. While the database is away everything goes on from memory; what is to be
written waits, the newest of each edge, and is written when it is back.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from nearcast.errors import NearcastError
from nearcast.fleet import Heartbeat
from origin.drivers.control.desk import Desk
from origin.drivers.control.identities import Identities
from origin.drivers.state import ControlStore, StateUnavailable
from origin.drivers.state.shared_clock import is_far
from origin.fleet.events import HeartbeatRead, StateRead
from origin.records import HeartbeatRecord, ObservationRecord, OriginRecord, PlanHead, Revisions

logger = logging.getLogger(__name__)

INTERVAL_S: Final = 1.0
RETRY_S_MAX: Final = 5.0
RECORDS_AT_A_TIME: Final = 50
"""In one transaction: some milliseconds of Python in which nobody is answered."""
ORIGIN_S: Final = 10.0
"""An origin that has said nothing for so long is not one that edges are sent to."""


class Follower(Protocol):
    """Who wants to know what was read."""

    def state_read(self, state: StateRead) -> None: ...

    def heartbeat_read(self, beat: Heartbeat, received_wall_s: float) -> None: ...

    def plan_in_force(self, plan: PlanHead | None, edges: frozenset[str]) -> None: ...

    def origins_known(self, origins: tuple[OriginRecord, ...]) -> None: ...

    def access_changed(self) -> None: ...

    def database_away(self, why: str | None) -> None:
        """None: it is back."""


class Sync:
    """`look` once before the ports open, then `run`."""

    def __init__(
        self,
        store: ControlStore,
        identities: Identities,
        desk: Desk,
        follower: Follower,
        origin: OriginRecord,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._identities = identities
        self._desk = desk
        self._follower = follower
        self._origin = origin
        self._wall_s = wall_s
        self._seen = Revisions(edges=-1, heartbeats=-1, observations=-1, plans=-1, access=-1)
        self._heartbeats_revision = 0
        self._observations_revision = 0
        self._origins: tuple[tuple[str, str], ...] = ()
        self._now = asyncio.Event()
        self._turn = asyncio.Lock()
        self.away_since_wall_s: float | None = None
        self.trouble = ""
        """Why what is to be written waits; empty: it does not."""
        self.lag_s = 0.0
        """What the last round took."""
        self.clock_ahead_s = 0.0
        """Of the database's clock; behind: negative."""

    def hurry(self) -> None:
        """Do not wait for the next second."""
        self._now.set()

    async def run(self) -> None:
        retry_s = INTERVAL_S
        while True:
            try:
                async with asyncio.timeout(retry_s):
                    await self._now.wait()
            except TimeoutError:
                pass
            self._now.clear()
            retry_s = INTERVAL_S
            try:
                await self.look()
            except StateUnavailable as error:
                self._away(error)
                retry_s = RETRY_S_MAX if self._is_long_away() else INTERVAL_S
            except NearcastError as error:
                logger.error("control.sync_failed detail=%s", error)
                retry_s = RETRY_S_MAX

    async def look(self) -> None:
        """One round. Raises StateUnavailable: then nothing is lost, and the next tries again."""
        began_s = time.monotonic()
        await self.write()
        await self._read()
        if self.away_since_wall_s is not None:
            logger.info(
                "control.database_back after_s=%.0f", self._wall_s() - self.away_since_wall_s
            )
            self.away_since_wall_s, self.trouble = None, ""
            self._follower.database_away(None)
        self.lag_s = time.monotonic() - began_s

    async def write(self) -> None:
        """What waits; called a last time before the end. When it returns, all that was heard before
        the call is written."""
        async with self._turn:
            await self._write()

    async def _write(self) -> None:
        wall_s = self._wall_s()
        ours = msgspec.structs.replace(self._origin, seen_wall_s=wall_s)
        self._tell_clock(await self._store.put_origin(ours))
        beats, self._desk.heartbeats = self._desk.heartbeats, {}
        records = list(beats.values())
        try:
            for begin in range(0, len(records), RECORDS_AT_A_TIME):
                await self._store.put_heartbeats(records[begin : begin + RECORDS_AT_A_TIME])
        except NearcastError:
            self._desk.heartbeats = {**beats, **self._desk.heartbeats}
            raise
        seen, self._desk.seen = self._desk.seen, {}
        try:
            await self._store.put_observations(tuple(seen.values()))
        except NearcastError:
            self._desk.seen = {**seen, **self._desk.seen}
            raise

    async def _read(self) -> None:
        revisions = await self._store.revisions()
        known = self._seen
        state = StateRead(wall_s=self._wall_s())
        if revisions.access != known.access:
            self._follower.access_changed()
        is_fleet_changed = revisions.edges != known.edges
        if is_fleet_changed:
            await self._identities.refresh()
        beats: tuple[HeartbeatRecord, ...] = ()
        if revisions.heartbeats != known.heartbeats:
            # At the first look our own are read too: this may be a process of the same name.
            besides = "" if self._heartbeats_revision == 0 else self._origin.origin_id
            self._heartbeats_revision, beats = await self._store.heartbeats_since(
                self._heartbeats_revision, besides=besides
            )
        seen: tuple[ObservationRecord, ...] = ()
        if revisions.observations != known.observations:
            besides = "" if self._observations_revision == 0 else self._origin.origin_id
            self._observations_revision, seen = await self._store.observations_since(
                self._observations_revision, besides=besides
            )
        read = tuple(beat for record in beats if (beat := _beat(record)) is not None)
        state = msgspec.structs.replace(state, heartbeats=read, observations=seen)
        if is_fleet_changed:  # taken now: somebody may have enrolled while the rest was read
            state = msgspec.structs.replace(state, edges=tuple(self._identities.records.values()))
        # Also with nothing new: it says that the database can be read.
        self._follower.state_read(state)
        for one in read:
            self._follower.heartbeat_read(one.heartbeat, one.received_wall_s)
        if revisions.plans != known.plans:
            plan = await self._store.current_plan()
            edges = () if plan is None else await self._store.plan_edges(plan.plan_id)
            self._follower.plan_in_force(plan, frozenset(edges))
        origins = await self._store.origins(self._wall_s(), ORIGIN_S)
        names = tuple((one.origin_id, one.fleet_url) for one in origins)
        if names != self._origins:
            self._origins = names
            self._follower.origins_known(origins)
        self._seen = revisions

    def _tell_clock(self, ahead_s: float) -> None:
        was_far, self.clock_ahead_s = is_far(self.clock_ahead_s), ahead_s
        if is_far(ahead_s) and not was_far:
            logger.error(
                "control.clock_far ahead_s=%.0f: this machine's clock is not the database's; no "
                "plans, history or figures are written here until both are set right",
                ahead_s,
            )
        elif was_far and not is_far(ahead_s):
            logger.info("control.clock_near ahead_s=%.1f", ahead_s)

    def _away(self, error: StateUnavailable) -> None:
        self.trouble = error.trouble
        if self.away_since_wall_s is None:
            self.away_since_wall_s = self._wall_s()
            logger.warning("control.database_away detail=%s", error)
            self._follower.database_away(str(error))

    def _is_long_away(self) -> bool:
        since = self.away_since_wall_s
        return since is not None and self._wall_s() - since > 10 * INTERVAL_S


def _beat(record: HeartbeatRecord) -> HeartbeatRead | None:
    try:
        beat = msgspec.json.decode(record.body, type=Heartbeat)
    except msgspec.MsgspecError:
        logger.error("control.heartbeat_unreadable edge=%s", record.edge)
        return None
    if record.held is not None:
        beat = msgspec.structs.replace(beat, held=record.held)
    return HeartbeatRead(heartbeat=beat, received_wall_s=record.received_wall_s)
