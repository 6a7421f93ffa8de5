"""`nearcast simulate workload`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearcast.errors import ConfigError
from nearcast.json_file import JsonFile, check_json_file, write_json

if TYPE_CHECKING:
    from predictor.viewing.agreement import Row

TABLES = (".csv", ".gz", ".xz", ".parquet", ".pq")


def workload(
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Plays, as .csv, .csv.gz, .csv.xz or .parquet."),
    ] = None,
    viewers: Annotated[int, typer.Option(min=1, max=10_000_000, help="How many.")] = 2000,
    days: Annotated[float, typer.Option(min=1, max=3660, help="How long they watch.")] = 28.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same plays.")] = 1,
    titles: Annotated[int, typer.Option(help="Seasons and films of the catalogue.")] = 18_000,
    new_share: Annotated[
        float, typer.Option(help="Of the titles, those that appear meanwhile.")
    ] = 0.1,
    region_spread: Annotated[float, typer.Option(help="How far regions' tastes differ.")] = 0.5,
    crowds: Annotated[
        int, typer.Option(min=0, max=1000, help="Flash crowds, each a film at a random time.")
    ] = 0,
    probe_share: Annotated[
        float,
        typer.Option(min=0.0, max=0.95, help="Of choices, those left again within 90 s."),
    ] = 0.0,
    segments: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Segment requests as well, for `simulate cache` (CSV)."),
    ] = None,
    statistics: Annotated[
        Path | None,
        typer.Option(metavar="JSON", help="Fit the viewers to these viewing statistics first."),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(metavar="JSON", help="Print these statistics beside those of the plays."),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Draw a log of plays: viewers of series and films, who resume, browse and come back.

    Invented viewers of an invented catalogue, with the rates of measured ones. Region by region
    tastes differ, titles are released and fade.

    Example: nearcast simulate workload --viewers 2000 --days 28 --out plays.parquet
    """
    check_json_file(json_file)
    for file in (out, segments):
        check_json_file(file)
        if file is not None and file.suffix not in TABLES:
            raise ConfigError(f"{file}: its name should end in one of {', '.join(TABLES)}")
    if segments is not None and segments.suffix in {".parquet", ".pq"}:
        raise ConfigError("--segments writes CSV: let its name end in .csv, .gz or .xz")
    if out is None and segments is None and check is None and json_file is None:
        raise ConfigError("say what to make: --out, --segments, --check or --json")
    from predictor.logs.plays import write_plays
    from predictor.viewing.agreement import compare
    from predictor.viewing.measure import measure
    from predictor.viewing.statistics import read_statistics
    from simulation.workload.catalogue import CatalogueSpec
    from simulation.workload.generated import behaviour_for, generate, summary, summary_lines
    from simulation.workload.segments import write_segments

    wanted = read_statistics(check)[0] if check else None
    try:
        spec = CatalogueSpec(title_count=titles, new_share=new_share, region_spread=region_spread)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    behaviour = behaviour_for(
        read_statistics(statistics)[0] if statistics else None,
        seed=seed,
        probe_share=probe_share,
    )
    log = generate(
        seed=seed,
        viewers=viewers,
        days=days,
        catalogue=spec,
        behaviour=behaviour,
        crowd_count=crowds,
    )
    found = summary(log)
    for line in summary_lines(found):
        print(line)
    if out is not None:
        write_plays(out, log)
    requests = write_segments(segments, log, seed) if segments is not None else None
    if requests is not None:
        print(f"{requests} segment requests")
    rows = compare(wanted, measure(log)) if wanted else ()
    for line in _lines(rows):
        print(line)
    write_json(
        json_file, {"seed": seed, "summary": found, "rows": rows, "segment_requests": requests}
    )


def _lines(rows: tuple[Row, ...]) -> list[str]:
    if not rows:
        return []
    agreeing = sum(row.agrees for row in rows)
    return [
        "",
        f"{'':36}{'measured':>11}{'drawn':>11}{'off by':>9}",
        *(
            f"{row.name:36}{row.measured:11.4g}{row.drawn:11.4g}{100 * row.deviation:+8.1f}%"
            f"{'' if row.agrees else ' *'}"
            for row in rows
        ),
        f"{agreeing} of {len(rows)} within 10 %",
    ]
