"""The other end of a node's admin port, for the command line."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from edge.drivers.token import read_token
from nearcast.address import LOOPBACK, parse_address
from nearcast.errors import ConfigError, InputError, RemoteProtocolError

TIMEOUT_S: Final = 30.0
TEXT_BYTES_MAX: Final = 4 << 20


def read(admin: str, path: str, option: str) -> dict[str, Any]:
    """What a node says. Raises ConfigError when it does not, InputError when it refuses."""
    return _ask(admin, "GET", path, None, {}, option)


def change(
    admin: str, token_file: Path, path: str, body: dict[str, Any], *, timeout_s: float = TIMEOUT_S
) -> dict[str, Any]:
    """Have a node do something. Raises as `read`."""
    headers = {
        "authorization": f"Bearer {read_token(token_file)}",
        "content-type": "application/json",
    }
    return _ask(admin, "POST", path, json.dumps(body), headers, "--admin", timeout_s)


def _ask(
    admin: str,
    method: str,
    path: str,
    body: str | None,
    headers: dict[str, str],
    option: str,
    timeout_s: float = TIMEOUT_S,
) -> dict[str, Any]:
    address = urlsplit(admin).netloc if "//" in admin else admin
    host, port = parse_address(address, option, host_default=LOOPBACK)
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read(TEXT_BYTES_MAX).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise ConfigError(
            f"no answer from a node at {admin}: {error}; is {option} right?"
        ) from error
    finally:
        connection.close()
    if answer.status != 200:
        raise InputError(f"the node at {admin} answered {answer.status}: {text[:300]}")
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise RemoteProtocolError(f"{admin} is no admin port of a nearcast edge")
    return said
