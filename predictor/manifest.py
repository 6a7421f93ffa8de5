"""What a model says of itself: `manifest.json`, its form, and whether it fits this version.

Golden rows and reference are what a node tries a model with and compares its own rows to.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from nearcast.errors import ModelError, SchemaMismatch
from predictor.calibrate import Bin
from predictor.graph_rules import GraphFacts
from predictor.kinds import Kind, kind_of

MODEL_FILE: Final = "model.onnx"
MANIFEST_FILE: Final = "manifest.json"
SIGNATURE_FILE: Final = "manifest.sig"
FORMAT_VERSION: Final = 2
FILES_MAX: Final = 8

Row = tuple[float, ...]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
# Both become parts of paths and URLs, so neither may climb or hide.
ModelId = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$(?!\n)")]
FileName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$(?!\n)")]
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


def decode(text: bytes, source: str) -> Manifest:
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
    if found.outputs is not None and found.outputs != manifest.outputs:
        raise SchemaMismatch(
            f"the model in {source} answers for {', '.join(manifest.outputs)}, needed are "
            f"{', '.join(found.outputs)}; train the model again"
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


def check_graph(graph: GraphFacts, manifest: Manifest, source: str) -> None:
    """What the manifest says of the graph holds; the runtime has not seen it yet."""
    kind = kind_of(manifest.kind, source)
    width = len(manifest.golden.inputs[0])
    is_rows = kind.input == "rows"
    if graph.is_integer == is_rows:
        raise SchemaMismatch(
            f"the graph in {source} takes {'integers' if is_rows else 'floats'}, a model of kind "
            f"{kind.name!r} takes {kind.input}; train the model again"
        )
    if graph.opset != manifest.opset or graph.input_width not in (None, width):
        raise SchemaMismatch(
            f"the graph in {source} is of operator set {graph.opset} and takes "
            f"{graph.input_width} columns, its manifest says {manifest.opset} and {width}; "
            "train the model again"
        )
    if is_rows and graph.output_width not in (None, len(manifest.outputs)):
        raise SchemaMismatch(
            f"the graph in {source} answers {graph.output_width} columns, its manifest names "
            f"{len(manifest.outputs)}; train the model again"
        )


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    """What all formats have."""

    format_version: int
