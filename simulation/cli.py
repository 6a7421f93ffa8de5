"""`nearcast shape` and `nearcast simulate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from nearcast.errors import ConfigError
from nearcast.json_file import JsonFile, check_json_file, write_json
from simulation.placement.cli import placement
from simulation.prefetch.cli import prefetch
from simulation.sessions.cli import ListsCommand, abr
from simulation.workload.cli import workload

app = typer.Typer(
    help="The same edges, players and origin as live, on a virtual clock.",
    epilog="Example: nearcast simulate run evening",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.callback()
def simulate() -> None:
    """Makes `run`, `abr`, `cache` and the others commands of their own."""


app.command("abr", cls=ListsCommand)(abr)
app.command("placement", short_help="Say what a placement plan is worth.")(placement)
app.command("prefetch", short_help="Say what prefetching is worth for a log of plays.")(prefetch)
app.command("workload", short_help="Draw a log of plays of invented viewers.")(workload)


def shape(
    to: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where the link leads.")
    ] = None,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where to listen; port 0 picks a free one.")
    ] = "127.0.0.1:0",
    trace: Annotated[
        str | None,
        typer.Option(
            metavar="CSV",
            help="Bandwidth downstream: a file with the header t_s,throughput_kbps, or fibre, "
            "cable, wifi, mobile, mobile-poor.",
        ),
    ] = None,
    trace_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Which trace of a file that holds several.")
    ] = None,
    rate_kbps: Annotated[
        float | None, typer.Option(help="A constant rate downstream instead of a trace.")
    ] = None,
    up_trace: Annotated[
        str | None, typer.Option(metavar="CSV", help="Bandwidth upstream, as --trace.")
    ] = None,
    up_kbps: Annotated[
        float | None, typer.Option(help="A constant rate upstream (default 20000).")
    ] = None,
    delay_ms: Annotated[float, typer.Option(help="Delay each way.")] = 0.0,
    slow_start: Annotated[
        bool,
        typer.Option(
            "--slow-start",
            help="Each connection has a congestion window: ten segments, doubled every round trip, "
            "ten again after a second of silence. No loss.",
        ),
    ] = False,
    from_client: Annotated[
        bool,
        typer.Option("--from-client", help="The trace begins with the first connection."),
    ] = False,
    links: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Several links in one process: a JSON list of objects with name, to, listen, "
            "trace, trace_id, rate_kbps, up_trace, up_kbps, delay_ms, offset_s, from_client, "
            "slow_start.",
        ),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """A loopback proxy that makes a link as slow and as far away as a real one.

    All connections share the link. Prints `ready NAME=HOST:PORT` when it listens; Ctrl-C or
    SIGTERM ends it.

    Example: nearcast shape --trace mobile --delay-ms 30 --to 127.0.0.1:8081 --listen 127.0.0.1:9000
    """
    check_json_file(json_file)
    from nearcast.aio import run
    from simulation.drivers.proxy import ProxyFigures
    from simulation.drivers.shape import run_proxies
    from simulation.link_shape import ProxySpec, read_links

    alone = {
        "trace": trace,
        "trace_id": trace_id,
        "rate_kbps": rate_kbps,
        "up_trace": up_trace,
        "up_kbps": up_kbps,
    }
    if links is not None:
        flags = {"slow_start": slow_start or None, "from_client": from_client or None}
        said = {"to": to, **alone, **flags}
        given = [name for name, value in said.items() if value is not None]
        if given:
            raise ConfigError(f"--links says it all: leave out --{given[0].replace('_', '-')}")
        specs = read_links(links)
    elif to is None:
        raise ConfigError("say where the link leads: --to HOST:PORT")
    else:
        try:
            specs = (
                ProxySpec(
                    to=to,
                    listen=listen,
                    delay_ms=delay_ms,
                    slow_start=slow_start,
                    from_client=from_client,
                    **alone,  # type: ignore[arg-type]
                ),
            )
        except ValueError as error:
            raise ConfigError(str(error).replace("_", "-")) from error
    found: list[ProxyFigures] = []

    async def main() -> int:
        found.extend(await run_proxies(specs))
        return 0

    run(main())
    write_json(json_file, {"links": found})


@app.command()
def run(
    scenario: Annotated[
        str,
        typer.Argument(metavar="SCENARIO", help="A TOML file, or evening, week, outage or faults."),
    ],
    seed: Annotated[int | None, typer.Option(help="Instead of the scenario's own.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Look at the invariants after every event.")
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Run a scenario and print its figures, one column per edge.

    The digest is the same for the same scenario and seed, whenever and wherever it runs.

    Example: nearcast simulate run evening --seed 7 --json evening.json
    """
    check_json_file(json_file)
    from simulation.checks import InvariantBroken
    from simulation.show import outcome_lines, timed_run

    try:
        done, wall_s = timed_run(scenario, seed, is_checked=check)
    except InvariantBroken as error:
        print(f"broken: {error}", file=sys.stderr)
        raise typer.Exit(1) from error
    for line in outcome_lines(done, wall_s):
        print(line)
    write_json(
        json_file,
        {
            "digest": done.digest,
            "seed": done.seed,
            "record_count": done.record_count,
            "event_count": done.event_count,
            "simulated_s": done.simulated_s,
            "edges": {name: edge.figures for name, edge in done.edges.items()},
        },
    )


