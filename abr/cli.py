"""`nearcast play`."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from abr.config import PlayerConfig
from abr.controllers import CONTROLLERS, build_controller
from abr.recording import SessionRecorder
from abr.report import ViewerReport
from abr.schedule import Schedule, ScheduledViewer, ScheduleReport, check_url, read_schedule
from abr.summary import schedule_lines, session_lines
from abr.timeline import Timeline
from abr.viewer import PlayItem, ViewingPlan
from nearcast.config import load
from nearcast.errors import ConfigError
from nearcast.json_file import JsonFile, check_json_file, write_json

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def play(
    urls: Annotated[
        list[str] | None,
        typer.Argument(metavar="URL...", help="DASH or HLS manifests, played in this order."),
    ] = None,
    controller: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who chooses the rung.")
    ] = None,
    list_controllers: Annotated[
        bool, typer.Option("--list-controllers", help="Print their names and stop.")
    ] = False,
    duration: Annotated[
        float | None,
        typer.Option(metavar="S", min=0.0, help="Leave each title after watching so much of it."),
    ] = None,
    buffer: Annotated[
        float | None, typer.Option(metavar="S", help="Buffer at most so much.")
    ] = None,
    cmcd: Annotated[
        str | None, typer.Option(metavar="query|headers|off", help="How to tell the edge.")
    ] = None,
    schedule: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='Many viewers instead: {"viewers": [{"start_s": 0, "plan": {"viewer_id": "a", '
            '"items": [{"url": "...", "watch_s": 30}]}}]}.',
        ),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The network you are on, to start as it was the last time; needs "
            "--set network_memory.is_on=true.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw the first title: what was measured and foreseen, rungs, buffer, stalls; "
            ".svg, .png, .pdf.",
        ),
    ] = None,
    json_file: JsonFile = None,
    config_file: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Settings as TOML.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting.")
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print all settings and stop.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No live line.")] = False,
) -> None:
    """Play DASH or HLS titles in real time without a screen, and report.

    The second and later URLs count as next episodes. Ends with status 0 when all was played, 1 when
    playback failed midway, 2 when it could not begin.

    Example: nearcast play http://127.0.0.1:8081/media/film/manifest.mpd --duration 30
    """
    options = {"controller": controller, "buffer_s_max": buffer, "cmcd": cmcd}
    given = [f"{name}={value}" for name, value in options.items() if value is not None]
    loaded = load(
        PlayerConfig,
        role="play",
        file=config_file,
        environ=os.environ,
        assignments=[*given, *(settings or ())],
    )
    config = loaded.value
    CONTROLLERS.get(config.controller)
    if list_controllers:
        print("\n".join(CONTROLLERS))
        return
    if print_config:
        print("\n".join(loaded.lines()))
        return
    check_json_file(json_file)
    check_json_file(plot)
    listener = None
    if plot is not None:
        from abr.picture import check_picture

        check_picture(plot)
        listener = SessionRecorder()
    if network is not None and not config.network_memory.is_on:
        raise ConfigError(
            "--network: nothing is remembered of networks until you agree to it: "
            "--set network_memory.is_on=true"
        )
    wanted = _schedule(urls or [], schedule, duration)
    # What it needs, a model say, is read and kept now: not on the way, and nothing is fetched if
    # it is bad.
    build_controller(config.controller, config.controllers)
    is_single = schedule is None
    reports, status = _run(config, wanted, listener, network, is_single=is_single, is_quiet=quiet)
    write_json(json_file, reports[0] if is_single else ScheduleReport(viewers=tuple(reports)))
    if plot is not None and listener is not None:
        _draw(plot, listener.timeline(reports[0].sessions, config.buffer_s_max))
    raise typer.Exit(status or _status(reports))


def _draw(file: Path, timeline: Timeline | None) -> None:
    if timeline is None:
        print(f"nearcast play: nothing was played, so {file} is not drawn", file=sys.stderr)
        return
    from abr.picture import draw_timeline
    from nearcast.whole_file import write_whole

    write_whole(file, draw_timeline(timeline, file.suffix))


def _schedule(urls: list[str], file: Path | None, watch_s: float | None) -> Schedule:
    if file is not None:
        if urls or watch_s is not None:
            raise ConfigError("--schedule says what is watched: leave out URLs and --duration")
        return read_schedule(file)
    if not urls:
        raise ConfigError("say what to play: nearcast play http://HOST/PATH/manifest.mpd")
    for url in urls:
        check_url(url, "URL")
    items = tuple(
        PlayItem(url=url, watch_s=watch_s, is_next_episode=index > 0)
        for index, url in enumerate(urls)
    )
    # Nobody should be recognised across two runs by what is sent in CMCD.
    plan = ViewingPlan(viewer_id=secrets.token_hex(8), items=items)
    return Schedule(viewers=(ScheduledViewer(plan=plan),))


def _run(
    config: PlayerConfig,
    schedule: Schedule,
    listener: SessionRecorder | None,
    network: str | None,
    *,
    is_single: bool,
    is_quiet: bool,
) -> tuple[list[ViewerReport], int]:
    """Who watched what, and whether that was cut short; printed as well."""
    from abr.assemble import network_memory, play_schedule
    from nearcast.aio import run, stop_signals

    memory = network_memory(config.network_memory, network, os.environ)
    reports: list[ViewerReport] = []
    is_live_line = is_single and not is_quiet and sys.stderr.isatty()

    async def main() -> int:
        with stop_signals() as stop:
            reports.extend(
                await play_schedule(
                    config,
                    schedule,
                    stop,
                    is_live_line=is_live_line,
                    listener=listener,
                    memory=memory,
                )
            )
            return EXIT_INTERRUPTED if stop.is_set() else 0

    status = run(main())
    if is_single:
        for session in reports[0].sessions:
            print("\n".join(session_lines(session)))
    else:
        print("\n".join(schedule_lines(reports)))
    return reports, status


def _status(reports: list[ViewerReport]) -> int:
    failed = [each for report in reports for each in report.sessions if each.ended == "failed"]
    for session in failed:
        print(f"nearcast play: {session.detail}", file=sys.stderr)
    if not failed:
        return 0
    began = any(session.startup_s is not None for session in failed)
    return EXIT_FAILED if began else EXIT_BAD_INPUT
