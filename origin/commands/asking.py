"""Options by which commands find a running origin."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

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


def client(
    library: Path, admin: str | None, token_file: Path | None, ca: Path | None = None
) -> AdminClient:
    """Of the origin of `library`, unless told otherwise. Raises InputError, ConfigError."""
    from origin.drivers.control.client import AdminClient
    from origin.drivers.control.token_file import TOKEN_FILE, URL_FILE

    shown: Path | None = None
    if admin is None:
        file = library / URL_FILE
        try:
            admin, _, certificate = file.read_text(encoding="utf-8").strip().partition("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"no origin has run on {library} (there is no {file}); name its folder with "
                "--library, or its admin port with --admin and --token-file"
            ) from error
        shown = Path(certificate) if certificate and ca is None else None
    return AdminClient(admin, token_file or library / TOKEN_FILE, ca=ca, shown=shown)


def duration_s(text: str) -> float:
    """Of `--valid`. Raises InputError."""
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([smhd])", text.strip())
    if found is None:
        raise InputError(f"--valid {text!r}: write it as 90s, 30m, 2h or 7d")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[found[2]]
