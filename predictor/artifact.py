"""A model as it travels: a folder with `model.onnx` and `manifest.json`.

The manifest names the bytes by SHA-256, the features by name and version, and golden rows with the
answers the trainer got, so that a node can tell a damaged file, a model for other features, and a
runtime that computes something else. `manifest.json` is read under a size limit before anything
else; the graph is read under one before a runtime sees it, and may not point to other files.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Final

import msgspec

from nearcast.errors import ModelError, SchemaMismatch, SignatureError
from nearcast.whole_file import write_whole
from predictor.features import FEATURE_COUNT, FEATURE_NAMES, FEATURE_VERSION

MODEL_FILE: Final = "model.onnx"
MODEL_FLOAT_FILE: Final = "model_float.onnx"
MANIFEST_FILE: Final = "manifest.json"
NEXT_EPISODE: Final = "next-episode"
FORMAT_VERSION: Final = 1

# Ours has 20 kB; a file a hundred times as large is no next-episode model.
MODEL_BYTES_MAX: Final = 2_000_000
MANIFEST_BYTES_MAX: Final = 200_000

Row = tuple[float, ...]


class Golden(msgspec.Struct, frozen=True, kw_only=True):
    """Rows and the probabilities the trainer's runtime gave, each row asked alone."""

    inputs: tuple[Row, ...]
    outputs: tuple[Row, ...]
    tolerance: float


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is. Unknown keys are ignored, so that newer trainers can say more."""

    format_version: int
    kind: str
    model_id: str
    feature_version: int
    feature_names: tuple[str, ...]
    horizons: tuple[str, ...]
    opset: int
    precision: str
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    size_bytes: int
    golden: Golden
    metrics: dict[str, float]
    training_data_sha256: str
    seed: int
    created_by: str


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A model whose bytes and schema are what its manifest says."""

    folder: str
    manifest: Manifest
    model: bytes


def load(folder: Path) -> Artifact:
    """The checked model in `folder`.

    Raises ModelError if it cannot be read, SignatureError if the bytes are not the manifest's,
    SchemaMismatch if it is for other features or of another kind.
    """
    manifest = read_manifest(folder)
    _check_schema(manifest, folder)
    model = _read(folder / MODEL_FILE, MODEL_BYTES_MAX)
    if len(model) != manifest.size_bytes:
        raise SignatureError(
            f"{folder / MODEL_FILE} has {len(model)} bytes, its manifest says "
            f"{manifest.size_bytes}; fetch or train the model again"
        )
    digest = hashlib.sha256(model).hexdigest()
    if digest != manifest.sha256:
        raise SignatureError(
            f"{folder / MODEL_FILE} has SHA-256 {digest[:16]}..., its manifest says "
            f"{manifest.sha256[:16]}...; fetch or train the model again"
        )
    return Artifact(folder=str(folder), manifest=manifest, model=model)


def read_manifest(folder: Path) -> Manifest:
    """The manifest alone, checked for form. Raises ModelError."""
    path = folder / MANIFEST_FILE
    try:
        return msgspec.json.decode(_read(path, MANIFEST_BYTES_MAX), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is no model manifest: {error}") from error


def write(folder: Path, model: bytes, manifest: Manifest) -> None:
    """Write the folder; the manifest last, so that a killed write leaves no valid model."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST_FILE).unlink(missing_ok=True)
        write_whole(folder / MODEL_FILE, model)
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        write_whole(folder / MANIFEST_FILE, text + b"\n")
    except OSError as error:
        raise ModelError(f"cannot write {folder}: {error.strerror or error}") from error


def digest(model: bytes) -> str:
    """The SHA-256 a manifest names."""
    return hashlib.sha256(model).hexdigest()


def refuse_external_data(graph: bytes, folder: str) -> None:
    """Raise ModelError if a graph keeps weights in other files, which no hash covers.

    A tensor kept elsewhere names its file under the key `location`. Looking for the word needs no
    reader of the format on an edge, and our graphs do not contain it.
    """
    if b"location" in graph:
        raise ModelError(
            f"the model in {folder} keeps data in other files, which is refused; export it as one"
        )


def _check_schema(manifest: Manifest, folder: Path) -> None:
    if manifest.format_version != FORMAT_VERSION:
        raise SchemaMismatch(
            f"the manifest in {folder} has format {manifest.format_version}, this version reads "
            f"{FORMAT_VERSION}; train the model again, or update"
        )
    if manifest.kind != NEXT_EPISODE:
        raise SchemaMismatch(
            f"the model in {folder} is of kind {manifest.kind!r}, needed is {NEXT_EPISODE!r}"
        )
    if manifest.feature_version != FEATURE_VERSION or manifest.feature_names != FEATURE_NAMES:
        raise SchemaMismatch(
            f"the model in {folder} was trained on features of version "
            f"{manifest.feature_version} ({len(manifest.feature_names)} of them), this version "
            f"computes version {FEATURE_VERSION} ({FEATURE_COUNT}); train the model again"
        )
    golden = manifest.golden
    sizes_in = {len(row) for row in golden.inputs}
    sizes_out = {len(row) for row in golden.outputs}
    if (
        not manifest.horizons
        or sizes_in != {FEATURE_COUNT}
        or sizes_out != {len(manifest.horizons)}
        or len(golden.inputs) != len(golden.outputs)
    ):
        raise SchemaMismatch(
            f"the golden rows in {folder / MANIFEST_FILE} do not have the model's shape; "
            "train the model again"
        )


def _read(path: Path, size_bytes_max: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(size_bytes_max + 1)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    if len(content) > size_bytes_max:
        raise ModelError(f"{path} is larger than the {size_bytes_max} bytes allowed for it")
    return content
