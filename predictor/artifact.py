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
from typing import Annotated, Final

import msgspec

from nearcast.errors import ModelError, SchemaMismatch, SignatureError
from nearcast.whole_file import write_whole
from predictor.calibrate import Bin
from predictor.kinds import NEXT_EPISODE, Kind, kind_of
from predictor.signature import SIGNATURE_BYTES_MAX, Trust

__all__ = ["NEXT_EPISODE", "Artifact", "FileEntry", "Golden", "Manifest", "Reference", "load"]

MODEL_FILE: Final = "model.onnx"
MODEL_FLOAT_FILE: Final = "model_float.onnx"
MANIFEST_FILE: Final = "manifest.json"
SIGNATURE_FILE: Final = "manifest.sig"
FORMAT_VERSION: Final = 2

# Ours has 7 kB; one of a title model names some thousand answers.
MANIFEST_BYTES_MAX: Final = 1_000_000
FILE_BYTES_MAX: Final = 16_000_000
FILES_MAX: Final = 8

Row = tuple[float, ...]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
# Both become parts of paths and URLs, so neither may climb or hide.
ModelId = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9._-]{0,79}$")]
FileName = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9._-]{0,63}$")]
Size = Annotated[int, msgspec.Meta(ge=0)]


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A further file of the folder."""

    sha256: Sha256
    size_bytes: Size


class Golden(msgspec.Struct, frozen=True, kw_only=True):
    """Inputs and the answers the trainer's runtime gave, each row asked alone."""

    inputs: tuple[Row, ...]
    outputs: tuple[Row, ...]
    tolerance: Annotated[float, msgspec.Meta(ge=0.0)]
    columns: tuple[Size, ...] = ()
    """Which columns of the answer `outputs` has; empty: all. A title model answers thousands."""


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What the training rows looked like, for a node to tell drift."""

    deciles: dict[str, tuple[float, ...]] = {}
    """Per feature the nine deciles of its training rows."""
    reliability: dict[str, tuple[Bin, ...]] = {}
    """Per output, foretold against happened on rows that were not trained on."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is. Unknown keys are ignored, so that newer trainers can say more."""

    format_version: int
    kind: str
    model_id: ModelId
    feature_version: int
    feature_names: tuple[str, ...]
    outputs: tuple[str, ...]
    """Names of the answer's columns: horizons, quantiles, or `scores` for one per title."""
    opset: int
    precision: str
    sha256: Sha256
    size_bytes: Size
    files: dict[FileName, FileEntry] = {}
    golden: Golden
    metrics: dict[str, float]
    reference: Reference = Reference()
    training_data_sha256: str
    seed: int
    created_by: str


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A model whose bytes and schema are what its manifest says."""

    folder: str
    manifest: Manifest
    manifest_sha256: str
    signed_by: str
    """The id of the trusted key that signed it; empty if none was asked for."""
    model: bytes
    files: dict[str, bytes]


def load(folder: Path, *, kind: str | None = NEXT_EPISODE, trust: Trust | None = None) -> Artifact:
    """The checked model in `folder`; `kind` None takes any known kind. With `trust` it must be
    signed, and nothing is read of the manifest before that is known.

    Raises ModelError if it cannot be read, SignatureError if the bytes are not the manifest's or
    it is not signed as `trust` asks, SchemaMismatch if it is for other features or of another kind.
    """
    text = read_manifest_text(folder)
    signed_by = ""
    if trust is not None:
        signed_by = trust.check(text, read_signatures(folder), str(folder))
    manifest = decode_manifest(text, str(folder / MANIFEST_FILE))
    found = check_schema(manifest, str(folder), kind=kind)
    own = FileEntry(sha256=manifest.sha256, size_bytes=manifest.size_bytes)
    model = _read_checked(folder / MODEL_FILE, own, found.model_bytes_max)
    files = {
        name: _read_checked(folder / name, entry, FILE_BYTES_MAX)
        for name, entry in sorted(manifest.files.items())
    }
    return Artifact(
        folder=str(folder),
        manifest=manifest,
        manifest_sha256=digest(text),
        signed_by=signed_by,
        model=model,
        files=files,
    )


def read_manifest(folder: Path) -> Manifest:
    """The manifest alone, checked for form. Raises ModelError."""
    return decode_manifest(read_manifest_text(folder), str(folder / MANIFEST_FILE))


def read_manifest_text(folder: Path) -> bytes:
    """The bytes that are signed. Raises ModelError."""
    return _read(folder / MANIFEST_FILE, MANIFEST_BYTES_MAX)


def read_signatures(folder: Path) -> bytes | None:
    """The bytes of `manifest.sig`, None if there is none. Raises ModelError."""
    path = folder / SIGNATURE_FILE
    return _read(path, SIGNATURE_BYTES_MAX) if path.exists() else None


def decode_manifest(text: bytes, source: str) -> Manifest:
    """Raises ModelError, SchemaMismatch for a manifest of another format."""
    try:
        head = msgspec.json.decode(text, type=_Head)
        if head.format_version != FORMAT_VERSION:
            raise SchemaMismatch(
                f"{source} has format {head.format_version}, this version reads "
                f"{FORMAT_VERSION}; train the model again, or update"
            )
        return msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(f"{source} is no model manifest: {error}", reason="unreadable") from error


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


def refuse_external_data(graph: bytes, folder: str) -> None:
    """Raise ModelError if a graph keeps weights in other files, which no hash covers.

    A tensor kept elsewhere names its file under the key `location`. Looking for the word needs no
    reader of the format on an edge, and our graphs do not contain it.
    """
    if b"location" in graph:
        raise ModelError(
            f"the model in {folder} keeps data in other files, which is refused; export it as one"
        )


def check_schema(manifest: Manifest, source: str, *, kind: str | None) -> Kind:
    """The manifest's kind, if it is the one that is needed and this version can ask the model.

    Raises SchemaMismatch.
    """
    if kind is not None and manifest.kind != kind:
        raise SchemaMismatch(
            f"the model in {source} is of kind {manifest.kind!r}, needed is {kind!r}"
        )
    found = kind_of(manifest.kind, source)
    names = manifest.feature_names
    if found.features is not None and found.features != (manifest.feature_version, names):
        version, known = found.features
        raise SchemaMismatch(
            f"the model in {source} was trained on features of version "
            f"{manifest.feature_version} ({len(names)} of them), this version "
            f"computes version {version} ({len(known)}); train the model again"
        )
    golden = manifest.golden
    sizes_in = {len(row) for row in golden.inputs}
    sizes_out = {len(row) for row in golden.outputs}
    columns = len(golden.columns)
    if found.input == "rows":
        # One column of the answer for each output, all of them golden.
        is_good = sizes_in == {len(names)} and sizes_out == {len(manifest.outputs)} and not columns
    else:
        is_good = len(sizes_in) == 1 and sizes_in != {0} and len(sizes_out) == 1
        is_good &= not columns or sizes_out == {columns}
    if not manifest.outputs or not is_good or len(golden.inputs) != len(golden.outputs):
        raise SchemaMismatch(
            f"the golden rows of the model in {source} do not have the model's shape; "
            "train the model again"
        )
    own = {MODEL_FILE, MANIFEST_FILE, SIGNATURE_FILE}
    if len(manifest.files) > FILES_MAX or own & set(manifest.files):
        raise SchemaMismatch(
            f"the model in {source} names {len(manifest.files)} further files; up to {FILES_MAX} "
            f"are allowed, and none may be called {' or '.join(sorted(own))}"
        )
    return found


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    """What all formats have."""

    format_version: int


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
