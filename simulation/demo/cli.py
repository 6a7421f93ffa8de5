"""`nearcast demo`: the main job on one machine, prefetch off against on, live and simulated."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from nearcast.clock import SystemClock
from nearcast.errors import InputError
from nearcast.json_file import JsonFile, check_json_file, write_json


def demo(
    media: Annotated[
        list[Path] | None,
        typer.Option(
            "--media", metavar="FILE", help="Use this footage as the episodes; repeat for more."
        ),
    ] = None,
    more_media: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="More footage for --media.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the simulated side.")] = 1,
    logs: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep every process's log and report in this folder."),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Play one small evening twice at once, with prefetch off and on, and once more simulated.

    Makes a catalogue (kept for the next run), starts an origin, two edges behind equal backhauls
    and sixteen players a side behind home and mobile links, all as processes on loopback.

    Example: nearcast demo --json demo.json
             nearcast demo --media one.mp4 two.mp4
    """
    from simulation.demo.catalogue import cache_folder, library_of, make_library
    from simulation.demo.figures import live_figures, simulated_figures
    from simulation.demo.live import run_live
    from simulation.demo.plan import demo_plan
    from simulation.demo.report import lines, reason, verdicts

    clock = SystemClock()
    begun_s = clock.now_s()

    def say(text: str) -> None:
        print(f"[{clock.now_s() - begun_s:5.1f} s] {text}", file=sys.stderr, flush=True)

    files = tuple(media or ()) + tuple(more_media or ())
    if more_media and not media:
        raise InputError("name footage with --media FILE")
    check_json_file(json_file)
    plan = demo_plan()
    library = library_of(plan, files, cache_folder())
    was_made = make_library(plan, files, library, say)
    with tempfile.TemporaryDirectory(prefix="nearcast-demo-") as name:
        folder = Path(name) if logs is None else logs
        folder.mkdir(parents=True, exist_ok=True)
        evening = run_live(plan, library, folder, say)
    say("simulating the same evening")
    live = {side: live_figures(one) for side, one in evening.sides.items()}
    simulated = simulated_figures(plan, evening.titles, seed)
    wall_s = clock.now_s() - begun_s
    for line in lines(live, simulated):
        print(line)
    print()
    for line in verdicts(live, simulated):
        print(line)
    print()
    for line in reason(evening.sides["off"].viewers, evening.sides["on"].viewers):
        print(line)
    print(f"\n{wall_s:.0f} s in all{', the catalogue was made anew' if was_made else ''}")
    write_json(json_file, {**live, "simulated": simulated, "wall_s": wall_s})
