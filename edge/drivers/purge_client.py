"""The other end of POST /purge, for the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from edge.drivers.admin import PURGE_PATH
from edge.drivers.admin_client import change
from nearcast.errors import RemoteProtocolError

TIMEOUT_S: Final = 300.0
"""A prefix on a node with millions of objects takes its time."""


def purge(admin: str, token_file: Path, kind: str, value: str, *, is_soft: bool) -> int:
    """How many objects the node purged. Raises ConfigError or InputError when it refuses."""
    body = {kind: value, "soft": is_soft}
    done = change(admin, token_file, PURGE_PATH, body, timeout_s=TIMEOUT_S)
    try:
        return int(done["count"])
    except (ValueError, KeyError, TypeError) as error:
        raise RemoteProtocolError(f"{admin} is no admin port of a nearcast edge") from error
