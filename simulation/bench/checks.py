"""One request and its whole answer, on a connection of its own: for checks, not for speed."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping

import msgspec

from nearcast.errors import NearcastError

TIMEOUT_S = 20.0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Status, header fields (names in lower case) and body."""

    status: int
    headers: dict[str, str]
    body: bytes


def fetch(
    port: int, target: str, headers: Mapping[str, str] | None = None, *, is_tls: bool = False
) -> Answer:
    """Raises NearcastError when no whole answer comes."""
    connection: http.client.HTTPConnection
    if is_tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=TIMEOUT_S, context=context
        )
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", target, headers=dict(headers or {}))
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise NearcastError(f"port {port} gave no whole answer to {target}: {error!r}") from error
    finally:
        connection.close()
    fields = {name.lower(): value for name, value in response.getheaders()}
    return Answer(status=response.status, headers=fields, body=body)
