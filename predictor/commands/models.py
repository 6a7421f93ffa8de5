"""`nearcast models`: what is in a model folder, and whether it may serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearcast.errors import NearcastError
from nearcast.json_file import JsonFile, write_json

models_app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List and verify model folders.\n\nExample: nearcast models verify model/",
)


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
