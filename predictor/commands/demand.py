"""`nearcast train demand`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearcast.json_file import JsonFile, check_json_file, write_json
from predictor.commands.shared import Progress, check_installed, check_writable

if TYPE_CHECKING:
    from predictor.train.demand_countries import CountryReport
    from predictor.train.demand_study import Report


def train_demand(
    data: Annotated[
        list[Path],
        typer.Option(help="weekly lists with hours, or a log of plays; CSV or Parquet; repeatable"),
    ],
    out: Annotated[Path, typer.Option(help="folder to write the model to")],
    test: Annotated[
        list[Path] | None,
        typer.Option(help="the time after --data, only measured on; repeatable"),
    ] = None,
    seed: Annotated[int, typer.Option(help="same seed, same model")] = 1,
    json_file: JsonFile = None,
    rounds: Annotated[int, typer.Option(hidden=True, min=1)] = 400,
) -> None:
    """Train the model that foresees what each title will be watched next week, and next day.

    Weekly lists have week, category, weekly_rank, title_id and weekly_hours_viewed; beside them may
    stand the lists of countries (country_iso2, no hours). A log of plays gives every region's
    demand, and a second model in OUT/day. Without --test the end of --data is measured on.

    Example: nearcast train demand --data top10.parquet --test later.parquet --out model/
    """
    check_installed("onnx", "onnxruntime")
    from predictor.train import demand, demand_run
    from predictor.train.demand_boosting import BoostSettings

    check_writable(out)
    check_json_file(json_file)
    with Progress() as progress:
        result = demand_run.run(
            data,
            test or [],
            seed=seed,
            settings=BoostSettings(rounds=rounds),
            on_progress=progress.show,
        )
    for period, trained in result.trained.items():
        demand.write(out if period == "week" else out / period, trained)
    write_json(json_file, demand_run.summary(result))
    for report in result.reports.values():
        _show(report, out if report.period == "week" else out / report.period)
    if result.countries is not None:
        _show_countries(result.countries)


def _show(report: Report, out: Path) -> None:
    typer.echo(f"{report.model_id} -> {out}  ({report.size_bytes} bytes)")
    typer.echo(
        f"The next {report.period}, on {report.measured_on}: {report.test['all']['float'].rows} "
        f"amounts of {report.regions} regions; {report.not_foreseen_share:.1%} of what was watched "
        "is of titles new or too little seen of late, and in no figure"
    )
    typer.echo(f"  {'':<16}{'WAPE':>8}{'below 10 %':>12}{'50 %':>8}{'90 %':>8}{'10-90 %':>9}")
    for name, one in {**report.baselines, "trees": report.test["all"]["float"]}.items():
        line = f"  {name:<16}{one.wape:>8.4f}"
        if one.below is not None and one.inside is not None:
            line += f"{one.below[0]:>12.3f}{one.below[1]:>8.3f}{one.below[2]:>8.3f}"
            line += f"{one.inside:>9.3f}"
        typer.echo(line)
    for title, groups in (
        ("age", report.by_age),
        ("category", report.by_category),
        ("region", report.by_region),
    ):
        for name, row in groups.items():
            errors = ", ".join(f"{who} {row[who]:.3f}" for who in row if who != "rows")
            typer.echo(f"  {title} {name}: {errors}")


def _show_countries(report: CountryReport) -> None:
    typer.echo(
        f"Countries' next lists, on {report.measured_on} ({report.lists} lists): share found"
    )
    for name, row in report.recall.items():
        shares = ", ".join(f"{share:.3f} with {slots}" for slots, share in row.items())
        typer.echo(f"  {name:<24} {shares}")
