"""Secrets of a node: the word that whoever changes something over the admin port must know, and
the key of the viewers' pseudonyms.

Each lives in a file that only the node's user may read, is made when there is none, and goes into
no log and no status.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
from pathlib import Path
from typing import Final

from nearcast.errors import ConfigError

logger = logging.getLogger(__name__)

LENGTH_MIN: Final = 16
LENGTH_MAX: Final = 1024
_OTHERS: Final = 0o077


class AdminToken:
    """The token of one file. Raises ConfigError when it cannot be read or made, or is too weak."""

    def __init__(self, file: str) -> None:
        self._value = _made_or_read(Path(file))

    def fits(self, authorization: str | None) -> bool:
        """Whether an Authorization field has it, in a time that tells nothing about it."""
        scheme, _, given = (authorization or "").partition(" ")
        is_right = hmac.compare_digest(given.strip().encode(), self._value.encode())
        return is_right and scheme.lower() == "bearer"


def viewer_key(file: Path) -> bytes:
    """The key in that file. Raises ConfigError when it cannot be read or made, or is too weak."""
    return hashlib.sha256(_made_or_read(file).encode()).digest()


def read_token(file: Path) -> str:
    """The token in a file, as a client of the admin port reads it. Raises ConfigError."""
    try:
        with file.open("rb") as stream:
            text = stream.read(LENGTH_MAX + 2).decode("ascii").strip()
    except OSError as error:
        raise ConfigError(f"cannot read the token in {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the token in {file} must be one line of visible ASCII") from error
    if not LENGTH_MIN <= len(text) <= LENGTH_MAX or not text.isprintable() or " " in text:
        raise ConfigError(
            f"the token in {file} must be one line of {LENGTH_MIN} to {LENGTH_MAX} visible "
            "characters; remove the file to have one made"
        )
    return text


def _made_or_read(file: Path) -> str:
    try:
        end = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        if file.stat().st_mode & _OTHERS:
            logger.warning("admin.token file=%s can be read by others; chmod 600 it", file)
        return read_token(file)
    except OSError as error:
        raise ConfigError(f"cannot make a token in {file}: {error.strerror}") from error
    with os.fdopen(end, "w", encoding="ascii") as stream:
        token = secrets.token_urlsafe(32)
        stream.write(token + "\n")
    logger.info("admin.token made file=%s", file)
    return token
