"""Private keys: made, kept in a file that only its owner reads, and used to sign manifests.

Only who trains needs this; an edge has `predictor.signature` and public keys. A private key is
PKCS 8 in PEM, as OpenSSL writes and reads it, without a password: its protection is the file's.
It appears in no message and no log.
"""

from __future__ import annotations

import base64
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from nearcast.errors import InputError
from nearcast.whole_file import write_whole
from predictor import artifact
from predictor.signature import (
    SIGNATURE_FORMAT_VERSION,
    SIGNATURES_MAX,
    Signature,
    SignatureFile,
    decode_signatures,
    key_id,
    signed_bytes,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class KeyPair:
    """A private key and what may be said of it."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public: bytes = private.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> KeyPair:
        """A new one, from the operating system's randomness."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, path: Path) -> KeyPair:
        """Raises InputError."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            if os.name == "posix" and path.stat().st_mode & 0o077:
                raise InputError(f"others may read the key {path}; first: chmod 600 {path}")
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read the key {path}: {error.strerror or error}") from error
        try:
            private = load_pem_private_key(content, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            private = None
        if not isinstance(private, Ed25519PrivateKey):
            # The cause is left out: it could quote what it read.
            raise InputError(
                f"{path} is no Ed25519 private key in PEM without a password; "
                "make one with: nearcast models keygen --out KEY"
            )
        return cls(private)

    @property
    def public_text(self) -> str:
        """The public key in base64."""
        return base64.b64encode(self.public).decode()

    @property
    def key_id(self) -> str:
        return key_id(self.public)

    def write(self, path: Path) -> Path:
        """Write a new private key file, mode 0600, and the public key beside it, with `.pub`
        added to its name, which is returned. Raises InputError; replaces nothing."""
        from cryptography.hazmat.primitives import serialization

        if path.is_dir() or not path.name:
            raise InputError(
                f"{path} is a folder; name a file in it, such as {path / 'models.key'}"
            )
        public = path.with_name(path.name + ".pub")
        if public.exists() or path.exists():
            raise InputError(f"{path} or {public} is there already; choose another name")
        text = self._private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        try:
            with os.fdopen(
                os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
            ) as file:
                file.write(text)
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror or error}") from error
        try:
            write_whole(public, f"{self.public_text}  # {self.key_id}\n".encode())
        except InputError:
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        return public

    def sign(self, manifest: bytes) -> Signature:
        return Signature(key_id=self.key_id, signature=self._private.sign(signed_bytes(manifest)))


def sign_folder(folder: Path, key: KeyPair, *, keep_others: bool = False) -> SignatureFile:
    """Sign a model folder whose bytes and schema are right; `keep_others` leaves what other keys
    signed. Raises NearcastError."""
    loaded = artifact.load(folder, kind=None)
    others: tuple[Signature, ...] = ()
    if keep_others and loaded.signatures is not None:
        found = decode_signatures(loaded.signatures, str(folder)).signatures
        others = tuple(one for one in found if one.key_id != key.key_id)
    if len(others) >= SIGNATURES_MAX:
        raise InputError(f"{folder} has {len(others)} signatures; no more than that are allowed")
    signed = SignatureFile(
        format_version=SIGNATURE_FORMAT_VERSION,
        signatures=(*others, key.sign(loaded.manifest_text)),
    )
    content = msgspec.json.format(msgspec.json.encode(signed), indent=1) + b"\n"
    write_whole(folder / artifact.SIGNATURE_FILE, content)
    return signed
