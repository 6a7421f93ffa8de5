"""`nearcast train next-episode`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearcast.json_file import JsonFile, check_json_file, write_json
from predictor.commands.shared import Progress, check_installed, check_writable

if TYPE_CHECKING:
    from predictor.train.measuring import Report


def train_next_episode(
    data: Annotated[Path, typer.Option(help="aggregate viewing statistics, JSON")],
    out: Annotated[Path, typer.Option(help="folder to write the model to")],
    test: Annotated[
        Path | None, typer.Option(help="real ended plays to measure on, Parquet")
    ] = None,
    seed: Annotated[int, typer.Option(help="same seed, same model")] = 1,
    json_file: JsonFile = None,
    plays: Annotated[int, typer.Option(hidden=True, min=400)] = 400_000,
    epochs: Annotated[int, typer.Option(hidden=True, min=1)] = 16,
) -> None:
    """Train the model that foresees whether the next episode will be started, and how soon.

    Trains on plays drawn from aggregate statistics, never on anyone's log. Writes model.onnx
    (int8), manifest.json and model_float.onnx (for comparison).

    Example: nearcast train next-episode --data viewing_stats.json --test plays.parquet --out model/
    """
    check_installed("onnx", "onnxruntime", "threadpoolctl", *(("pyarrow",) if test else ()))
    from predictor.train import next_episode
    from predictor.train.measured import read_plays
    from predictor.train.network import FitSettings
    from predictor.train.statistics import read_statistics

    statistics, data_sha256 = read_statistics(data)
    test_plays = read_plays(test) if test is not None else None
    check_writable(out)
    check_json_file(json_file)
    with Progress() as progress:
        trained = next_episode.train(
            statistics,
            data_sha256=data_sha256,
            test=test_plays,
            seed=seed,
            play_count=plays,
            settings=FitSettings(epochs_max=epochs),
            on_progress=progress.show,
        )
    next_episode.write(out, trained)
    write_json(json_file, trained.report)
    _print_report(trained.report, out)


def _print_report(report: Report, out: Path) -> None:
    table = report.test or report.drawn
    where = f"{report.test_plays} real plays" if report.test else "drawn plays of unseen viewers"
    typer.echo(f"{report.model_id} -> {out}  ({report.size_bytes} bytes int8)")
    typer.echo(f"Measured at the end of {where}:")
    typer.echo(f"  {'horizon':<8}{'who':<22}{'AUC':>8}{'log-loss':>10}{'ECE':>8}")
    for horizon in table:
        rows = dict(table[horizon])
        rows |= {name: stages["end"][horizon] for name, stages in report.baselines.items()}
        for who, row in rows.items():
            typer.echo(
                f"  {horizon:<8}{who:<22}{row.auc:>8.4f}{row.log_loss:>10.4f}{row.ece:>8.4f}"
            )
    typer.echo(f"{report.agreement_share:.0%} of the statistics' rows met within 10 % by the plays")
    int8, exact = report.latency_s["int8"], report.latency_s["float"]
    typer.echo(
        f"One row, CPU time: int8 p50 {int8['p50'] * 1e6:.0f} us, p99 {int8['p99'] * 1e6:.0f} us; "
        f"float p50 {exact['p50'] * 1e6:.0f} us, p99 {exact['p99'] * 1e6:.0f} us"
    )
