"""`nearcast train` and `nearcast models`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearcast.errors import InputError, NearcastError
from nearcast.json_file import JsonFile, check_json_file, write_json

if TYPE_CHECKING:
    from predictor.train.measuring import Report

train_app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Train, quantise and measure a model.\n\n"
    "Example: nearcast train next-episode --data viewing_stats.json --out model/",
)
models_app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List and verify model folders.\n\nExample: nearcast models verify model/",
)


@train_app.callback()
def _train() -> None:
    """Train, quantise and measure a model.

    Example: nearcast train next-episode --data viewing_stats.json --out model/
    """


@train_app.command("next-episode")
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
    _check_installed("onnx", "onnxruntime", "threadpoolctl", *(("pyarrow",) if test else ()))
    from predictor.train import next_episode
    from predictor.train.measured import read_plays
    from predictor.train.network import FitSettings
    from predictor.train.statistics import read_statistics

    statistics, data_sha256 = read_statistics(data)
    test_plays = read_plays(test) if test is not None else None
    _check_writable(out)
    check_json_file(json_file)
    with _Progress() as progress:
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


@train_app.command("bandwidth")
def train_bandwidth(
    out: Annotated[Path, typer.Option(help="folder to write the model to")],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="traces of one family a file, CSV[.gz|.xz], or a folder of them; repeatable"
        ),
    ] = None,
    test: Annotated[
        list[Path] | None, typer.Option(help="other traces, only measured on; repeatable")
    ] = None,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(help="measure this family (or: all) by a fit without it; repeatable"),
    ] = None,
    seed: Annotated[int, typer.Option(help="same seed, same model")] = 1,
    json_file: JsonFile = None,
    steps: Annotated[int, typer.Option(hidden=True, min=1)] = 16_000,
    rounds: Annotated[int, typer.Option(hidden=True, min=1)] = 5,
    sessions: Annotated[int, typer.Option(hidden=True, min=1)] = 300,
) -> None:
    """Train the model that foresees the network's throughput.

    Traces have the columns t_s, throughput_kbps and trace_id; a family is called as its file.
    Without --data it learns from generated links alone; without --test a fold of the traces
    measures it. Writes bandwidth.json (int8, for numpy), bandwidth.onnx (the same) and
    bandwidth_float.onnx.

    Example: nearcast train bandwidth --data fcc.csv.gz --data ghent4g.csv.gz --out model/
    """
    _check_installed("onnx", "torch")
    from predictor.train import bandwidth
    from predictor.train.bandwidth_data import Amounts
    from predictor.train.bandwidth_fit import FitSettings
    from predictor.train.bandwidth_report import report_text
    from predictor.train.bandwidth_traces import check_enough, read_files

    traces, data_sha256 = read_files(data or [])
    if warning := check_enough(traces):
        typer.echo(f"warning: {warning}", err=True)
    test_traces, _ = read_files(test or [])
    left_out = _families_left_out(leave_out or [], {trace.family for trace in traces})
    _check_writable(out)
    check_json_file(json_file)
    with _Progress() as progress:
        trained = bandwidth.train(
            traces,
            test=test_traces,
            left_out=left_out,
            data_sha256=data_sha256,
            seed=seed,
            amounts=Amounts(rounds=rounds, sessions=sessions, windows=20 * sessions),
            settings=FitSettings(steps=steps),
            on_progress=progress.show,
        )
    bandwidth.write(out, trained)
    write_json(json_file, trained.report)
    typer.echo(report_text(trained.report))


@models_app.callback()
def _models() -> None:
    """List and verify model folders.

    Example: nearcast models verify model/
    """


@models_app.command("list")
def list_models(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="model folders, by default the shipped ones")
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Show what models say of themselves, without running them.

    Example: nearcast models list
    """
    from predictor.cards import lines, read_card, shipped_folders

    found = {str(folder): read_card(folder) for folder in folders or shipped_folders()}
    for name, card in found.items():
        for line in lines(name, card):
            typer.echo(line)
    write_json(json_file, found)


@models_app.command("verify")
def verify_model(
    folder: Annotated[
        Path | None,
        typer.Argument(help="of either kind; by default the shipped next-episode model"),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Check a model's bytes, schema and answers on its golden rows; exit 2 if it may not serve.

    Example: nearcast models verify model/
    """
    from predictor.cards import lines, shipped_folders, verify

    chosen = folder or shipped_folders()[0]
    result: dict[str, object] = {"folder": str(chosen), "is_good": False, "detail": ""}
    try:
        found = verify(chosen)
    except NearcastError as error:
        result["detail"] = str(error)
        write_json(json_file, result)
        raise
    result |= {"is_good": True, "model_id": found.card.model_id, "provider": found.provider}
    for line in lines(str(chosen), found.card):
        typer.echo(line)
    typer.echo(f"  good: bytes, schema and {found.golden_count} golden rows, on {found.provider}")
    write_json(json_file, result)


class _Progress:
    """A bar on a terminal, a line per stage elsewhere; both on stderr."""

    def __enter__(self) -> _Progress:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        self._bar = Progress(console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("start", total=1.0)
        self._is_terminal = console.is_terminal
        self._last = ""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, stage: str, share: float) -> None:
        if not self._is_terminal and stage != self._last:
            print(stage, file=sys.stderr)
        self._last = stage
        self._bar.update(self._task, description=stage, completed=share)


def _check_installed(*modules: str) -> None:
    """Name what is missing before work begins; the packages are imported only where needed."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"training needs the Python packages {', '.join(missing)}; "
            "install them with: pip install 'nearcast[cpu,train]'"
        )


def _check_writable(out: Path) -> None:
    """Find out before minutes of training, not after."""
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; name a folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {out}: {error.strerror or error}") from error


def _families_left_out(names: list[str], families: set[str]) -> list[str]:
    unknown = sorted(set(names) - families - {"all"})
    if unknown:
        raise InputError(
            f"--leave-out {unknown[0]}: no --data file has that name; "
            f"there are {', '.join(sorted(families)) or 'none'}"
        )
    return sorted(families) if "all" in names else list(dict.fromkeys(names))


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
