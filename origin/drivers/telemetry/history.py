"""Turns raw events into the history: Parquet files by day, in a folder or a bucket.

    pieces in the database --each few minutes--> a small file --when its day is over--> one a day

Whoever holds the lease does it. A file counts from the moment that the database names it, in the
transaction that takes away what it was made of; files that were written and not named (we ended in
between) and those that were merged or are too old are swept up an hour later, so that who has just
looked up the names can still read them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from origin.config import TelemetryConfig
from origin.drivers.objects import ObjectStore
from origin.drivers.state.history_rows import (
    EVENTS_MAX,
    HistoryFile,
    WaitingPiece,
    files_merged,
    files_of,
    forget_days,
    pieces_written,
    waiting_events,
    waiting_pieces,
)
from origin.drivers.state.store import ControlStore
from origin.drivers.telemetry.parquet import Answer, merge_files, query_events, write_events

logger = logging.getLogger(__name__)

LEASE: Final = "history"
LEASE_S: Final = 15.0
"""Short, so that another goes on soon. Two that write at once do each other no harm: the database
takes the pieces of one of them."""
SWEEP_AFTER_S: Final = 3600.0
MERGE_COUNT: Final = 24
"""Files of a day that is not over yet before they are put together."""
MERGE_BYTES_MAX: Final = 256_000_000
"""Put together at a time: they are on the disk twice, and sorted."""
SUFFIX: Final = ".parquet"


class History:
    """Writes, tidies and reads it. `holder` names this origin among those of the database."""

    def __init__(
        self, control: ControlStore, objects: ObjectStore, config: TelemetryConfig, *, holder: str
    ) -> None:
        self._control = control
        self._database = control.database
        self._objects = objects
        self._config = config
        self._holder = holder
        self._tidied_day = ""
        self.written_count = 0
        """Events that this process has put into files."""

    async def step(self, wall_s: float) -> None:
        """Do what is due; call it every few seconds. Raises StateError and ObjectsError: nothing is
        lost then, and the next call goes on."""
        count, oldest_wall_s = await waiting_events(self._database)
        is_due = count >= EVENTS_MAX or (
            count > 0 and wall_s - oldest_wall_s >= self._config.history_s
        )
        day = day_of(wall_s)
        if not is_due and day == self._tidied_day:
            return
        if not await self._control.lease(LEASE, self._holder, wall_s, LEASE_S):
            return
        if is_due:
            await self.write(wall_s)
        if day != self._tidied_day:
            await self.tidy(wall_s)
            self._tidied_day = day

    async def release(self) -> None:
        """Let another origin go on at once."""
        await self._control.release(LEASE, self._holder)

    async def write(self, wall_s: float) -> int:
        """Put what waits into files, a part of it at a time; how many events that were."""
        written = 0
        while pieces := await waiting_pieces(self._database):
            by_day: dict[str, list[WaitingPiece]] = defaultdict(list)
            for piece in pieces:
                by_day[day_of(piece.received_wall_s)].append(piece)
            with _folder() as folder:
                files = [
                    await self._put(folder, day, wall_s, group)
                    for day, group in sorted(by_day.items())
                ]
            await pieces_written(self._database, pieces, files)
            event_count = sum(file.event_count for file in files)
            written += event_count
            self.written_count += event_count
        today = [file for file in await files_of(self._database) if file.day == day_of(wall_s)]
        if len(today) >= MERGE_COUNT:
            await self._merge(today, wall_s)
        return written

    async def tidy(self, wall_s: float) -> None:
        """One file for each day that is over; no files that are too old."""
        kept = timedelta(days=self._config.history_days)
        await forget_days(self._database, day_of(wall_s - kept.total_seconds()))
        by_day: dict[str, list[HistoryFile]] = defaultdict(list)
        for file in await files_of(self._database):
            by_day[file.day].append(file)
        for day in sorted(by_day):
            if day < day_of(wall_s) and len(by_day[day]) > 1:
                await self._merge(by_day[day], wall_s)
        await self._sweep(wall_s)

    async def query(self, query: str, *, since_day: str = "") -> Answer:
        """Ask the history (`origin.drivers.telemetry.parquet.query_events`)."""
        with _folder() as folder:
            files = [
                await self._fetch(file.name, folder)
                for file in await files_of(self._database, since_day)
            ]
            return await asyncio.to_thread(query_events, files, query)

    # -- parts

    async def _put(
        self, folder: Path, day: str, wall_s: float, pieces: Sequence[WaitingPiece]
    ) -> HistoryFile:
        event_count = sum(piece.event_count for piece in pieces)
        return await self._make(
            folder, day, wall_s, event_count, lambda file: write_events(pieces, file)
        )

    async def _merge(self, files: Iterable[HistoryFile], wall_s: float) -> None:
        """Put the small ones together, as many as are handled at a time."""
        parts: list[HistoryFile] = []
        for file in sorted(files, key=lambda one: (one.size_bytes, one.name)):
            if sum(part.size_bytes for part in parts) + file.size_bytes > MERGE_BYTES_MAX:
                break
            parts.append(file)
        if len(parts) < 2:
            return
        with _folder() as folder:
            paths = [await self._fetch(part.name, folder) for part in parts]
            whole = await self._make(
                folder,
                parts[0].day,
                wall_s,
                sum(part.event_count for part in parts),
                lambda file: merge_files(paths, file),
            )
        await files_merged(self._database, parts, whole)
        logger.info("history.merged day=%s files=%d", whole.day, len(parts))

    async def _make(
        self,
        folder: Path,
        day: str,
        wall_s: float,
        event_count: int,
        write: Callable[[Path], None],
    ) -> HistoryFile:
        name = f"day={day}/{int(wall_s)}-{secrets.token_hex(6)}{SUFFIX}"
        path = folder / f"{secrets.token_hex(6)}{SUFFIX}"
        await asyncio.to_thread(write, path)
        size_bytes = path.stat().st_size
        await self._objects.put(name, path)
        path.unlink()
        return HistoryFile(
            name=name,
            day=day,
            event_count=event_count,
            size_bytes=size_bytes,
            made_wall_s=wall_s,
        )

    async def _fetch(self, name: str, folder: Path) -> Path:
        path = folder / name.replace("/", "-")
        await asyncio.to_thread(path.write_bytes, await self._objects.get(name))
        return path

    async def _sweep(self, wall_s: float) -> None:
        named = {file.name for file in await files_of(self._database)}
        stale = [
            info.key
            for info in await self._objects.list()
            if info.key.endswith(SUFFIX)
            and info.key not in named
            and wall_s - info.modified_wall_s > SWEEP_AFTER_S
        ]
        if stale:
            await self._objects.delete(stale)
            logger.info("history.swept files=%d", len(stale))


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """For files on their way."""
    with tempfile.TemporaryDirectory(prefix="nearcast-history-") as name:
        yield Path(name)


def day_of(wall_s: float) -> str:
    """The day in UTC, as in 2026-01-31."""
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%d")
