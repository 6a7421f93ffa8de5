"""The bandwidth model as it travels: one JSON text, small enough for a web page.

Weights are int8 with one scale per output, as base64; the rest are plain numbers. Golden rows with
the trainer's answers tell a damaged file, or other features, before anything relies on it.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.errors import InputError, SchemaMismatch
from predictor.bandwidth.features import FEATURE_COUNT, FEATURE_NAMES, FEATURE_VERSION

FORMAT_VERSION: Final = 1
FILE_NAME: Final = "bandwidth.json"
FILE_BYTES_MAX: Final = 1_000_000

Singles = NDArray[np.float32]
Row = tuple[float, ...]


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """outputs = inputs @ (weights * scale) + bias; weights row by row, one row an input."""

    inputs: int
    outputs: int
    weights: str
    scale: Row
    bias: Row

    def matrix(self) -> Singles:
        """(inputs, outputs). Raises ValueError."""
        try:
            raw = base64.b64decode(self.weights, validate=True)
        except binascii.Error as error:
            raise ValueError(f"weights are no base64: {error}") from error
        if len(raw) != self.inputs * self.outputs or len(self.scale) != self.outputs:
            raise ValueError("a layer's weights or scales do not have its shape")
        if len(self.bias) != self.outputs:
            raise ValueError("a layer's bias does not have its shape")
        weights = np.frombuffer(raw, dtype=np.int8).reshape(self.inputs, self.outputs)
        return weights.astype(np.float32) * np.array(self.scale, dtype=np.float32)


class Golden(msgspec.Struct, frozen=True, kw_only=True):
    """Feature rows and the log2 ratios that the trainer's network gave, flat."""

    inputs: tuple[Row, ...]
    outputs: tuple[Row, ...]
    tolerance: float


class Prior(msgspec.Struct, frozen=True, kw_only=True):
    """What to expect of a network nobody has seen: a normal distribution of log2 kbit/s."""

    level: float
    spread: float


class ModelFile(msgspec.Struct, frozen=True, kw_only=True):
    """The file. Unknown keys are ignored, so that newer trainers can say more."""

    kind: Literal["bandwidth"]
    format_version: int
    model_id: str
    feature_version: int
    feature_names: tuple[str, ...]
    levels: Row
    windows_s: tuple[tuple[float, float], ...]
    rank_correlation: Row
    """Of a window with the one before, of normal scores; one fewer than windows."""
    prior: Prior
    mean: Row
    inverse_sd: Row
    layers: tuple[Layer, ...]
    golden: Golden
    seed: int
    created_by: str
    training_data_sha256: dict[str, str]


def quantized(weight: Singles, bias: Singles) -> Layer:
    """A layer with int8 weights, `weight` being (inputs, outputs)."""
    scale = np.maximum(np.abs(weight).max(axis=0), 1e-8) / 127.0
    whole = np.clip(np.round(weight / scale), -127, 127).astype(np.int8)
    return Layer(
        inputs=weight.shape[0],
        outputs=weight.shape[1],
        weights=base64.b64encode(whole.tobytes()).decode(),
        scale=_short(scale),
        bias=_short(bias),
    )


def decode(content: bytes, source: str) -> ModelFile:
    """The checked file. Raises InputError naming file and line, or SchemaMismatch."""
    try:
        found = msgspec.json.decode(content, type=ModelFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{source}, line {line_of(content, error)}: no bandwidth model: {error}"
        ) from error
    if found.format_version != FORMAT_VERSION:
        raise SchemaMismatch(
            f"{source} has format {found.format_version}, this version reads {FORMAT_VERSION}; "
            "train the model again, or update"
        )
    if found.feature_version != FEATURE_VERSION or found.feature_names != FEATURE_NAMES:
        raise SchemaMismatch(
            f"{source} was trained on features of version {found.feature_version}, this version "
            f"computes version {FEATURE_VERSION}; train the model again"
        )
    try:
        _check_shapes(found)
    except ValueError as error:
        raise SchemaMismatch(f"{source}: {error}; train the model again") from error
    return found


def encode(found: ModelFile) -> bytes:
    """The file's text, one key a line."""
    rows = msgspec.json.decode(msgspec.json.encode(found))
    lines = [f" {_text(key)}: {_text(value)}" for key, value in rows.items()]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def read(path: Path) -> bytes:
    """The file's bytes. Raises InputError."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if len(content) > FILE_BYTES_MAX:
        raise InputError(f"{path} is larger than the {FILE_BYTES_MAX} bytes allowed for it")
    return content


def _check_shapes(found: ModelFile) -> None:
    levels, windows = len(found.levels), len(found.windows_s)
    if levels < 3 or levels % 2 == 0 or list(found.levels) != sorted(set(found.levels)):
        raise ValueError("levels must be an odd number of rising shares")
    if not 0.0 < found.levels[0] < found.levels[-1] < 1.0 or found.levels[levels // 2] != 0.5:
        raise ValueError("levels must lie in (0, 1), the middle one at 0.5")
    if windows < 1 or any(not 0.0 <= low < high for low, high in found.windows_s):
        raise ValueError("windows_s must be pairs of rising seconds")
    if len(found.rank_correlation) != windows - 1:
        raise ValueError("rank_correlation must have one entry fewer than windows_s")
    if not all(-1.0 < each < 1.0 for each in found.rank_correlation) or found.prior.spread <= 0.0:
        raise ValueError("rank_correlation must lie in (-1, 1), the prior's spread above 0")
    if len(found.mean) != FEATURE_COUNT or len(found.inverse_sd) != FEATURE_COUNT:
        raise ValueError("mean and inverse_sd must have an entry for each feature")
    width = FEATURE_COUNT
    for layer in found.layers:
        if layer is found.layers[-1] and len(found.layers) > 1:
            width += FEATURE_COUNT  # the last one sees the inputs too
        if layer.inputs != width:
            raise ValueError(f"a layer takes {layer.inputs} values and is given {width}")
        layer.matrix()
        width = layer.outputs
    if width != windows * levels:
        raise ValueError(f"the last layer gives {width} values, needed are {windows * levels}")
    golden = found.golden
    if not golden.inputs:
        raise ValueError("there are no golden rows")
    if {len(row) for row in golden.inputs} != {FEATURE_COUNT} or {
        len(row) for row in golden.outputs
    } != {windows * levels}:
        raise ValueError("the golden rows do not have the model's shape")


def line_of(content: bytes, error: Exception) -> int:
    """The line of a fault in JSON: msgspec names a byte, or the key that is wrong."""
    words = str(error).replace("(", " ").replace(")", " ").replace("`", " ").split()
    for at, word in enumerate(words):
        if word in ("byte", "position") and at + 1 < len(words) and words[at + 1].isdigit():
            return content[: int(words[at + 1])].count(b"\n") + 1
        if word.startswith("$."):
            key = word[2:].split(".")[0].split("[")[0]
            at_byte = content.find(f'"{key}"'.encode())
            return content[: max(at_byte, 0)].count(b"\n") + 1
    return content.count(b"\n") + 1 if "truncated" in str(error) else 1


def _short(values: Singles) -> Row:
    """Six digits: the rounding is far below that of the weights."""
    return tuple(float(f"{value:.6g}") for value in values)


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
