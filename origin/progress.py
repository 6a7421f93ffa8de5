"""How far an ingest is: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from origin.drivers.ingest import IngestOrder, IngestResult
from origin.packaging.worker import Started

_LINE_EVERY_RATIO: Final = 0.25


class BarWatcher:
    """One bar per file."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> BarWatcher:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def started(self, order: IngestOrder, started: Started) -> None:
        self._tasks[order.id] = self._progress.add_task(
            order.id, total=started.source.duration_s, note=_rungs(started)
        )

    def progressed(self, order: IngestOrder, done_s: float) -> None:
        self._progress.update(self._tasks[order.id], completed=done_s)

    def finished(self, order: IngestOrder, result: IngestResult) -> None:
        self._end(order)
        self._progress.console.print(summary(result), highlight=False, markup=False)

    def failed(self, order: IngestOrder, message: str) -> None:
        self._end(order)
        self._progress.console.print(
            f"{order.id}: failed: {message}", highlight=False, markup=False
        )

    def _end(self, order: IngestOrder) -> None:
        task = self._tasks.pop(order.id, None)
        if task is not None:
            self._progress.remove_task(task)


class LineWatcher:
    """A line when a file starts, at each quarter, and at its end."""

    def __init__(self, write: Callable[[str], None], now_s: Callable[[], float]) -> None:
        self._write = write
        self._now_s = now_s
        self._began: dict[str, tuple[float, float | None]] = {}
        self._shown: dict[str, float] = {}

    def __enter__(self) -> LineWatcher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def started(self, order: IngestOrder, started: Started) -> None:
        source = started.source
        self._began[order.id] = (self._now_s(), source.duration_s)
        self._shown[order.id] = 0.0
        length = f"{source.duration_s:.1f} s, " if source.duration_s is not None else ""
        sound = "with sound" if source.audio_channels else "no sound"
        self._write(
            f"{order.id}: {order.file}, {length}{source.width}x{source.height}, "
            f"{source.frame_rate:.4g} frames/s, {sound} -> {_rungs(started)}"
        )

    def progressed(self, order: IngestOrder, done_s: float) -> None:
        began_s, duration_s = self._began[order.id]
        if not duration_s or done_s <= 0:
            return
        ratio = min(1.0, done_s / duration_s)
        if ratio < self._shown[order.id] + _LINE_EVERY_RATIO or ratio >= 1:
            return
        self._shown[order.id] = ratio
        left_s = (self._now_s() - began_s) * (1 - ratio) / ratio
        self._write(f"{order.id}: {ratio:.0%}, about {left_s:.0f} s left")

    def finished(self, order: IngestOrder, result: IngestResult) -> None:
        self._write(summary(result))

    def failed(self, order: IngestOrder, message: str) -> None:
        self._write(f"{order.id}: failed: {message}")


def summary(result: IngestResult) -> str:
    title = result.title
    rates = ", ".join(
        f"{entry.rendition.id} {entry.rendition.average_kbps:.0f}" for entry in title.renditions
    )
    return (
        f"{title.id}: {title.duration_s:.1f} s in {result.wall_s:.1f} s "
        f"({result.speed:.1f}x); kbit/s: {rates}"
    )


def _rungs(started: Started) -> str:
    return ", ".join(f"{rung.id} {rung.width}x{rung.height}" for rung in started.ladder)
