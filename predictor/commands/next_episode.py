"""`nearcast train next-episode`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearcast.json_file import JsonFile, check_json_file, write_json
from predictor.commands.shared import Progress, check_installed, check_writable

if TYPE_CHECKING:
    from predictor.train.measuring import Report

_SOURCES = {
    "rows": "real rows",
    "log": "a log of plays",
    "statistics": "plays drawn after statistics",
    "invented viewers": "plays of invented viewers",
}


def train_next_episode(
    out: Annotated[Path, typer.Option(help="folder to write the model to")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="a log of plays (CSV, Parquet), rows of ended plays (Parquet), or viewing "
            "statistics (JSON); without it viewers are invented"
        ),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(help="a log or rows to measure on; without it a fifth of --data is kept"),
    ] = None,
    seed: Annotated[int, typer.Option(help="same seed, same model")] = 1,
    json_file: JsonFile = None,
    plays: Annotated[int, typer.Option(hidden=True, min=400)] = 60_000,
    epochs: Annotated[int, typer.Option(hidden=True, min=1)] = 6,
    trees: Annotated[int, typer.Option(hidden=True, min=1)] = 250,
) -> None:
    """Train the model that foresees whether the next episode will be started, and how soon.

    Writes model.onnx (int8), manifest.json and model_float.onnx (for comparison).

    Example: nearcast train next-episode --data plays.parquet --out model/
    """
    check_installed("lightgbm", "onnx", "onnxruntime", "pyarrow", "threadpoolctl")
    from nearcast.seeds import Seeds
    from predictor.train import next_episode
    from predictor.train.boosted import BoostSettings
    from predictor.train.network import FitSettings
    from predictor.train.next_episode_data import read_data, read_real

    check_writable(out)
    check_json_file(json_file)
    with Progress() as progress:
        test_plays = read_real(test)[0] if test is not None else None
        learnt = read_data(data, seeds=Seeds(seed), play_count=plays, on_progress=progress.show)
        trained = next_episode.train(
            learnt,
            test=test_plays,
            seed=seed,
            settings=FitSettings(epochs=epochs),
            boosting=BoostSettings(trees=trees),
            on_progress=progress.show,
        )
    next_episode.write(out, trained)
    write_json(json_file, trained.report)
    _print_report(trained.report, out, "of --test" if test is not None else "kept from training")


def _print_report(report: Report, out: Path, which: str) -> None:
    typer.echo(f"{report.model_id} -> {out}")
    typer.echo(f"Learnt from {report.plays} episodes, {_SOURCES[report.source]}.")
    typer.echo(f"Measured at the end of {report.test_plays} episodes {which}:")
    _print_table({name: dict(rows) for name, rows in report.test.items()}, report, "end")
    if "0.50" in report.checkpoints:
        typer.echo("and half-way, on those that got there:")
        _print_table({k: dict(v) for k, v in report.checkpoints["0.50"].items()}, report, "0.50")
    if report.agreement_share is not None:
        typer.echo(f"{report.agreement_share:.0%} of the statistics are met within 10 %.")
    size = report.size_bytes / report.size_bytes_float
    int8, exact = report.latency_s["int8"], report.latency_s["float"]
    typer.echo(
        f"int8: {report.size_bytes} bytes, {size:.2f} of float; probabilities move by up to "
        f"{report.int8_shift_max:.3f}"
    )
    typer.echo(
        f"One row, CPU time: int8 p50 {int8['p50'] * 1e6:.0f} us, p99 {int8['p99'] * 1e6:.0f} us; "
        f"float p50 {exact['p50'] * 1e6:.0f} us, p99 {exact['p99'] * 1e6:.0f} us"
    )


def _print_table(table: dict[str, dict[str, object]], report: Report, stage: str) -> None:
    typer.echo(f"  {'horizon':<8}{'who':<22}{'AUC':>8}{'log-loss':>10}{'ECE':>8}")
    for horizon, own in table.items():
        rows = own | {name: stages[stage][horizon] for name, stages in report.baselines.items()}
        for who, row in rows.items():
            figures = (f"{getattr(row, name):.4f}" for name in ("auc", "log_loss", "ece"))
            auc, loss, ece = figures
            typer.echo(f"  {horizon:<8}{who:<22}{auc:>8}{loss:>10}{ece:>8}")
