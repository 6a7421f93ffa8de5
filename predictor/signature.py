"""Whose models are believed: Ed25519 signatures over a manifest, and the keys that count.

A signature covers the manifest's bytes, which name every other file by SHA-256, so it covers all
of them. What is signed begins with a line of our own, so that a signature given for a model is no
signature for anything else, nor the other way round. `manifest.sig` may hold several: while keys
are changed a model is signed with the old and with the new one. One signature by a key that is
trusted and not revoked is enough; the others are not looked at.

A key's id is the first 16 hexadecimal digits of the SHA-256 of its 32 bytes; as text a public key
is those bytes in base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec

from nearcast.errors import InputError, SignatureError

SIGNED_PREFIX: Final = b"nearcast model manifest 1\n"
SIGNATURE_FORMAT_VERSION: Final = 1
# Eight signatures of some 150 bytes each.
SIGNATURE_BYTES_MAX: Final = 4_000
SIGNATURES_MAX: Final = 8
KEY_BYTES: Final = 32
KEY_FILE_BYTES_MAX: Final = 20_000

KeyId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}$(?!\n)")]


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """One key's word for a manifest."""

    key_id: KeyId
    signature: bytes  # base64 in JSON


class SignatureFile(msgspec.Struct, frozen=True, kw_only=True):
    """`manifest.sig`."""

    format_version: int
    signatures: Annotated[tuple[Signature, ...], msgspec.Meta(max_length=SIGNATURES_MAX)]


class Trust:
    """The public keys whose models may serve, less those that were revoked."""

    def __init__(self, keys: Sequence[bytes], *, revoked: Sequence[str] = ()) -> None:
        self._keys = {key_id(key): key for key in keys}
        self._revoked = frozenset(revoked)

    @classmethod
    def read(cls, keys: Sequence[str], *, revoked: Sequence[str] = ()) -> Trust:
        """From keys as text, or names of files that hold some; `revoked` are key ids.

        Raises InputError.
        """
        for one in revoked:
            if len(one) != 16 or set(one) - set("0123456789abcdef"):
                raise InputError(f"{one!r} is no key id: 16 hexadecimal digits, in small letters")
        return cls([key for text in keys for key in _read_keys(text)], revoked=revoked)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Those that count, sorted."""
        return tuple(sorted(set(self._keys) - self._revoked))

    def check(self, manifest: bytes, signatures: bytes | None, source: str) -> str:
        """The id of a trusted key that signed these bytes; `signatures` is `manifest.sig`, None
        if there is none. Raises SignatureError."""
        if not self.key_ids:
            raise SignatureError(
                f"no key is trusted, so the model in {source} may not serve; name public keys",
                reason="untrusted",
            )
        if signatures is None:
            raise SignatureError(
                f"the model in {source} is not signed; "
                "sign it with: nearcast models sign FOLDER --key KEY",
                reason="unsigned",
            )
        found = decode_signatures(signatures, source).signatures
        named = [one for one in found if one.key_id in self._keys]
        trusted = [one for one in named if one.key_id not in self._revoked]
        for one in trusted:
            if _is_signed(self._keys[one.key_id], one.signature, manifest):
                return one.key_id
        if trusted:
            raise SignatureError(
                f"the signature in {source} is not one for its manifest, which was changed after "
                "it was signed; fetch the model again",
                reason="forged",
            )
        if named:
            raise SignatureError(
                f"the model in {source} is signed with the revoked key {named[0].key_id}; "
                "sign it anew with another",
                reason="revoked",
            )
        ids = ", ".join(one.key_id for one in found) or "none"
        raise SignatureError(
            f"the model in {source} is signed with the keys {ids}, of which none is trusted; "
            f"trusted are {', '.join(self.key_ids)}",
            reason="untrusted",
        )


def key_id(public_key: bytes) -> str:
    """How a public key is called."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def signed_bytes(manifest: bytes) -> bytes:
    """What a signature is computed of."""
    return SIGNED_PREFIX + manifest


def decode_signatures(text: bytes, source: str) -> SignatureFile:
    """Raises SignatureError."""
    try:
        found = msgspec.json.decode(text, type=SignatureFile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SignatureError(
            f"the signature in {source} cannot be read: {error}", reason="forged"
        ) from error
    if found.format_version != SIGNATURE_FORMAT_VERSION:
        raise SignatureError(
            f"the signature in {source} has format {found.format_version}, this version reads "
            f"{SIGNATURE_FORMAT_VERSION}; sign it again, or update",
            reason="forged",
        )
    return found


def _is_signed(public_key: bytes, signature: bytes, manifest: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, signed_bytes(manifest))
    except InvalidSignature:
        return False
    return True


def _read_keys(text: str) -> Iterator[bytes]:
    key = _decode_key(text)
    if key is not None:
        yield key
        return
    path = Path(text)
    try:
        with path.open("rb") as file:
            content = file.read(KEY_FILE_BYTES_MAX)
        lines = content.decode("ascii").splitlines()
    except (OSError, ValueError) as error:
        raise InputError(
            f"{text!r} is neither a public key (44 letters of base64) nor a file of such"
        ) from error
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].strip()
        if words:
            key = _decode_key(words)
            if key is None:
                # The line is not shown: it may be of a private key.
                raise InputError(f"{path}, line {number}: no public key (44 letters of base64)")
            yield key


def _decode_key(text: str) -> bytes | None:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == KEY_BYTES else None
