"""`nearcast simulate placement`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from nearcast.errors import ConfigError, InputError
from nearcast.json_file import JsonFile, check_json_file, write_json
from simulation.prefetch.plot import check_plot


def placement(
    sessions: Annotated[
        Path,
        typer.Option(
            metavar="CSV[.gz|.xz]",
            help="Viewings: start_s, edge, user, item, rep, first_seg, n_seg.",
        ),
    ],
    catalog: Annotated[
        Path,
        typer.Option(
            metavar="CSV[.gz|.xz]",
            help="Items: item, title, episode, episodes, genre, launch_day, n_seg, seg_s, kbps_*.",
        ),
    ],
    storage: Annotated[
        str, typer.Option(metavar="SHARE", help="Of all items' bytes: what each edge holds.")
    ] = "5%",
    planners: Annotated[
        str, typer.Option(metavar="A,B", help="See above.")
    ] = "lru,hybrid,nearcast",
    warmup_days: Annotated[
        int, typer.Option(min=1, max=10_000, help="Replayed, and not counted.")
    ] = 4,
    windows: Annotated[
        str, typer.Option(metavar="HH:MM-HH:MM", help="When plans may fetch, each day.")
    ] = "02:00-08:00",
    fill_kbps: Annotated[
        float, typer.Option(min=1.0, help="How fast an edge may fetch for its plan, at most.")
    ] = 200_000.0,
    fill_share: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="How much, of what viewers take."),
    ] = 0.10,
    plan_every: Annotated[
        int, typer.Option(metavar="HOURS", min=1, max=24, help="Between two plans; divides 24.")
    ] = 2,
    pinned: Annotated[
        str, typer.Option(metavar="SHARE", help="Of the store, by plan; the rest is LRU.")
    ] = "97%",
    fill_price: Annotated[
        float, typer.Option(min=0.0, help="What a fetched byte must be expected to save.")
    ] = 0.1,
    without: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Parts of the forecast to leave out: popularity, series, taste, own, pending, "
            "any, releases, watching.",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Nothing is drawn: every seed gives the same figures.")
    ] = 1,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw hits by day and by edge.")
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Replay a log of viewings over edges whose stores follow a plan, and compare planners.

    Planners: lru (no plan), yesterday, ewma and oracle (whole files, pinned at midnight),
    hybrid and oracle-hybrid (60 % pinned so, 40 % LRU), and nearcast: the origin's own forecast
    and planner, which see of the log what edges would have reported until then.

    A hit is a byte served from what was held when it was asked for. A fill is a byte fetched for
    the plan; what viewers pull is none. The first four and the oracles fill at midnight, at once
    and without limit, as the published figures do; nearcast keeps to window, rate and share.

    Example: nearcast simulate placement --sessions s.csv.xz --catalog c.csv.xz --storage 5%
    """
    check_json_file(json_file)
    check_plot(plot)
    if find_spec("numba") is None:
        raise ConfigError("this replay is compiled by numba: pip install 'nearcast[sim]'")
    from origin.placement.forecast import PARTS
    from origin.placement.settings import PlanSettings
    from origin.placement.windows import parse_window
    from simulation.placement.options import Options
    from simulation.placement.planners import PLANNERS
    from simulation.placement.report import lines
    from simulation.placement.study import study
    from simulation.placement.trace import read_trace
    from simulation.replay.requests import parse_share

    share = parse_share(storage, "--storage")
    if share <= 0.0:
        raise ConfigError(f"--storage {storage}: it must be above 0%")
    names = list(dict.fromkeys(name.strip() for name in planners.split(",")))
    for name in names:
        PLANNERS.get(name)
    left_out = frozenset(part.strip() for part in without.split(",")) if without else frozenset()
    if unknown := sorted(left_out - PARTS):
        raise ConfigError(
            f"--without {unknown[0]}: parts of the forecast are {', '.join(sorted(PARTS))}"
        )
    if 24 % plan_every:
        raise ConfigError(
            f"--plan-every {plan_every}: it must divide 24, for a plan at each window"
        )
    try:
        parse_window(windows)
    except ValueError as error:
        raise ConfigError(f"--windows {error}") from error
    options = Options(
        settings=PlanSettings(
            windows=(windows,),
            fill_kbps=fill_kbps,
            fill_share=fill_share,
            pinned_share=parse_share(pinned, "--pinned"),
            fill_price=fill_price,
        ),
        every_hours=plan_every,
        parts=PARTS - left_out,
    )
    trace = read_trace(sessions, catalog)
    if trace.days <= warmup_days:
        raise InputError(
            f"{sessions} ends on day {trace.days - 1}: nothing is left to count after "
            f"{warmup_days} days; give a longer log or a smaller --warmup-days"
        )
    found = study(
        trace, planners=names, storage_share=share, warmup_days=warmup_days, options=options
    )
    write_json(json_file, found)
    for line in lines(found, options, sessions.name):
        print(line)
    if plot is not None:
        from simulation.placement.plot import draw

        draw(found, plot)
