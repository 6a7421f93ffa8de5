"""`nearcast models`: what is in a model folder, whose it is, and whether it may serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearcast.errors import InputError, ModelError, NearcastError
from nearcast.json_file import JsonFile, check_json_file, write_json

models_app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List, sign and verify model folders.\n\nExample: nearcast models verify model/",
)


@models_app.callback()
def _models() -> None:
    """List, sign and verify model folders.

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


@models_app.command("keygen", short_help="Make a key to sign models with.")
def make_key(
    out: Annotated[Path, typer.Option("--out", metavar="KEY", help="New private key file.")],
    json_file: JsonFile = None,
) -> None:
    """Make a key to sign models with: a private key file that only its owner can read.

    The public key goes to KEY.pub and to the terminal: edges and origins are given that.

    Example: nearcast models keygen --out models.key
    """
    from predictor.keys import KeyPair

    check_json_file(json_file)
    key = KeyPair.generate()
    public = key.write(out)
    typer.echo(f"private key  {out}  (keep it where models are trained, show it to nobody)")
    typer.echo(f"public key   {key.public_text}  -> {public}")
    typer.echo(f"key id       {key.key_id}")
    write_json(json_file, {"public_key": key.public_text, "key_id": key.key_id})


@models_app.command("sign", short_help="Sign a model folder.")
def sign_model(
    folder: Annotated[Path, typer.Argument(help="Model folder.")],
    key_file: Annotated[
        Path, typer.Option("--key", metavar="KEY", help="Private key of nearcast models keygen.")
    ],
    keep_others: Annotated[
        bool, typer.Option("--add", help="Keep the signatures of other keys, to change keys.")
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Sign a model folder: writes manifest.sig, after checking bytes and schema.

    Example: nearcast models sign model/ --key models.key
    """
    from predictor.artifact import read_manifest
    from predictor.keys import KeyPair, sign_folder

    check_json_file(json_file)
    key = KeyPair.read(key_file)
    signed = sign_folder(folder, key, keep_others=keep_others)
    model_id = read_manifest(folder).model_id
    ids = [one.key_id for one in signed.signatures]
    typer.echo(f"{model_id}  {folder}: signed by {', '.join(ids)}")
    write_json(json_file, {"folder": str(folder), "model_id": model_id, "key_ids": ids})


@models_app.command("verify", short_help="Say whether models may serve.")
def verify_model(
    folder: Annotated[
        Path | None,
        typer.Argument(help="of any kind; by default the shipped next-episode model"),
    ] = None,
    public_keys: Annotated[
        list[str] | None,
        typer.Option("--public-key", metavar="KEY", help="Public key or file: it must be signed."),
    ] = None,
    revoked: Annotated[
        list[str] | None,
        typer.Option("--revoked", metavar="ID", help="Key id that counts no more."),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Check a model's bytes, schema and answers on its golden rows; exit 2 if it may not serve.

    With public keys it must be signed by one of them.

    Example: nearcast models verify model/ --public-key models.key.pub
    """
    from predictor.cards import lines, shipped_folders, verify
    from predictor.signature import Trust

    check_json_file(json_file)
    if revoked and not public_keys:
        raise InputError("--revoked says which of the keys count no more: name --public-key too")
    trust = Trust.read(public_keys, revoked=revoked or ()) if public_keys else None
    chosen = folder or shipped_folders()[0]
    result: dict[str, object] = {"folder": str(chosen), "is_good": False, "detail": ""}
    try:
        found = verify(chosen, trust=trust)
    except NearcastError as error:
        result["detail"] = str(error)
        result["reason"] = error.reason if isinstance(error, ModelError) else "unreadable"
        write_json(json_file, result)
        raise
    result |= {
        "is_good": True,
        "model_id": found.card.model_id,
        "provider": found.provider,
        "signed_by": found.signed_by,
    }
    for line in lines(str(chosen), found.card):
        typer.echo(line)
    signed = f"signature of {found.signed_by}, " if found.signed_by else ""
    typer.echo(
        f"  good: {signed}bytes, schema and {found.golden_count} golden rows, on {found.provider}"
    )
    if found.claims and not found.signed_by:
        typer.echo(f"  says it is signed by {', '.join(found.claims)}; --public-key would tell")
    write_json(json_file, result)
