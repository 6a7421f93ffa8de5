"""Ingest: files become titles, several at a time, each whole or not at all."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Protocol

import msgspec

from nearcast.clock import Clock
from nearcast.errors import InputError
from origin.catalog import Title, check_id, checked_genre, episode_id, slug
from origin.drivers.encoding import DiskRefused, PackagingProcess
from origin.drivers.outbox import Outbox, Source
from origin.drivers.storage import LibraryFolder, disk_error
from origin.packaging.package import PackageOrder
from origin.packaging.worker import Started


class IngestOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One file and the title to make of it."""

    file: str
    id: str
    name: str
    series: str | None = None
    season_no: int | None = None
    episode_no: int | None = None
    genre: str | None = None

    @property
    def episode(self) -> tuple[str, int, int] | None:
        if self.series is None or self.season_no is None or self.episode_no is None:
            return None
        return (self.series, self.season_no, self.episode_no)


class IngestSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How titles are made. `jobs`: files at a time."""

    rungs: tuple[str, ...] | None = None
    segment_duration_s: float = 2.0
    preset: str = "veryfast"
    jobs: int = 1
    thread_count: int = 0
    replace: bool = False


class IngestResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one file."""

    title: Title
    wall_s: float
    is_resumed: bool = False
    """It was packaged before; now it was uploaded."""

    @property
    def speed(self) -> float:
        """Seconds of title per second of work."""
        return self.title.duration_s / self.wall_s if self.wall_s > 0 else 0.0


class IngestWatcher(Protocol):
    """Who shows how far an ingest is. Called from several threads, never at the same time."""

    def started(self, order: IngestOrder, started: Started) -> None: ...

    def progressed(self, order: IngestOrder, done_s: float) -> None: ...

    def finished(self, order: IngestOrder, result: IngestResult) -> None: ...

    def failed(self, order: IngestOrder, message: str) -> None: ...


def make_orders(
    files: Sequence[Path],
    *,
    title_id: str | None = None,
    name: str | None = None,
    series: str | None = None,
    season_no: int | None = None,
    episode_no: int | None = None,
    genre: str | None = None,
) -> tuple[IngestOrder, ...]:
    """What to call the titles. Several files of a series are consecutive episodes.

    Raises InputError for options that contradict each other.
    """
    if not files:
        raise InputError("name at least one video file")
    genre = None if genre is None else checked_genre(genre)
    if len(files) > 1 and (title_id is not None or name is not None):
        raise InputError("--id and --title name one title; ingest one file at a time with them")
    if series is None and (season_no is not None or episode_no is not None):
        raise InputError("--season and --episode need a --series")
    orders = []
    for offset, file in enumerate(files):
        if series is None:
            made_id = title_id or slug(file.stem)
            season = episode = None
            made_name = name or file.stem
        else:
            season = 1 if season_no is None else season_no
            episode = (1 if episode_no is None else episode_no) + offset
            made_id = title_id or episode_id(series, season, episode)
            made_name = name or f"{series}, season {season}, episode {episode}"
        orders.append(
            IngestOrder(
                file=str(file),
                id=check_id(made_id),
                name=made_name,
                series=series,
                season_no=season,
                episode_no=episode,
                genre=genre,
            )
        )
    ids = [order.id for order in orders]
    for made_id in ids:
        if ids.count(made_id) > 1:
            raise InputError(f"two of the files would become title {made_id!r}; use --id")
    return tuple(orders)


