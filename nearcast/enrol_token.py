"""What an operator carries from the origin to a new edge: one line of text, good once.

    nce1.BASE64URL of {"o": [fleet URLs], "f": fingerprint, "t": secret, "e": edge}

`f` is the SHA-256 of the authority's certificate (DER, in hex): with it the edge knows, at first
contact, that it talks to the origin that made the token. The origin keeps the SHA-256 of the secret
alone, so that its database gives no token away.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Annotated, Final

import msgspec

from nearcast.errors import InputError
from nearcast.fleet import EdgeId

TOKEN_PREFIX: Final = "nce1."
TOKEN_LENGTH_MAX: Final = 8_000

FleetUrl = Annotated[str, msgspec.Meta(max_length=500, pattern=r"^https://[^/?#\s]+$(?!\n)")]


class EnrolTokenText(msgspec.Struct, frozen=True, kw_only=True):
    """What the line says."""

    origins: Annotated[tuple[FleetUrl, ...], msgspec.Meta(min_length=1, max_length=16)] = (
        msgspec.field(name="o")
    )
    fingerprint: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")] = msgspec.field(
        name="f"
    )
    secret: Annotated[str, msgspec.Meta(min_length=16, max_length=200)] = msgspec.field(name="t")
    edge: EdgeId = msgspec.field(name="e")

    def __repr__(self) -> str:
        return f"EnrolTokenText(edge={self.edge!r}, origins={self.origins!r}, secret=...)"


def write_token(token: EnrolTokenText) -> str:
    text = base64.urlsafe_b64encode(msgspec.json.encode(token)).decode().rstrip("=")
    return f"{TOKEN_PREFIX}{text}"


def read_token(text: str) -> EnrolTokenText:
    """Raises InputError, which never repeats the text: it is a secret."""
    text = text.strip()
    if not text.startswith(TOKEN_PREFIX) or len(text) > TOKEN_LENGTH_MAX:
        raise InputError(
            f"this is no enrolment token: one begins with {TOKEN_PREFIX}; make one at the origin "
            "with: nearcast origin fleet enrol EDGE"
        )
    body = text.removeprefix(TOKEN_PREFIX)
    try:
        content = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(content, type=EnrolTokenText)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise InputError(
            "the enrolment token is damaged: copy the whole line, or make another at the origin"
        ) from error


def secret_digest(secret: str) -> str:
    """What the origin keeps of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()
