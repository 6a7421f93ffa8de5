"""What every trainer says of its model in the manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictor import artifact
from predictor.artifact import Golden, Manifest, Reference


def describe(
    kind: str,
    model: bytes,
    *,
    features: tuple[int, tuple[str, ...]],
    outputs: tuple[str, ...],
    opset: int,
    precision: str,
    golden: Golden,
    metrics: dict[str, float],
    data_sha256: str,
    seed: int,
    files: Mapping[str, bytes] | None = None,
    reference: Reference | None = None,
    variant: str = "",
) -> Manifest:
    """The manifest of a model just trained; `features` are their version and names, `variant` is
    part of the id where one run trains several models."""
    return Manifest(
        format_version=artifact.FORMAT_VERSION,
        kind=kind,
        model_id=model_id(f"{kind}-{variant}" if variant else kind, model),
        feature_version=features[0],
        feature_names=features[1],
        outputs=outputs,
        opset=opset,
        precision=precision,
        sha256=artifact.digest(model),
        size_bytes=len(model),
        files={name: artifact.file_entry(content) for name, content in (files or {}).items()},
        golden=golden,
        metrics=metrics,
        reference=reference or Reference(),
        training_data_sha256=data_sha256,
        seed=seed,
        created_by=f"nearcast {version('nearcast')}",
    )


def model_id(name: str, model: bytes) -> str:
    """What a trainer calls a model: its kind, and the beginning of its hash."""
    return f"{name}-{artifact.digest(model)[:12]}"


def deciles(features: NDArray[Any], names: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """`Reference.deciles` of (rows, names) of training rows."""
    found = np.quantile(features.astype(np.float64), np.arange(1, 10) / 10.0, axis=0)
    return {
        name: tuple(round(float(value), 5) for value in found[:, at])
        for at, name in enumerate(names)
    }
