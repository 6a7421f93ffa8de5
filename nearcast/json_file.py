"""`--json FILE`, the same for every command: one object, indented, for programs to read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from nearcast.errors import InputError
from nearcast.whole_file import write_whole

JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON.")
]


def check_json_file(file: Path | None) -> None:
    """Find out before long work, not after it. Raises InputError; makes no file."""
    if file is None:
        return
    _check_name(file)
    folder = file.absolute().parent
    if not folder.is_dir():
        raise InputError(f"cannot write {file}: its folder does not exist")
    if file.is_dir() or not os.access(file if file.exists() else folder, os.W_OK):
        raise InputError(f"cannot write {file}: it is a folder or write-protected")


def write_json(file: Path | None, value: object) -> None:
    """`value`: anything msgspec encodes. Does nothing without a file; raises InputError when it
    cannot be written."""
    if file is None:
        return
    _check_name(file)
    write_whole(file, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def _check_name(file: Path) -> None:
    """`-` would be a file of that name: standard output has what is said to people."""
    if str(file) == "-":
        raise InputError("cannot write to -: standard output has the text; name a file")
