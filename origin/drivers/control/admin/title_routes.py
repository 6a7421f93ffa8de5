"""Titles as the operator sees them: where they are, why, and whether it was foreseen."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final

import msgspec

from nearcast.held_digest import sum_of
from nearcast.messages import TitleEntry
from nearcast.units import DAY_S
from origin.control import api
from origin.control.viewings import viewings
from origin.drivers.control.admin.routes import ApiError, Call, Route
from origin.drivers.control.plan_worker import StoredSummary
from origin.drivers.control.planning import edge_plan
from origin.drivers.state import ControlStore
from origin.drivers.state.demand_rows import title_hours, top_titles
from origin.drivers.state.session_rows import title_viewings
from origin.fleet import Fleet

TITLES_SHOWN: Final = 200
WEEK_S: Final = 7 * DAY_S

Catalogue = Callable[[], tuple[TitleEntry, ...]]


class TitleRoutes:
    def __init__(
        self,
        store: ControlStore,
        fleet: Fleet,
        catalogue: Catalogue,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._catalogue = catalogue
        self._wall_s = wall_s
        self.routes = (
            Route(
                "GET", "/titles", "viewer", self._titles,
                "Titles whose id or name has the query, most watched first",
                query=api.TitlesQuery, answer=api.TitleList,
            ),
            Route(
                "GET", "/titles/{title}", "viewer", self._title,
                "One title: where it is and is planned, forecast against actual",
                query=api.TitleQuery, answer=api.TitleDetail,
            ),
        )  # fmt: skip

    async def _titles(self, call: Call) -> api.TitleList:
        query: api.TitlesQuery = call.query
        word = query.query.lower()
        sums = {
            one.title: one
            for one in await top_titles(
                self._store.database, self._wall_s() - query.window_s, limit=TITLES_SHOWN
            )
        }
        if word:
            # Ids that have the word, however little they were watched.
            for one in await top_titles(
                self._store.database,
                self._wall_s() - query.window_s,
                containing=query.query,
                limit=TITLES_SHOWN,
            ):
                sums[one.title] = one
        names = {entry.id: entry for entry in self._catalogue()}
        rows = []
        for title in sorted(set(sums) | set(names)):
            entry, taken = names.get(title), sums.get(title)
            name = title if entry is None else entry.name
            if word in title.lower() or word in name.lower():
                rows.append(
                    api.TitleRow(
                        title=title,
                        name=name,
                        series=None if entry is None else entry.series,
                        genre=None if entry is None else entry.genre,
                        duration_s=None if entry is None else entry.duration_s,
                        client_bytes=0 if taken is None else taken.client_bytes,
                        resident_bytes=0 if taken is None else taken.resident_bytes,
                        session_count=0 if taken is None else taken.session_count,
                    )
                )
        rows.sort(key=lambda row: (-row.client_bytes, row.title))
        return api.TitleList(titles=tuple(rows[: query.limit]), found_count=len(rows))

    async def _title(self, call: Call) -> api.TitleDetail:
        title, query = call.path["title"], call.query
        entry = next((one for one in self._catalogue() if one.id == title), None)
        since_wall_s = self._wall_s() - query.window_s
        hours = await title_hours(self._store.database, title, since_wall_s)
        if entry is None and not hours:
            raise ApiError(404, "not_found", f"nobody knows a title {title[:80]!r}")
        planned = await self._planned(title)
        crc = sum_of(title)
        watched: dict[str, int] = defaultdict(int)
        for one in hours:
            watched[one.edge] += one.client_bytes
        return api.TitleDetail(
            title=title,
            name=title if entry is None else entry.name,
            genre=None if entry is None else entry.genre,
            duration_s=None if entry is None else entry.duration_s,
            edges=tuple(
                api.TitleAtEdge(
                    edge=edge.edge,
                    is_held=edge.holds(crc),
                    planned=planned.get(edge.edge, ()),
                    client_bytes=watched.get(edge.edge, 0),
                )
                for edge in sorted(self._fleet.edges(), key=lambda each: each.edge)
                if not edge.record.revoked
            ),
            hours=tuple(api.TitleHour(**msgspec.structs.asdict(one)) for one in hours),
            forecasts=await self._forecasts(title),
            viewings=viewings(await title_viewings(self._store.database, title, since_wall_s)),
        )

    async def _planned(self, title: str) -> dict[str, tuple[api.PlannedRendition, ...]]:
        current = await self._store.current_plan()
        record = None if current is None else await self._store.plan(current.plan_id)
        if record is None:
            return {}

        def find() -> dict[str, tuple[api.PlannedRendition, ...]]:
            return {
                edge: tuple(
                    api.PlannedRendition(
                        rendition=file.rendition,
                        until_s=file.until_s,
                        size_bytes=file.size_bytes,
                        value_bytes=file.value_bytes,
                        from_edges=file.from_edges,
                        is_reserved=file.fetch_until_s == 0.0,
                    )
                    for file in edge_plan(signed).files
                    if file.title == title
                )
                for edge, signed in record.edges.items()
            }

        return await asyncio.to_thread(find)

    async def _forecasts(self, title: str) -> tuple[api.TitleForecast, ...]:
        """What each plan that is remembered expected, oldest first."""
        heads = await self._store.plans()

        def find() -> tuple[api.TitleForecast, ...]:
            found = []
            for head in reversed(heads):
                summary = msgspec.json.decode(head.summary, type=StoredSummary)
                if title in summary.expected_bytes:
                    found.append(
                        api.TitleForecast(
                            made_wall_s=head.made_wall_s,
                            bytes_per_day=summary.expected_bytes[title],
                        )
                    )
            return tuple(found)

        return await asyncio.to_thread(find)
