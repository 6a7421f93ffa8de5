"""Who an edge is in its fleet: all that enrolling left, as one JSON document.

It holds the private key, so it is only ever in one file that nobody else may read.
"""

from __future__ import annotations

from typing import Final

import msgspec

from nearcast.errors import ConfigError
from nearcast.fleet import EdgeId, EdgeProfile, EnrolAnswer

IDENTITY_VERSION: Final = 1


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """An edge and those it trusts."""

    version: int = IDENTITY_VERSION
    edge: EdgeId
    key_pem: str
    certificate_pem: str
    authority_pem: str
    plan_keys: tuple[str, ...]
    origins: tuple[str, ...]
    profile: EdgeProfile

    def __repr__(self) -> str:
        return f"Identity(edge={self.edge!r}, origins={self.origins!r}, key_pem=...)"

    def renewed(self, answer: EnrolAnswer) -> Identity:
        """With a new certificate, and whatever else has changed."""
        return msgspec.structs.replace(
            self,
            certificate_pem=answer.certificate_pem,
            authority_pem=answer.authority_pem,
            plan_keys=answer.plan_keys,
            origins=answer.origins or self.origins,
        )


def decode(text: bytes, place: str) -> Identity:
    """Raises ConfigError."""
    try:
        identity = msgspec.json.decode(text, type=Identity)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{place} is no identity of an edge ({error}); enrol it again with --replace"
        ) from error
    if not identity.origins:
        raise ConfigError(f"{place} names no origin; enrol the edge again with --replace")
    return identity
