"""The other end of POST /purge, for the command line."""

from __future__ import annotations

import http.client
import json
from pathlib import Path

from edge.drivers.token import read_token
from nearcast.address import LOOPBACK, parse_address
from nearcast.errors import ConfigError, InputError, RemoteProtocolError

TIMEOUT_S = 300.0
"""A prefix on a node with millions of objects takes its time."""


def purge(admin: str, token_file: Path, kind: str, value: str, *, is_soft: bool) -> int:
    """How many objects the node purged. Raises ConfigError or InputError when it refuses."""
    host, port = parse_address(admin, "--admin", host_default=LOOPBACK)
    headers = {
        "authorization": f"Bearer {read_token(token_file)}",
        "content-type": "application/json",
    }
    body = json.dumps({kind: value, "soft": is_soft})
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("POST", "/purge", body, headers)
        answer = connection.getresponse()
        text = answer.read(64 * 1024).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise ConfigError(
            f"no answer from a node at {admin}: {error}; is --admin right?"
        ) from error
    finally:
        connection.close()
    if answer.status != 200:
        raise InputError(f"the node at {admin} answered {answer.status}: {text[:300]}")
    try:
        return int(json.loads(text)["count"])
    except (ValueError, KeyError, TypeError) as error:
        raise RemoteProtocolError(f"{admin} is no admin port of a nearcast edge") from error
