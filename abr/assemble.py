"""Builds live viewers and runs them together."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path

from abr.config import NetworkMemoryConfig, PlayerConfig
from abr.drivers.http import ViewerDriver
from abr.drivers.network_memory import NetworkMemory, default_file
from abr.drivers.terminal import show_live_line
from abr.recording import SessionRecorder
from abr.report import ViewerReport
from abr.schedule import Schedule, ScheduledViewer
from abr.viewer import ViewerCore
from nearcast.clock import SystemClock
from nearcast.record import NullRecorder
from nearcast.seeds import Seeds


def network_memory(
    config: NetworkMemoryConfig, network: str | None, environ: Mapping[str, str]
) -> NetworkMemory | None:
    """None without consent, and on a network that has no name."""
    if network is None or not config.is_on:
        return None
    file = Path(config.file).expanduser() if config.file else default_file(environ)
    return NetworkMemory(file, network, SystemClock())


async def play_schedule(
    config: PlayerConfig,
    schedule: Schedule,
    stop: asyncio.Event,
    *,
    is_live_line: bool,
    listener: SessionRecorder | None = None,
    memory: NetworkMemory | None = None,
) -> tuple[ViewerReport, ...]:
    """Play until all viewers are done; when `stop` is set they leave, and what was played until
    then is reported. The live line shows the first viewer, and `listener` hears of it. `memory` is
    asked once, and told what each viewer found."""
    clock = SystemClock()
    prior = None if memory is None else memory.prior()
    viewers = [
        ViewerCore.from_config(
            config,
            each.plan,
            recorder=listener if listener is not None and index == 0 else NullRecorder(),
            generator=Seeds(0).stream(f"abr/{each.plan.viewer_id}/hosts"),
            prior=prior,
        )
        for index, each in enumerate(schedule.viewers)
    ]
    if listener is not None:
        listener.foresee = viewers[0].foreseen
        listener.last_sample = viewers[0].last_sample
    async with contextlib.AsyncExitStack() as stack:
        if is_live_line:
            line = asyncio.create_task(
                show_live_line(viewers[0], clock, config.buffer_s_max, sys.stderr)
            )
            stack.push_async_callback(_cancel, line)
        runs = [
            asyncio.create_task(_play(viewer, each, config, clock, stop, memory))
            for viewer, each in zip(viewers, schedule.viewers, strict=True)
        ]
        try:
            return tuple(await asyncio.gather(*runs))
        finally:
            for run in runs:
                await _cancel(run)


async def _play(
    viewer: ViewerCore,
    scheduled: ScheduledViewer,
    config: PlayerConfig,
    clock: SystemClock,
    stop: asyncio.Event,
    memory: NetworkMemory | None,
) -> ViewerReport:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), timeout=scheduled.start_s)
    if stop.is_set():
        return viewer.report()
    driver = ViewerDriver(viewer, clock, cmcd=config.cmcd, events_url=config.cmcd_events_url)
    run = asyncio.create_task(driver.run())
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((run, stopped), return_when=asyncio.FIRST_COMPLETED)
        if not run.done():
            driver.leave()
        report = await run
        if memory is not None:
            memory.learn(viewer.missed_kbps())
        return report
    finally:
        await _cancel(stopped)
        await _cancel(run)


async def _cancel(task: asyncio.Task[object] | asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
