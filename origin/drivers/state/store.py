"""The control state as the rest of the origin sees it: one method, one transaction.

What a person does is written to the audit log in the same transaction: pass who it was as `by`.
Methods raise StateUnavailable when the database is away (nothing was changed, try again later) and
StateError when it refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from origin.drivers.state import access_rows, counters, fleet_rows, observed, plan_rows, schema
from origin.drivers.state.database import Database
from origin.drivers.state.shared_clock import is_far, shared_wall_s
from origin.records import (
    ApiToken,
    AuditEntry,
    EdgeRecord,
    EnrolOutcome,
    EnrolToken,
    HeartbeatRecord,
    ObservationRecord,
    OriginRecord,
    PlanHead,
    PlanRecord,
    Revisions,
)

AUDIT_ENTRIES_MAX: Final = 1_000_000
SPENT_S: Final = 30 * 86_400.0
"""So long tokens and leases are kept after their end."""


class ControlStore:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = shared_wall_s

    @classmethod
    async def open(cls, url: str, folder: Path) -> ControlStore:
        """Connect and migrate. `url` empty: SQLite, the file control.db in `folder`.

        Raises ConfigError for a URL of no use, StateUnavailable, and StateError for a database of
        a newer version.
        """
        database = Database.of_url(url, folder)
        try:
            await schema.prepare(database)
        except BaseException:
            await database.close()
            raise
        return cls(database)

    async def close(self) -> None:
        await self.database.close()

    async def revisions(self) -> Revisions:
        """Cheap: what has changed since the last look."""
        async with self.database.reading() as connection:
            return await counters.read(connection)

    async def tidy(self, wall_s: float) -> None:
        """Forget what has long been of no use, so that nothing grows for ever. To be called now
        and then; plans are forgotten as new ones come."""
        async with self.database.writing() as connection:
            await fleet_rows.forget_tokens(connection, wall_s - SPENT_S)
            await access_rows.forget_leases(connection, wall_s - SPENT_S)
            await access_rows.forget_audit(connection, AUDIT_ENTRIES_MAX)

    # Edges

    async def edges(self) -> tuple[EdgeRecord, ...]:
        """All of them by name, the revoked as well."""
        async with self.database.reading() as connection:
            return await fleet_rows.all_edges(connection)

    async def edge(self, edge: str) -> EdgeRecord | None:
        async with self.database.reading() as connection:
            return await fleet_rows.one_edge(connection, edge)

    async def put_edge(
        self, record: EdgeRecord, *, by: str = "", action: str = "edge.changed"
    ) -> None:
        """Add or replace. `by` empty: no person did this, and it is not audited."""
        async with self.database.writing() as connection:
            await fleet_rows.put_edge(connection, record, by=by, action=action)

    async def change_edge(
        self,
        edge: str,
        edit: Callable[[EdgeRecord], EdgeRecord],
        *,
        wall_s: float,
        by: str,
        action: str,
    ) -> EdgeRecord | None:
        """Change it as it is in the database now; None: there is no such edge. Raises UrlTaken."""
        async with self.database.writing() as connection:
            return await fleet_rows.change_edge(
                connection, edge, edit, wall_s=wall_s, by=by, action=action
            )

    async def remove_edge(self, edge: str, *, wall_s: float, by: str = "") -> bool:
        """One that was revoked, with what was heard of it; false: there is no such one."""
        async with self.database.writing() as connection:
            return await fleet_rows.remove_edge(connection, edge, wall_s=wall_s, by=by)

    async def add_token(self, token: EnrolToken) -> None:
        async with self.database.writing() as connection:
            await fleet_rows.add_token(connection, token)

    async def take_token(self, token_sha256: str, edge: str, wall_s: float) -> EnrolToken | None:
        """The token, to the first who takes it; None: unknown, taken, too old or for another."""
        async with self.database.writing() as connection:
            return await fleet_rows.take_token(connection, token_sha256, edge, wall_s)

    async def enrol(self, token_sha256: str, record: EdgeRecord, wall_s: float) -> EnrolOutcome:
        """Take the token and put the edge, both or neither. An edge of that name that is not
        revoked is a duplicate, and the token stays good; so it does with UrlTaken."""
        async with self.database.writing() as connection:
            return await fleet_rows.enrol(connection, token_sha256, record, wall_s)

    # Origins

    async def put_origin(self, record: OriginRecord) -> float:
        """Say that it is there; those not heard of for a day are forgotten. How far its clock
        (`seen_wall_s`) is ahead of the database's, which is what is written."""
        async with self.database.writing() as connection:
            shared_s = await self.clock(connection, record.seen_wall_s)
            seen = msgspec.structs.replace(record, seen_wall_s=shared_s)
            await fleet_rows.put_origin(connection, seen)
        return record.seen_wall_s - shared_s

    async def remove_origin(self, origin_id: str) -> None:
        async with self.database.writing() as connection:
            await fleet_rows.remove_origin(connection, origin_id)

    async def origins(self, wall_s: float, within_s: float) -> tuple[OriginRecord, ...]:
        """Those seen within that time, the eldest first."""
        async with self.database.reading() as connection:
            shared_s = await self.clock(connection, wall_s)
            return await fleet_rows.origins_seen(connection, shared_s, within_s)

    # What was heard

    async def put_heartbeats(self, records: Sequence[HeartbeatRecord]) -> None:
        """Keep the newest of each edge; older ones change nothing. May be repeated."""
        if records:
            async with self.database.writing() as connection:
                await observed.put_heartbeats(connection, records)

    async def heartbeats_since(
        self, revision: int, *, besides: str = ""
    ) -> tuple[int, tuple[HeartbeatRecord, ...]]:
        """What changed after `revision`, and up to which one; 0 gives all. `held` is given only
        when it changed after `revision`. What the origin `besides` received is left out."""
        async with self.database.reading() as connection:
            return await observed.heartbeats_since(connection, revision, besides)

    async def put_observations(self, records: Sequence[ObservationRecord]) -> None:
        """Keep the newest of each pair of observer and edge. May be repeated."""
        if records:
            async with self.database.writing() as connection:
                await observed.put_observations(connection, records)

    async def observations_since(
        self, revision: int, *, besides: str = ""
    ) -> tuple[int, tuple[ObservationRecord, ...]]:
        async with self.database.reading() as connection:
            return await observed.observations_since(connection, revision, besides)

    # Plans

    async def add_plan(self, record: PlanRecord, *, by: str = "") -> bool:
        """As proposed; false: it is there already, and stays as it is. Old ones are forgotten."""
        async with self.database.writing() as connection:
            return await plan_rows.add(connection, record, by=by)

    async def plan(self, plan_id: str) -> PlanRecord | None:
        async with self.database.reading() as connection:
            return await plan_rows.one(connection, plan_id)

    async def plans(self, limit: int = plan_rows.PLANS_KEPT) -> tuple[PlanHead, ...]:
        """Newest first."""
        async with self.database.reading() as connection:
            return await plan_rows.heads(connection, limit)

    async def apply_plan(self, plan_id: str, *, wall_s: float, by: str = "") -> PlanHead | None:
        """Put it in force instead of the one that is; None: there is no such plan."""
        async with self.database.writing() as connection:
            return await plan_rows.apply(connection, plan_id, wall_s=wall_s, by=by)

    async def current_plan(self) -> PlanHead | None:
        async with self.database.reading() as connection:
            return await plan_rows.current(connection)

    async def newest_plan(self, made_by: str) -> PlanHead | None:
        """The newest that `made_by` made, whatever became of it."""
        async with self.database.reading() as connection:
            return await plan_rows.newest(connection, made_by)

    async def edge_plan(self, plan_id: str, edge: str) -> bytes | None:
        """What was signed for this edge."""
        async with self.database.reading() as connection:
            return await plan_rows.edge_plan(connection, plan_id, edge)

    async def plans_of_edges(self, plan_id: str, edges: Sequence[str]) -> dict[str, bytes]:
        """What was signed for each of these that has a part in it."""
        async with self.database.reading() as connection:
            return await plan_rows.plans_of_edges(connection, plan_id, edges)

    async def plan_ids(self, start: str) -> tuple[str, ...]:
        """Those that begin so, at most two."""
        async with self.database.reading() as connection:
            return await plan_rows.ids_beginning(connection, start)

    async def plan_head(self, plan_id: str) -> PlanHead | None:
        async with self.database.reading() as connection:
            return await plan_rows.head(connection, plan_id)

    async def plan_edges(self, plan_id: str) -> tuple[str, ...]:
        """Who has a part in it."""
        async with self.database.reading() as connection:
            return await plan_rows.plan_edges(connection, plan_id)

    # Access

    async def secret(self, name: str) -> bytes | None:
        async with self.database.reading() as connection:
            return await access_rows.secret(connection, name)

    async def put_secret_once(self, name: str, value: bytes) -> bytes:
        """The value that is stored from now on: the first that anybody put."""
        async with self.database.writing() as connection:
            return await access_rows.put_secret_once(connection, name, value)

    async def add_api_token(self, token: ApiToken, *, by: str) -> None:
        """Raises StateError when the name is taken."""
        async with self.database.writing() as connection:
            await access_rows.add_api_token(connection, token, by=by)

    async def api_token(self, token_sha256: str) -> ApiToken | None:
        """Whatever its state: the caller looks at `until_wall_s` and `revoked_wall_s`."""
        async with self.database.reading() as connection:
            return await access_rows.api_token(connection, token_sha256)

    async def api_tokens(self) -> tuple[ApiToken, ...]:
        async with self.database.reading() as connection:
            return await access_rows.all_api_tokens(connection)

    async def revoke_api_token(self, name: str, *, wall_s: float, by: str) -> bool:
        """False: there is none of that name, or it is revoked already."""
        async with self.database.writing() as connection:
            return await access_rows.revoke_api_token(connection, name, wall_s=wall_s, by=by)

    async def audit(self, entry: AuditEntry) -> None:
        """For a change that is not in this database."""
        async with self.database.writing() as connection:
            await access_rows.write_audit(connection, entry)

    async def audit_entries(
        self, limit: int = 100, before_id: int | None = None
    ) -> tuple[AuditEntry, ...]:
        """Newest first; `before_id` for the next page."""
        async with self.database.reading() as connection:
            return await access_rows.audit_entries(connection, limit, before_id)

    async def lease(self, name: str, holder: str, wall_s: float, seconds: float) -> bool:
        """Whether `holder` has it for so long: it was free, run out, or its own. Nobody has it
        whose clock (`wall_s`) is far from the database's: what leases are for would go by it."""
        async with self.database.writing() as connection:
            shared_s = await self.clock(connection, wall_s)
            if is_far(wall_s - shared_s):
                return False
            return await access_rows.lease(connection, name, holder, shared_s, seconds)

    async def is_on_time(self, wall_s: float) -> bool:
        """Whether a clock that says `wall_s` is near the database's."""
        async with self.database.reading() as connection:
            return not is_far(wall_s - await self.clock(connection, wall_s))

    async def release(self, name: str, holder: str) -> None:
        """Give a lease back before its time, so that another need not wait for it."""
        async with self.database.writing() as connection:
            await access_rows.release(connection, name, holder)
