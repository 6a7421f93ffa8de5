"""`nearcast train recommend`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearcast.json_file import JsonFile, check_json_file, write_json
from predictor.commands.shared import Progress, check_installed, check_writable


def train_recommend(
    data: Annotated[
        Path, typer.Option(help="a log of plays or of ratings; CSV[.gz|.xz] or Parquet")
    ],
    out: Annotated[Path, typer.Option(help="folder to write the model to")],
    test: Annotated[
        Path | None,
        typer.Option(help="a log of the time after --data, only measured on"),
    ] = None,
    seed: Annotated[int, typer.Option(help="same seed, same intervals")] = 1,
    json_file: JsonFile = None,
) -> None:
    """Train the model that foresees which title a viewer takes up next.

    Plays have the columns viewer, start_s, watched_s, runtime_s and title, at best series and genre
    too; ratings have userId, movieId, rating and timestamp. Every answer is ranked among all
    titles, beside a decayed-window Markov chain and popularity on the same questions. Without
    --test, parts of --data are kept apart for that.

    Example: nearcast train recommend --data plays.parquet --test later.parquet --out model/
    """
    check_installed("onnx", "onnxruntime", "threadpoolctl")
    from predictor.train import recommend
    from predictor.train.recommend_data import read_listing
    from predictor.train.recommend_report import lines

    listing, data_sha256 = read_listing(data)
    test_listing = read_listing(test)[0] if test is not None else None
    check_writable(out)
    check_json_file(json_file)
    with Progress() as progress:
        trained = recommend.train(
            listing,
            data_sha256=data_sha256,
            test=test_listing,
            seed=seed,
            on_progress=progress.show,
        )
    recommend.write(out, trained)
    write_json(json_file, trained.report)
    typer.echo(f"{trained.report.model_id} -> {out}")
    for line in lines(trained.report):
        typer.echo(line)
