"""A model as it travels: a folder with `model.onnx`, `manifest.json` and its signature.

The manifest names the bytes of every file by SHA-256, the features by name and version, and golden
rows with the answers the trainer got, so that a node can tell a damaged file, a model for other
features, and a runtime that computes something else. The signature (`predictor.signature`) covers
the manifest and through it all of them. Each file is read under a size limit, the manifest first;
what the manifest does not name is not read, so a trainer may leave more beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from nearcast.errors import ModelError, SignatureError
from nearcast.whole_file import write_whole
from predictor import graph_rules
from predictor.graph_rules import GraphFacts
from predictor.kinds import NEXT_EPISODE
from predictor.manifest import (
    FORMAT_VERSION,
    MANIFEST_FILE,
    MODEL_FILE,
    SIGNATURE_FILE,
    FileEntry,
    Golden,
    Manifest,
    Reference,
    check_graph,
    check_schema,
    decode,
)
from predictor.signature import SIGNATURE_BYTES_MAX, Trust

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST_FILE",
    "MODEL_FILE",
    "NEXT_EPISODE",
    "SIGNATURE_FILE",
    "Artifact",
    "FileEntry",
    "Golden",
    "Manifest",
    "Reference",
    "load",
]

MODEL_FLOAT_FILE: Final = "model_float.onnx"

# Ours has 7 kB; one of a title model names some thousand answers.
MANIFEST_BYTES_MAX: Final = 1_000_000
FILE_BYTES_MAX: Final = 16_000_000


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A model whose bytes and schema are what its manifest says."""

    folder: str
    manifest: Manifest
    manifest_text: bytes
    """What is signed."""
    manifest_sha256: str
    signatures: bytes | None
    """`manifest.sig`, checked only if `signed_by` says by whose key; None: there is none."""
    signed_by: str
    """The id of the trusted key that signed it; empty if none was asked for."""
    model: bytes
    graph: GraphFacts
    """What was found in the model, which keeps the rules."""
    files: dict[str, bytes]


def load(folder: Path, *, kind: str | None = NEXT_EPISODE, trust: Trust | None = None) -> Artifact:
    """The checked model in `folder`; `kind` None takes any known kind. With `trust` it must be
    signed, and nothing is read of the manifest before that is known.

    Raises ModelError if it cannot be read, SignatureError if the bytes are not the manifest's or
    it is not signed as `trust` asks, SchemaMismatch if it is for other features or of another kind
    or its graph is not what the manifest says.
    """
    text = read_manifest_text(folder)
    signatures = read_signatures(folder)
    signed_by = "" if trust is None else trust.check(text, signatures, str(folder))
    manifest = decode(text, str(folder / MANIFEST_FILE))
    found = check_schema(manifest, str(folder), kind=kind)
    own = FileEntry(sha256=manifest.sha256, size_bytes=manifest.size_bytes)
    model = _read_checked(folder / MODEL_FILE, own, found.model_bytes_max)
    graph = graph_rules.check(model, str(folder), kind=found.name)
    check_graph(graph, manifest, str(folder))
    files = {
        name: _read_checked(folder / name, entry, FILE_BYTES_MAX)
        for name, entry in sorted(manifest.files.items())
    }
    return Artifact(
        folder=str(folder),
        manifest=manifest,
        manifest_text=text,
        manifest_sha256=digest(text),
        signatures=signatures,
        signed_by=signed_by,
        model=model,
        graph=graph,
        files=files,
    )


def read_manifest(folder: Path) -> Manifest:
    """The manifest alone, checked for form. Raises ModelError."""
    return decode(read_manifest_text(folder), str(folder / MANIFEST_FILE))


def read_manifest_text(folder: Path) -> bytes:
    """The bytes that are signed. Raises ModelError."""
    return _read(folder / MANIFEST_FILE, MANIFEST_BYTES_MAX)


def read_signatures(folder: Path) -> bytes | None:
    """The bytes of `manifest.sig`, None if there is none. Raises ModelError."""
    path = folder / SIGNATURE_FILE
    return _read(path, SIGNATURE_BYTES_MAX) if path.exists() else None


def write(
    folder: Path, model: bytes, manifest: Manifest, files: Mapping[str, bytes] | None = None
) -> None:
    """Write the folder; the manifest last, so that a killed write leaves no valid model. `files`
    are the contents of `manifest.files`."""
    files = files or {}
    assert {name: file_entry(content) for name, content in files.items()} == manifest.files
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (MANIFEST_FILE, SIGNATURE_FILE):
            (folder / name).unlink(missing_ok=True)
        for name, content in files.items():
            write_whole(folder / name, content)
        write_whole(folder / MODEL_FILE, model)
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        write_whole(folder / MANIFEST_FILE, text + b"\n")
    except OSError as error:
        raise ModelError(f"cannot write {folder}: {error.strerror or error}") from error


def digest(content: bytes) -> str:
    """The SHA-256 a manifest names."""
    return hashlib.sha256(content).hexdigest()


def file_entry(content: bytes) -> FileEntry:
    """What `Manifest.files` says of a further file."""
    return FileEntry(sha256=digest(content), size_bytes=len(content))


def _read_checked(path: Path, entry: FileEntry, size_bytes_max: int) -> bytes:
    content = _read(path, size_bytes_max)
    if len(content) != entry.size_bytes:
        raise SignatureError(
            f"{path} has {len(content)} bytes, its manifest says {entry.size_bytes}; "
            "fetch or train the model again"
        )
    found = digest(content)
    if found != entry.sha256:
        raise SignatureError(
            f"{path} has SHA-256 {found[:16]}..., its manifest says {entry.sha256[:16]}...; "
            "fetch or train the model again"
        )
    return content


def _read(path: Path, size_bytes_max: int) -> bytes:
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited on
            raise ModelError(f"cannot read {path}: it is no file", reason="unreadable")
        if not path.parent.is_dir():
            raise ModelError(f"cannot read {path.parent}: it is no folder", reason="unreadable")
        with path.open("rb") as file:
            content = file.read(size_bytes_max + 1)
    except OSError as error:
        raise ModelError(
            f"cannot read {path}: {error.strerror or error}", reason="unreadable"
        ) from error
    if len(content) > size_bytes_max:
        raise ModelError(
            f"{path} is larger than the {size_bytes_max} bytes allowed for it", reason="oversized"
        )
    return content
