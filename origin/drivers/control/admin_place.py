"""Where the admin port of an origin is: a file in its folder, by which commands find it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from nearcast.errors import InputError
from nearcast.whole_file import write_whole

PLACE_FILE: Final = "admin.json"
OLD_FILE: Final = "admin.url"
"""Of versions before: the URL in a line, and in a second one the certificate."""


class AdminPlace(msgspec.Struct, frozen=True, kw_only=True):
    """As it was when the origin last started."""

    url: str
    certificate: str = ""
    """The file with what is shown there. Who reads this folder trusts just that, whatever names it
    is for; empty: the port has none, or shows one that is checked as any other."""


def write_place(folder: Path, place: AdminPlace) -> None:
    """Raises InputError."""
    write_whole(folder / PLACE_FILE, msgspec.json.encode(place) + b"\n")
    try:
        (folder / OLD_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"cannot remove {folder / OLD_FILE}: {error.strerror}") from error


def read_place(folder: Path) -> AdminPlace:
    """Raises InputError."""
    file = folder / PLACE_FILE
    try:
        if not file.exists():
            return _read_old(folder / OLD_FILE)
        return msgspec.json.decode(file.read_bytes(), type=AdminPlace)
    except FileNotFoundError as error:
        raise InputError(
            f"no origin has run on {folder} (there is no {file}); name its folder with "
            "--library, or its admin port with --admin and --token-file"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file} does not say where the origin is ({error}): start the origin again, or name "
            "its admin port with --admin and --token-file"
        ) from error


def _read_old(file: Path) -> AdminPlace:
    url, _, certificate = file.read_text(encoding="utf-8").strip().partition("\n")
    return AdminPlace(url=url, certificate=certificate)
