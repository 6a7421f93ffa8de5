"""`nearcast origin token`: who may use the admin API and the page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from nearcast.json_file import JsonFile, check_json_file, write_json
from origin.commands.asking import Place, asks, client, duration_s

token_app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Tokens for the page and the admin API of a running origin.",
    epilog="Example: nearcast origin token add screen --role viewer",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Whose token: it stands in the audit.")]


@token_app.command(epilog="Example: nearcast origin token add anna --role operator --valid 365d")
@asks
def add(
    place: Place,
    name: Name,
    role: Annotated[
        Literal["viewer", "operator", "admin"],
        typer.Option(help="viewer reads; operator also drains edges and applies plans; admin all."),
    ] = "viewer",
    valid: Annotated[str, typer.Option(help="How long it is good: 2h, 30d.")] = "365d",
    json_file: JsonFile = None,
) -> None:
    """Make a token. It is shown this once."""
    from origin.control.api import TokenMade, TokenWanted

    check_json_file(json_file)
    wanted = TokenWanted(name=name, role=role, valid_s=duration_s(valid))
    made = client(place).post("/tokens", wanted, TokenMade)
    typer.echo(made.token)
    typer.echo(f"{made.name}: {made.role} until {_day(made.until_wall_s)}", err=True)
    write_json(json_file, made)


@token_app.command("list", epilog="Example: nearcast origin token list")
@asks
def list_tokens(
    place: Place,
    json_file: JsonFile = None,
) -> None:
    """Show whose tokens there are."""
    from origin.control.api import TokenList

    check_json_file(json_file)
    found = client(place).get("/tokens", TokenList)
    for one in found.tokens:
        state = "revoked" if one.is_revoked else f"until {_day(one.until_wall_s)}"
        typer.echo(f"{one.name:<40} {one.role:<10} {state}")
    write_json(json_file, found)


@token_app.command(epilog="Example: nearcast origin token revoke screen")
@asks
def revoke(
    place: Place,
    name: Name,
    json_file: JsonFile = None,
) -> None:
    """End a token at once."""
    from origin.drivers.control.client import part

    check_json_file(json_file)
    client(place).delete(f"/tokens/{part(name)}")
    typer.echo(f"{name}: revoked")
    write_json(json_file, {"revoked": name})


def _day(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%d")