class Ingest:
    """Runs orders. A failed file does not stop the others; an interrupt stops all."""

    def __init__(
        self,
        library: LibraryFolder,
        settings: IngestSettings,
        clock: Clock,
        watcher: IngestWatcher,
        interrupted: threading.Event,
        outbox: Outbox | None = None,
    ) -> None:
        """`interrupted`, once set, ends `run` with KeyboardInterrupt. With an `outbox` titles go
        into the object store instead of the library's folder."""
        self._outbox = outbox
        self._interrupted = interrupted
        self._library = library
        self._settings = settings
        self._clock = clock
        self._watcher = watcher
        self._lock = threading.Lock()
        self._processes: set[PackagingProcess] = set()
        self._is_stopped = False

    def run(self, orders: Sequence[IngestOrder]) -> tuple[IngestResult, ...]:
        """Package and add all of them. Raises for what failed when all others are done."""
        for order in orders:
            self._library.database.check_free(
                order.id, order.episode, replace=self._settings.replace
            )
        self._library.sweep()
        results: list[IngestResult] = []
        if self._outbox is not None:
            results += self._resume(self._outbox, orders)
            resumed = {result.title.id for result in results}
            orders = [order for order in orders if order.id not in resumed]
            if not orders:
                return tuple(results)
        failures: list[Exception] = []
        with ThreadPoolExecutor(self._settings.jobs, thread_name_prefix="ingest") as pool:
            waiting: set[Future[IngestResult]] = set()
            try:
                waiting = {pool.submit(self._ingest, order) for order in orders}
                while waiting:
                    # A limited wait, so that an interrupt is seen at once on every platform.
                    done, waiting = wait(waiting, timeout=1.0, return_when=FIRST_COMPLETED)
                    if self._interrupted.is_set():
                        raise KeyboardInterrupt
                    for future in done:
                        failure = future.exception()
                        if isinstance(failure, Exception):
                            failures.append(failure)
                        else:
                            results.append(future.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self._stop()
                raise
        if len(orders) == 1 and failures:
            raise failures[0]
        if failures:
            raise InputError(f"{len(failures)} of {len(orders)} files could not be ingested")
        return tuple(results)

    def _resume(self, outbox: Outbox, orders: Sequence[IngestOrder]) -> list[IngestResult]:
        """Upload what earlier ingests have packaged: the very titles ordered, and others."""
        outbox.sweep()
        ordered = {order.id: order for order in orders}
        results: list[IngestResult] = []
        for parcel in outbox.waiting():
            began_s = self._clock.now_s()
            order = ordered.get(parcel.title.id)
            if order is not None and Source.of(Path(order.file)) != parcel.source:
                outbox.discard(parcel)
                continue
            if order is not None and order.genre is not None:
                named = msgspec.structs.replace(parcel.title, genre=order.genre)
                parcel = msgspec.structs.replace(parcel, title=named)
            title = outbox.resume(parcel)
            if title is not None:
                wall_s = self._clock.now_s() - began_s
                results.append(IngestResult(title=title, wall_s=wall_s, is_resumed=True))
        return results

    def _stop(self) -> None:
        with self._lock:
            self._is_stopped = True
            processes = tuple(self._processes)
        for process in processes:
            process.stop()

    def _ingest(self, order: IngestOrder) -> IngestResult:
        try:
            result = self._package(order)
        except Exception as error:
            with self._lock:
                if not self._is_stopped:
                    self._watcher.failed(order, str(error))
            raise
        with self._lock:
            self._watcher.finished(order, result)
        return result

    def _package(self, order: IngestOrder) -> IngestResult:
        began_s = self._clock.now_s()
        source = Source.of(Path(order.file))
        with self._library.stage() as staged:
            process = PackagingProcess(
                PackageOrder(
                    source=order.file,
                    folder=str(staged.folder.absolute()),
                    rungs=self._settings.rungs,
                    segment_duration_s=self._settings.segment_duration_s,
                    preset=self._settings.preset,
                    thread_count=self._settings.thread_count,
                )
            )
            with self._lock:
                self._processes.add(process)
                if self._is_stopped:
                    process.stop()
            try:
                packaged = process.run(
                    lambda started: self._started(order, started),
                    lambda done_s: self._progressed(order, done_s),
                )
            except DiskRefused as refused:
                raise disk_error(refused.error, self._library.folder) from refused
            finally:
                with self._lock:
                    self._processes.discard(process)
            title = Title(
                id=order.id,
                name=order.name,
                duration_s=packaged.duration_s,
                created_wall_s=float(int(self._clock.now_s() + self._clock.epoch_s)),
                renditions=packaged.renditions,
                series=order.series,
                season_no=order.season_no,
                episode_no=order.episode_no,
                genre=order.genre,
            )
            replace = self._settings.replace
            if self._outbox is not None:
                title = self._outbox.send(staged, title, source, replace=replace)
            else:
                title = self._library.commit(staged, title, replace=replace)
        return IngestResult(title=title, wall_s=self._clock.now_s() - began_s)

    def _started(self, order: IngestOrder, started: Started) -> None:
        with self._lock:
            self._watcher.started(order, started)

    def _progressed(self, order: IngestOrder, done_s: float) -> None:
        with self._lock:
            self._watcher.progressed(order, done_s)
