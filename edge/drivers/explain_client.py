"""The other end of GET /explain, for the command line."""

from __future__ import annotations

import http.client
from urllib.parse import quote, urlsplit

import msgspec

from edge.prefetch.explanation import Explanation
from nearcast.address import LOOPBACK, parse_address
from nearcast.errors import ConfigError, InputError, RemoteProtocolError

TIMEOUT_S = 10.0
TEXT_BYTES_MAX = 1 << 20


def explain(edge: str, url: str) -> Explanation:
    """What the node at that address says of the URL. Raises ConfigError when it does not answer,
    InputError when it refuses."""
    address = urlsplit(edge).netloc if "//" in edge else edge
    host, port = parse_address(address, "--edge", host_default=LOOPBACK)
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", f"/.nearcast/explain?url={quote(url, safe='')}")
        answer = connection.getresponse()
        text = answer.read(TEXT_BYTES_MAX)
    except (OSError, http.client.HTTPException) as error:
        raise ConfigError(f"no answer from a node at {edge}: {error}; is --edge right?") from error
    finally:
        connection.close()
    if answer.status != 200:
        said = text[:300].decode("utf-8", "replace").strip()
        raise InputError(f"the node at {edge} answered {answer.status}: {said}")
    try:
        return msgspec.json.decode(text, type=Explanation)
    except msgspec.DecodeError as error:
        raise RemoteProtocolError(f"{edge} is no admin port of a nearcast edge") from error
