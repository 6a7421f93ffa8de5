"""`nearcast simulate abr`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nearcast.errors import ConfigError
from nearcast.json_file import JsonFile, check_json_file, write_json

if TYPE_CHECKING:
    from simulation.sessions.study import OnProgress, Plan

COMPILING = "compiling, if this is the first run"
LISTS = ("--traces", "--title", "--latency-ms")


class ListsCommand(typer.core.TyperCommand):
    """Takes several values after one option: `--traces a.csv b.csv` is `--traces a.csv --traces
    b.csv`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, spread(args))


def spread(arguments: list[str]) -> list[str]:
    """Arguments with the options of LISTS repeated for each of their values."""
    found: list[str] = []
    option = ""
    is_first = True
    for argument in arguments:
        if argument.startswith("-") and len(argument) > 1:
            name, equals, _ = argument.partition("=")
            option = name if name in LISTS else ""
            is_first = not equals
        elif option:
            if not is_first:
                found.append(option)
            is_first = False
        found.append(argument)
    return found


def abr(
    traces: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="CSV[.gz|.xz]...",
            help="Bandwidth traces with the columns trace_id, t_s and throughput_kbps; each file "
            "is a family, each trace a session (default: the shipped traces).",
        ),
    ] = None,
    title: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="JSON...",
            help="What is played: segment_duration_ms, bitrates_kbps, segment_sizes_bits. One for "
            "all families, or one for each (default: a generated one).",
        ),
    ] = None,
    latency_ms: Annotated[
        list[float] | None,
        typer.Option(
            metavar="N...", help="Of a request; one for all families, or one for each (40)."
        ),
    ] = None,
    buffer_s: Annotated[float, typer.Option(min=0, help="The player waits above this.")] = 25.0,
    controllers: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Which, or NAME:parameter=value; clairvoyant knows the future (default: all but "
            "that).",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A parameter: controllers.bola.gamma_p=4"),
    ] = None,
    stall_penalty: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Mbit/s that a second of stall costs (default: 4.3 up to 6 Mbit/s, else the top "
            "rung). Controllers that plan with it are told.",
        ),
    ] = None,
    switch_penalty: Annotated[
        float | None, typer.Option(min=0, help="The same for each Mbit/s of change (1).")
    ] = None,
    traces_limit: Annotated[
        int | None, typer.Option(min=1, help="The first N traces of each family.")
    ] = None,
    first_rung: Annotated[
        str, typer.Option(metavar="N|auto", help="Of the first segment; auto: the controller's.")
    ] = "0",
    transport: Annotated[
        Literal["plain", "tcp"],
        typer.Option(help="plain: a latency, then the link's rate; tcp: with slow start."),
    ] = "plain",
    estimate: Annotated[
        Literal["published", "player"] | None,
        typer.Option(
            help="What controllers are told to expect. published: all transfers alike, as dash.js "
            "and Sabre; player: an edge's hits apart, as nearcast play (default: published with "
            "plain, player with tcp)."
        ),
    ] = None,
    abandon: Annotated[bool, typer.Option(help="Controllers may give a segment up midway.")] = True,
    edge_hit_ratio: Annotated[
        float, typer.Option(min=0, max=1, help="Share of segments, drawn, that an edge holds.")
    ] = 0.0,
    edge_speedup: Annotated[
        float, typer.Option(min=1, help="So many times as fast do those come.")
    ] = 10.0,
    edge_told: Annotated[
        bool, typer.Option("--edge-told", help="Controllers know what the edge holds.")
    ] = False,
    backhaul_ms: Annotated[
        float, typer.Option(min=0, help="With tcp: a round trip from that edge to the origin.")
    ] = 20.0,
    seed: Annotated[
        int, typer.Option(help="Of the generated title, the edge's store and the intervals.")
    ] = 0,
    per_session: Annotated[
        Path | None, typer.Option(metavar="CSV[.gz]", help="Write one row a session.")
    ] = None,
    bound: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV[.gz]",
            help="Take clairvoyant from this --per-session file of an earlier run, instead of "
            "planning again.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw a session and the comparison: .svg, .png, .pdf."),
    ] = None,
    plot_session: Annotated[
        str | None,
        typer.Option(metavar="ID", help="The trace to draw (default: the first family's median)."),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Play a title over recorded traces under several controllers, and compare them in pairs.

    Sessions begin at time 0 of their trace, which repeats. QoE is per segment: rate in Mbit/s,
    less the stall penalty times stalled seconds, less changes of rate.

    Example: nearcast simulate abr --traces fcc.csv.gz --title hd.json --latency-ms 20
    --controllers dynamic,nearcast,clairvoyant --plot fcc.svg
    """
    for file in (json_file, per_session, plot):
        check_json_file(file)
    if plot_session is not None and plot is None:
        raise ConfigError("--plot-session does nothing without --plot FILE")
    from nearcast.clock import SystemClock
    from nearcast.whole_file import write_whole
    from simulation.sessions.bound_rows import bound_played, read_bound
    from simulation.sessions.options import Options, read_plan
    from simulation.sessions.report import lines
    from simulation.sessions.rows import BOUND, make_rows
    from simulation.sessions.session_rows import session_csv
    from simulation.sessions.study import play_all
    from simulation.sessions.timeline import drawn_session, find_trace

    plan = read_plan(
        Options(
            traces=tuple(traces or ()),
            titles=tuple(title or ()),
            latencies_ms=tuple(latency_ms or (40.0,)),
            traces_limit=traces_limit,
            controllers=controllers,
            settings=tuple(settings or ()),
            buffer_s=buffer_s,
            first_rung=first_rung,
            stall_penalty=stall_penalty,
            switch_penalty=switch_penalty,
            transport=transport,
            edge_hit_ratio=edge_hit_ratio,
            edge_speedup=edge_speedup,
            edge_told=edge_told,
            backhaul_ms=backhaul_ms,
            can_abandon=abandon,
            estimate=estimate,
            seed=seed,
        )
    )
    if bound is not None and any(choice.name == BOUND for choice in plan.choices):
        raise ConfigError(f"--bound is {BOUND} already: leave that out of --controllers")
    bound_rows = {} if bound is None else read_bound(bound)
    if plot is not None:
        from abr.picture import check_picture

        check_picture(plot)
        if plot_session is not None:
            find_trace(plan, plot_session)
    with _progress_bar(plan) as on_progress:
        played = list(play_all(plan, SystemClock.now_s, on_progress))
    if bound is not None:
        played += bound_played(bound, bound_rows, played)
    rows = make_rows(played, seed)
    for line in lines(rows):
        print(line)
    if per_session is not None:
        write_whole(per_session, session_csv(played, per_session))
    wall_s = sum(one.wall_s for one in played)
    count = sum(len(one.trace_ids) for one in played if one.wall_s > 0)
    write_json(
        json_file,
        {
            "rows": rows,
            "seed": seed,
            "transport": transport,
            "estimate": plan.estimate,
            "buffer_s": buffer_s,
            "wall_s": wall_s,
            "sessions_per_s": count / wall_s,
        },
    )
    if plot is not None:
        from simulation.sessions.picture import draw_study

        timeline = drawn_session(plan, played, plot_session)
        write_whole(plot, draw_study(timeline, rows, plot.suffix))


@contextmanager
def _progress_bar(plan: Plan) -> Iterator[OnProgress | None]:
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    from simulation.sessions.study import is_compiled

    total = len(plan.conditions) * len(plan.choices)
    done = {
        (choice.label, condition.family.name): 0.0
        for condition in plan.conditions
        for choice in plan.choices
    }
    with Progress(console=Console(stderr=True), transient=True) as progress:
        compiles = any(is_compiled(plan, choice) for choice in plan.choices)
        # Compiling takes longer than playing; from the second run on it was kept.
        task = progress.add_task(COMPILING if compiles else "", total=total)

        def report(controller: str, family: str, share: float) -> None:
            done[controller, family] = max(done[controller, family], share)
            progress.update(
                task, completed=sum(done.values()), description=f"{controller} on {family}"
            )

        yield report
