"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
from pathlib import Path

from nearcast.errors import InputError


def write_whole(file: Path, content: bytes) -> None:
    """Write beside the file and rename, so that whoever stops us midway finds what was there
    before. What cannot be replaced (a pipe, a link, a folder we may not add to) is written in
    place. Raises InputError."""
    beside = file.with_name(f".{file.name}.part")
    try:
        if file.is_symlink() or (file.exists() and not file.is_file()):
            file.write_bytes(content)
            return
        try:
            beside.write_bytes(content)
        except PermissionError:
            file.write_bytes(content)
            return
        beside.replace(file)
    except OSError as error:
        raise InputError(f"cannot write {file}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
