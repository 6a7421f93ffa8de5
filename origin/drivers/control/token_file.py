"""The first token: an admin's, in a file that only the origin's user may read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from nearcast.errors import ConfigError
from origin.control.access import TOKEN_LENGTH_MAX, looks_like_token
from origin.drivers.control.admin.access_routes import new_token

TOKEN_FILE: Final = "admin.token"


def read_token_file(file: Path) -> str:
    """Raises ConfigError, which never shows the content."""
    try:
        with file.open("rb") as stream:
            text = stream.read(TOKEN_LENGTH_MAX + 2).decode("ascii").strip()
    except OSError as error:
        raise ConfigError(f"cannot read the token in {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the token in {file} must be one line of ASCII") from error
    if not looks_like_token(text):
        raise ConfigError(f"{file} holds no token: remove it to have one made")
    return text


def made_or_read(file: Path) -> str:
    """Raises ConfigError."""
    try:
        end = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return read_token_file(file)
    except OSError as error:
        raise ConfigError(f"cannot make a token in {file}: {error.strerror}") from error
    with os.fdopen(end, "w", encoding="ascii") as stream:
        token = new_token()
        stream.write(token + "\n")
    return token
