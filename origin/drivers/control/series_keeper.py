"""Keeps the page's figures by the minute in the database, for the next process and other origins.

All origins hear of all edges, so all of them know the same; one at a time writes it down, and the
others take its word for minutes that are over. What is written stands for the minute, it is not
added to what was: nothing counts twice, whoever writes. A process that is killed takes with it what
it had not written yet, and so does the holder of the lease for the others only until they hold it:
they have heard the same.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from nearcast.errors import NearcastError
from origin.drivers.state import ControlStore
from origin.drivers.state.series_rows import (
    minutes_before,
    newest_revision,
    put_minutes,
    whole_minutes_since,
)
from origin.telemetry.series import MINUTE_S, MINUTES, Series
from origin.telemetry.series_minutes import FLEET, EdgeMinutes, MinuteRow, by_edge, packed, unpacked

logger = logging.getLogger(__name__)

LEASE: Final = "series"
LEASE_INTERVALS: Final = 2.5
LATE_S: Final = 5.0
"""After its end a minute is written for good: what was said in it has been heard then."""
MINUTES_A_TIME: Final = 30
"""Read or written: 2 MB for a thousand edges. An hour of silence is caught up with in rounds."""


class SeriesKeeper:
    """`run`; then `close`."""

    def __init__(
        self,
        store: ControlStore,
        series: Series,
        is_known: Callable[[str], bool],
        write_heartbeats: Callable[[], Awaitable[None]],
        origin_id: str,
        has_others: Callable[[], bool],
        interval_s: float,
        wall_s: Callable[[], float] = time.time,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._database = store.database
        self._series = series
        self._is_known = is_known
        self._write_heartbeats = write_heartbeats
        self._origin_id = origin_id
        self._has_others = has_others
        self._interval_s = interval_s
        self._lease_s = LEASE_INTERVALS * interval_s
        self._wall_s = wall_s
        self._now_s = now_s
        self._began_s = now_s()
        self._revision = 0
        self._is_loaded = False
        self._below: int | None = None

    async def run(self) -> None:
        while True:
            try:
                await self.run_once()
            except NearcastError as error:
                logger.warning("series.not_kept detail=%s: tried again", error)
            await asyncio.sleep(self._interval_s)

    async def run_once(self) -> None:
        """Raises StateUnavailable and StateError."""
        if not self._is_loaded:
            await self.load()
        if self._is_loaded:
            await self.look()

    async def load(self) -> None:
        """What was written before this process began. Raises StateUnavailable: goes on next time
        from where it was. While our clock is wild it cannot say which minutes are of this day:
        nothing is loaded then."""
        if not await self._store.is_on_time(self._wall_s()):
            return
        now = self._minute()
        if self._below is None:
            self._revision = await newest_revision(self._database)
            self._below = now + MINUTES  # a clock that was ahead
        while True:
            rows = await minutes_before(
                self._database, self._below, MINUTES_A_TIME, now - MINUTES + 1
            )
            if not rows:
                break
            minutes = await asyncio.to_thread(_unpacked, rows)
            self._series.add(self._known(minutes))
            self._below = rows[-1].minute
        self._is_loaded = True

    async def look(self) -> None:
        """Take others' word for what is over, and write what is new if that is ours to do."""
        rows = await whole_minutes_since(self._database, self._revision, MINUTES_A_TIME)
        if rows:
            minutes = await asyncio.to_thread(_unpacked, rows)
            self._series.replace(self._known(minutes))
            self._revision = rows[-1].revision
        if self._is_new() and self._has_others():
            return
        if await self._store.lease(LEASE, self._origin_id, self._wall_s(), self._lease_s):
            await self._write()

    async def close(self) -> None:
        """Write a last time, and let another one do it at once."""
        if self._is_loaded:
            await self.look()
        await self._store.release(LEASE, self._origin_id)

    async def _write(self) -> None:
        taken = self._series.take_changed(MINUTES_A_TIME)
        if not taken:
            return
        over = (self._wall_s() - LATE_S) // MINUTE_S
        try:
            minutes = [self._series.minute(minute) for minute in taken]
            # First what they were made of: else a process after this one would count it again.
            await self._write_heartbeats()
            rows = await asyncio.to_thread(
                lambda: [packed(one, is_whole=one.minute < over) for one in minutes]
            )
            # Ours are not read again: something may have been added to them by then.
            self._revision = await put_minutes(self._database, rows, MINUTES)
        except BaseException:
            self._series.write_again(taken)
            raise
        # A minute is written for good once: not before the next change, if it is over by then.
        self._series.write_again(one.minute for one in rows if not one.is_whole)

    def _known(self, edges: Sequence[EdgeMinutes]) -> list[EdgeMinutes]:
        return [one for one in edges if one.edge == FLEET or self._is_known(one.edge)]

    def _is_new(self) -> bool:
        """Another one has heard more of the minute in which this one began."""
        return self._now_s() - self._began_s < self._lease_s + self._interval_s

    def _minute(self) -> int:
        return int(self._wall_s() // MINUTE_S)


def _unpacked(rows: Sequence[MinuteRow]) -> tuple[EdgeMinutes, ...]:
    minutes = [unpacked(row) for row in rows]
    if None in minutes:
        logger.error("series.unreadable count=%d", minutes.count(None))
    return by_edge([one for one in minutes if one is not None])
