"""`nearcast bench`: measure this machine, with the baseline in the same run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from nearcast.errors import ConfigError
from nearcast.json_file import JsonFile, check_json_file, write_json

app = typer.Typer(
    help="Measure this machine. Every figure comes with its baseline from the same run.",
    epilog="Example: nearcast bench inference",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.command()
def edge(
    peers: Annotated[
        str, typer.Option(help="Caches to compare with; those not installed are left out.")
    ] = "nginx,varnish",
    cells: Annotated[str, typer.Option(help="What to measure; all: every cell.")] = "all",
    rounds: Annotated[int, typer.Option(min=1, max=101, help="Paired rounds.")] = 9,
    quick: Annotated[
        bool, typer.Option("--quick", help="Two short rounds: a look, not a result.")
    ] = False,
    generator: Annotated[
        Literal["own", "wrk"], typer.Option(help="Who loads the hits: wrk for a second opinion.")
    ] = "own",
    json_file: JsonFile = None,
) -> None:
    """The edge's speed goals: hits, misses, TLS, connections, against tuned peers.

    Example: nearcast bench edge --cells hits,tls --rounds 9 --json edge.json
    """
    from simulation.bench.edge import CELLS, Plan, run_bench, table
    from simulation.bench.peers import PEERS

    plan = Plan(
        cells=tuple(CELLS) if cells == "all" else _choice("--cells", cells, tuple(CELLS)),
        peers=_choice("--peers", peers, PEERS),
        round_count=2 if quick else rounds,
        round_s=0.12 if quick else 0.4,
        is_wrk=generator == "wrk",
    )
    check_json_file(json_file)
    outcome = run_bench(plan, lambda note: typer.echo(note, err=True))
    for line in table(outcome):
        print(line)
    write_json(json_file, outcome)


def _choice(option: str, text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    wanted = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise ConfigError(f"{option} {','.join(unknown)}: choose from {', '.join(known)}")
    return wanted


@app.command()
def inference(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="model folders of any kind, by default the shipped next-episode model"),
    ] = None,
    calls: Annotated[int, typer.Option(min=10, max=1_000_000, help="Calls per cell.")] = 2000,
    device: Annotated[
        Literal["auto", "cpu", "gpu"],
        typer.Option(help="auto: the CPU, and a GPU where there is one."),
    ] = "auto",
    json_file: JsonFile = None,
) -> None:
    """Latency of models in batches of 1, 32 and 256, int8 against float.

    Example: nearcast bench inference model/ --json inference.json
    """
    from simulation.bench.inference import run_bench, table

    check_json_file(json_file)
    rows = run_bench(calls, folders=tuple(folders or ()), device=device)
    for line in table(rows):
        print(line)
    write_json(json_file, {"rows": rows})


@app.command()
def simulate(
    scenario: Annotated[str, typer.Option(help="A scenario file or a shipped name.")] = "evening",
    json_file: JsonFile = None,
) -> None:
    """Speed of the whole-network simulator, against the bare event loop it stands on.

    Example: nearcast bench simulate --scenario evening
    """
    from simulation.bench.simulate import run_bench, table

    check_json_file(json_file)
    figures = run_bench(scenario)
    for line in table(figures):
        print(line)
    write_json(json_file, figures)


@app.command()
def placement(
    fleets: Annotated[
        str,
        typer.Option(help="EDGESxFILES, or EDGESxFILES/CLUSTER: edges of each cluster."),
    ] = "8x10000,8x1000/8,8x10000/8,100x100000,100x100000/10",
    seed: Annotated[int, typer.Option(help="Of the made-up fleets.")] = 1,
    json_file: JsonFile = None,
) -> None:
    """How fast placement plans are made, and how near the best there could be.

    Example: nearcast bench placement --fleets 8x10000,100x100000/10
    """
    from simulation.bench.placement import read_fleets, run_bench, table

    check_json_file(json_file)
    wanted = read_fleets([part for part in fleets.split(",") if part.strip()])
    rows = run_bench(wanted, seed=seed, note=lambda note: typer.echo(note, err=True))
    for line in table(rows):
        print(line)
    write_json(json_file, {"rows": rows})


@app.command()
def agreement(
    controller: Annotated[
        str, typer.Option(help="Who chooses the rung: NAME, or NAME:parameter=value.")
    ] = "dynamic",
    traces: Annotated[
        list[Path] | None,
        typer.Option(metavar="CSV", help="A family of traces; repeat it (default: shipped ones)."),
    ] = None,
    title: Annotated[
        list[Path] | None,
        typer.Option(metavar="JSON", help="As of `nearcast simulate abr`; one, or one a family."),
    ] = None,
    latency_ms: Annotated[
        list[float] | None, typer.Option(help="A round trip; one, or one a family (40).")
    ] = None,
    sessions: Annotated[int, typer.Option(min=1, max=100, help="Over all families.")] = 20,
    buffer_s: Annotated[float, typer.Option(min=0, help="The player waits above this.")] = 25.0,
    abandon: Annotated[bool, typer.Option(help="Segments may be given up midway.")] = True,
    processing_ms: Annotated[
        float,
        typer.Option(min=0, help="What machines take for a request, given to the simulator too."),
    ] = 0.0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A parameter: controllers.bola.gamma_p=4"),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Live players behind shaped links, against the session simulator: two minutes of media each.

    Example: nearcast bench agreement --controller dynamic --json agreement.json
    """
    from tempfile import TemporaryDirectory

    from nearcast.units import s_from_ms
    from simulation.bench.agreement.live import play_live
    from simulation.bench.agreement.plan import Plan, pick_sessions
    from simulation.bench.agreement.report import compare, table
    from simulation.bench.agreement.simulated import play_simulated
    from simulation.sessions.options import Options, read_plan
    from simulation.sessions.rows import BOUND

    check_json_file(json_file)
    if "," in controller or controller.strip() == BOUND:
        raise ConfigError(f"--controller {controller}: one that plays live, for example dynamic")
    study = read_plan(
        Options(
            traces=tuple(traces or ()),
            titles=tuple(title or ()),
            latencies_ms=tuple(latency_ms or (40.0,)),
            controllers=controller,
            settings=tuple(settings or ()),
        )
    )
    plan = Plan(
        sessions=pick_sessions(study.conditions, sessions),
        choice=study.choices[0],
        buffer_s_max=buffer_s,
        can_abandon=abandon,
        processing_s=s_from_ms(processing_ms),
    )
    with TemporaryDirectory(prefix="nearcast-agreement-") as folder:
        live = play_live(plan, Path(folder))
    found = compare(plan, live, play_simulated(plan, live.manifests_bytes))
    for line in table(found):
        print(line)
    write_json(json_file, found)


@app.command()
def fleet(
    edges: Annotated[int, typer.Option(min=1, max=5_000, help="Simulated edges.")] = 1_000,
    duration: Annotated[float, typer.Option(min=2.0, max=86_400.0, help="Seconds of load.")] = 60.0,
    events: Annotated[float, typer.Option(min=0.0, help="Telemetry events a second.")] = 2_000.0,
    json_file: JsonFile = None,
) -> None:
    """What a fleet's heartbeats and telemetry cost an origin, and how soon players are answered.

    Example: nearcast bench fleet --edges 1000 --duration 60 --json fleet.json
    """
    from simulation.bench.fleet import run_bench, table

    check_json_file(json_file)
    row = run_bench(edges, duration, events, lambda note: typer.echo(note, err=True))
    for line in table(row):
        print(line)
    write_json(json_file, row)
