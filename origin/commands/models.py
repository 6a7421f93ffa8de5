"""`nearcast origin models`: which models edges are offered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from nearcast.json_file import JsonFile, check_json_file, write_json
from nearcast.units import format_size

models_app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Offer signed models to edges, which look for them by themselves.",
    epilog="Example: nearcast origin models add model/ --public-key models.key.pub",
)

Library = Annotated[Path, typer.Option("--library", help="Folder that holds titles and models.")]
LIBRARY_DEFAULT = Path("library")


@models_app.command("add", epilog="Example: nearcast origin models add model/ --library library")
def add_model(
    model_folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A signed model folder.")],
    library: Library = LIBRARY_DEFAULT,
    public_keys: Annotated[
        list[str] | None,
        typer.Option(
            "--public-key", metavar="KEY", help="Key or file of keys it must be signed by."
        ),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Check a signed model and offer it to edges, as the newest of its kind.

    Without --public-key it must be signed, by whomever: the edges know whom they believe.
    """
    from origin.drivers.model_store import ModelStore
    from origin.drivers.storage import LibraryFolder
    from predictor.signature import Trust

    check_json_file(json_file)
    trust = Trust.read(public_keys) if public_keys else None
    folder = LibraryFolder(library, must_exist=False)
    try:
        release = ModelStore(folder).add(model_folder, trust=trust)
    finally:
        folder.close()
    keys = ", ".join(release.signed_by)
    typer.echo(
        f"{release.model_id}: release {release.released_no} of {release.kind} ({release.name})"
    )
    typer.echo(f"  signed by {keys}" + ("" if trust else "; no --public-key, so not verified"))
    write_json(json_file, release)


@models_app.command("list", epilog="Example: nearcast origin models list --library library")
def list_models(library: Library = LIBRARY_DEFAULT, json_file: JsonFile = None) -> None:
    """Show the models on offer, newest of each kind first."""
    from origin.drivers.model_store import ModelStore
    from origin.drivers.storage import LibraryFolder

    check_json_file(json_file)
    folder = LibraryFolder(library, must_exist=True)
    try:
        releases = ModelStore(folder).read()
    finally:
        folder.close()
    kinds = sorted({release.kind for release in releases.releases})
    shown = [release for kind in kinds for release in releases.of_kind(kind)]
    for release in shown:
        typer.echo(
            f"{release.model_id:<32} {release.kind:<14} no {release.released_no:<4} "
            f"{format_size(release.size_bytes):>10}  signed by {', '.join(release.signed_by)}"
        )
    typer.echo("1 model" if len(shown) == 1 else f"{len(shown)} models")
    write_json(json_file, {"models": msgspec.to_builtins(shown)})


@models_app.command(
    "withdraw", epilog="Example: nearcast origin models withdraw next-episode-cf439a55936c"
)
def withdraw_model(
    model: Annotated[str, typer.Argument(metavar="ID", help="Model id, or name of one release.")],
    library: Library = LIBRARY_DEFAULT,
    json_file: JsonFile = None,
) -> None:
    """Take a model off the list and delete it; edges that run it fall back to the one before."""
    from origin.drivers.model_store import ModelStore
    from origin.drivers.storage import LibraryFolder

    check_json_file(json_file)
    folder = LibraryFolder(library, must_exist=True)
    try:
        gone = ModelStore(folder).withdraw(model)
    finally:
        folder.close()
    for release in gone:
        typer.echo(f"{release.name}: withdrawn")
    write_json(json_file, {"withdrawn": [release.name for release in gone]})