@app.command()
def cache(
    requests: Annotated[
        Path,
        typer.Option(
            metavar="CSV[.gz|.xz]",
            help="A file with the columns t_s, key and size_bytes, in order of time.",
        ),
    ],
    capacity: Annotated[
        str, typer.Option(metavar="SIZE", help="10GB, or a share of all objects' bytes: 5%.")
    ] = "5%",
    policies: Annotated[
        str | None, typer.Option(metavar="A,B", help="Eviction policies (default: all).")
    ] = None,
    admission: Annotated[str, typer.Option(help="Which objects are stored at all.")] = "always",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A parameter, as of the edge: eviction_params.s3fifo.small_share=0.2",
        ),
    ] = None,
    warmup: Annotated[
        str, typer.Option(metavar="SHARE", help="Of the requests: replayed, but not counted.")
    ] = "20%",
    peers: Annotated[
        str | None,
        typer.Option(help="Run the policies of the same names of this library too: libcachesim."),
    ] = None,
    engine: Annotated[
        Literal["auto", "compiled", "plain"],
        typer.Option(help="plain: the edge's own objects; compiled: the same rules, by numba."),
    ] = "auto",
    json_file: JsonFile = None,
) -> None:
    """Replay a request file through the cache's policies; print their miss ratios and the bound.

    Example: nearcast simulate cache --requests day.csv.xz --capacity 5% --peers libcachesim
    """
    check_json_file(json_file)
    from cache.config import CacheConfig
    from cache.eviction import EVICTION_POLICIES
    from nearcast.config import load
    from simulation.replay.requests import parse_capacity, parse_share, read_requests
    from simulation.replay.run import compare, lines

    # What is wrong on the command line is said before a long file is read.
    warmup_share = parse_share(warmup, "--warmup")
    if warmup_share == 1:
        raise ConfigError("--warmup 100%: leaves nothing to count")
    parse_capacity(capacity, 100)
    names = list(EVICTION_POLICIES) if policies is None else policies.split(",")
    chosen = [name.strip() for name in names]
    for name in chosen:
        EVICTION_POLICIES.get(name)
    config = load(
        CacheConfig, role="cache", assignments=[*(settings or ()), f"admission={admission}"]
    ).value
    found = read_requests(requests)
    config = msgspec.structs.replace(
        config, capacity_bytes=parse_capacity(capacity, found.footprint_bytes)
    )
    outcome = compare(
        found,
        config,
        policies=chosen,
        warmup_count=int(len(found.objects) * warmup_share),
        engine=engine,
        peers=peers,
    )
    for line in lines(outcome, requests.name):
        print(line)
    write_json(json_file, outcome)
