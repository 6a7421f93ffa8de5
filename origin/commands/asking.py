"""How commands find a running origin.

A command takes a `Place` first and is decorated with `asks`, which gives it the options of `_place`
before `--json`. Another option for all of them is a parameter there.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, Final, ParamSpec, get_type_hints

import msgspec
import typer

from nearcast.errors import InputError

if TYPE_CHECKING:
    from origin.drivers.control.client import AdminClient

LIBRARY_DEFAULT: Final = Path("library")

Library = Annotated[
    Path, typer.Option("--library", help="The origin's folder, which says where it is.")
]
AdminUrl = Annotated[
    str | None, typer.Option("--admin", metavar="URL", help="Its admin port, https://HOST:PORT.")
]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", metavar="FILE", help="A token for it.")
]

CaFile = Annotated[
    Path | None,
    typer.Option("--ca", metavar="FILE", help="Who signs its certificate, if not the system's."),
]


Arguments = ParamSpec("Arguments")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where the origin is, as the command line says it."""

    library: Path = LIBRARY_DEFAULT
    admin: str | None = None
    token_file: Path | None = None
    ca: Path | None = None


def _place(
    library: Library = LIBRARY_DEFAULT,
    admin: AdminUrl = None,
    token_file: TokenFile = None,
    ca: CaFile = None,
) -> Place:
    return Place(library=library, admin=admin, token_file=token_file, ca=ca)


def asks(command: Callable[Concatenate[Place, Arguments], None]) -> Callable[..., None]:
    """On the command line it has the options of `_place` instead of its first parameter."""
    _, *own = _parameters(command)
    options = _parameters(_place)
    at = next((at for at, one in enumerate(own) if one.name == "json_file"), len(own))
    shown = [*own[:at], *options, *own[at:]]

    @wraps(command)
    def run(*args: Arguments.args, **given: Arguments.kwargs) -> None:
        chosen: dict[str, Any] = {one.name: given.pop(one.name) for one in options}
        command(_place(**chosen), *args, **given)

    run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in shown}
    return run


def _parameters(function: Callable[..., object]) -> list[inspect.Parameter]:
    """With what their annotations mean, wherever they are looked at."""
    hints = get_type_hints(function, include_extras=True)
    return [
        one.replace(annotation=hints[one.name])
        for one in inspect.signature(function).parameters.values()
    ]


def client(place: Place) -> AdminClient:
    """Of the origin of its library, unless told otherwise. Raises InputError, ConfigError."""
    from origin.drivers.control.admin_place import read_place
    from origin.drivers.control.client import AdminClient
    from origin.drivers.control.token_file import TOKEN_FILE

    token_file = place.token_file or place.library / TOKEN_FILE
    if place.admin is not None:
        return AdminClient(place.admin, token_file, ca=place.ca)
    found = read_place(place.library)
    shown = Path(found.certificate) if found.certificate and place.ca is None else None
    return AdminClient(found.url, token_file, ca=place.ca, shown=shown)


def duration_s(text: str) -> float:
    """Of `--valid`. Raises InputError."""
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([smhd])", text.strip())
    if found is None:
        raise InputError(f"--valid {text!r}: write it as 90s, 30m, 2h or 7d")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[found[2]]
