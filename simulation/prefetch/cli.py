"""`nearcast simulate prefetch`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from nearcast.errors import ConfigError
from nearcast.json_file import JsonFile, check_json_file, write_json
from simulation.prefetch.plot import check_plot
from simulation.prefetch.plot import plot as draw

SEED_COUNT = 3
SEEDS_MAX = 100


def prefetch(
    seed: Annotated[int, typer.Option(help="Of the first year of viewers.")] = 1,
    seeds: Annotated[
        int, typer.Option(min=1, max=SEEDS_MAX, help="How many years: seed, seed + 1, ...")
    ] = SEED_COUNT,
    viewers: Annotated[
        int, typer.Option(min=10, help="The default is how many were measured.")
    ] = 613,
    days: Annotated[float, typer.Option(min=7.0, help="How long they watch.")] = 364.0,
    requests: Annotated[
        Path | None,
        typer.Option(
            metavar="PLAYS",
            help="Your own log of plays instead (CSV[.gz|.xz] or Parquet, see docs/train.md).",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME|DIR", help="default, a model's folder, rule, random, inverted or stale."
        ),
    ] = "default",
    capacity: Annotated[
        str, typer.Option(metavar="A,B", help="Shares of all that is asked for.")
    ] = "1%,5%,10%",
    segments: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Instead: bytes missed on a segment log, sessions.csv and catalog.csv[.gz|.xz].",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw hit ratio against waste at each gate."),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Replay viewers through an edge's cache, with and without prefetching.

    Policies: lru, s3fifo, belady (the best without prefetching), rule (LRU, and the next episode
    once half of one is watched), oracle (LRU, and what the viewer will start within a week), ours,
    and ours with models that are wrong.

    Example: nearcast simulate prefetch --seed 7 --json prefetch.json
    """
    check_json_file(json_file)
    check_plot(plot)
    if segments is not None and (plot is not None or requests is not None):
        raise ConfigError("--segments stands alone: it takes no --plot and no --requests")
    if find_spec("numba") is None:
        raise ConfigError("this replay is compiled by numba: pip install 'nearcast[sim]'")
    if segments is not None:
        _on_segments(segments, seed=seed, model=model, json_file=json_file)
        return
    from predictor.logs.plays import read_plays
    from simulation.prefetch.answers import check_model
    from simulation.prefetch.report import lines
    from simulation.prefetch.study import run_count, study
    from simulation.prefetch.years import Year, years
    from simulation.replay.requests import parse_share

    shares = [parse_share(part.strip(), "--capacity") for part in capacity.split(",")]
    if min(shares) <= 0.0:
        raise ConfigError(f"--capacity {capacity}: each share must be above 0")
    check_model(model)
    if requests is not None:
        logs = [Year(seed=seed, log=read_plays(requests))]
        source = requests.name
    else:
        logs = years(range(seed, seed + seeds), viewers=viewers, days=days)
        source = "generated viewers"
    with _progress(run_count(len(logs), capacities=len(shares))) as on_run:
        found = study(logs, model=model, capacities=shares, on_run=on_run)
    write_json(json_file, found)
    for line in lines(found, source):
        print(line)
    if plot is not None:
        draw(found, plot)


def _on_segments(folder: Path, *, seed: int, model: str, json_file: Path | None) -> None:
    from simulation.prefetch.answers import check_model
    from simulation.prefetch.segment_report import files_of, lines
    from simulation.prefetch.segment_study import MODELS, study
    from simulation.prefetch.segments import read_segment_log

    log = read_segment_log(*files_of(folder))
    check_model(model)
    found = study(log, seed=seed, models=tuple(dict.fromkeys((model, *MODELS))))
    write_json(json_file, found)
    for line in lines(found, folder.resolve().name):
        print(line)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("replaying", total=total)
        yield lambda: bar.advance(task)
