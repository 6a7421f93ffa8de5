"""`nearcast train bandwidth`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearcast.errors import InputError
from nearcast.json_file import JsonFile, check_json_file, write_json
from predictor.commands.shared import Progress, check_installed, check_writable


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
    check_installed("onnx", "torch")
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
    check_writable(out)
    check_json_file(json_file)
    with Progress() as progress:
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


def _families_left_out(names: list[str], families: set[str]) -> list[str]:
    unknown = sorted(set(names) - families - {"all"})
    if unknown:
        raise InputError(
            f"--leave-out {unknown[0]}: no --data file has that name; "
            f"there are {', '.join(sorted(families)) or 'none'}"
        )
    return sorted(families) if "all" in names else list(dict.fromkeys(names))
