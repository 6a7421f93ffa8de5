"""`nearcast bench`: measure this machine, with the baseline in the same run."""

from __future__ import annotations

from typing import Annotated

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
    sizes: Annotated[
        str, typer.Option(help="Object sizes in bytes, separated by commas.")
    ] = "4096,65536,524288",
    rounds: Annotated[int, typer.Option(min=1, max=101, help="Paired rounds per size.")] = 5,
    peers: Annotated[str, typer.Option(help="Servers to compare with: nginx.")] = "nginx",
    json_file: JsonFile = None,
) -> None:
    """Cost of a hit: the edge against nginx (if installed) and plain aiohttp.

    Example: nearcast bench edge --sizes 65536 --rounds 9 --json edge.json
    """
    from simulation.bench.edge import run_bench, table

    try:
        sizes_bytes = tuple(dict.fromkeys(int(size) for size in sizes.split(",")))
    except ValueError:
        raise ConfigError(f"--sizes {sizes}: give whole numbers, such as 4096,65536") from None
    if not all(0 < size <= 1 << 26 for size in sizes_bytes):
        raise ConfigError(f"--sizes {sizes}: each must be between 1 and {1 << 26} bytes")
    wanted = tuple(peer.strip() for peer in peers.split(",") if peer.strip())
    unknown = sorted(set(wanted) - {"nginx"})
    if unknown:
        raise ConfigError(f"--peers {','.join(unknown)}: only nginx can be compared with")
    check_json_file(json_file)
    rows = run_bench(sizes_bytes, rounds, wanted)
    for line in table(rows, rows[0].server):
        print(line)
    write_json(json_file, {"rows": rows})


@app.command()
def inference(
    calls: Annotated[int, typer.Option(min=10, max=1_000_000, help="Calls per cell.")] = 2000,
    json_file: JsonFile = None,
) -> None:
    """Latency of the shipped next-episode model, int8 against float.

    Example: nearcast bench inference --json inference.json
    """
    from simulation.bench.inference import run_bench, table

    check_json_file(json_file)
    rows = run_bench(calls)
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
