"""What a model says of itself, and whether it may serve: of every kind.

Models for edges and origins are folders with a manifest, a bandwidth model is one JSON file, alone
or in a folder. What cannot be read as the second is taken for the first, whose errors say what is
missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from nearcast.errors import SignatureError
from predictor import artifact
from predictor.artifact import Manifest
from predictor.bandwidth import BandwidthModel, file
from predictor.bandwidth.file import ModelFile
from predictor.runtime import default_model_folder, open_graph
from predictor.signature import Trust, decode_signatures


class BandwidthCard(msgspec.Struct, frozen=True, kw_only=True):
    """A bandwidth model but for its weights."""

    kind: str
    model_id: str
    size_bytes: int
    feature_version: int
    levels: tuple[float, ...]
    windows_s: tuple[tuple[float, float], ...]
    training_data_sha256: dict[str, str]
    seed: int
    created_by: str


Card = Manifest | BandwidthCard


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """A model that gave the answers of its golden rows."""

    card: Card
    golden_count: int
    provider: str
    """What computed them."""
    signed_by: str = ""
    """The id of the trusted key that signed it; empty if none was asked for."""
    claims: tuple[str, ...] = ()
    """The ids of the keys that are said to have signed it."""


def shipped_folders() -> tuple[Path, ...]:
    """Those of the models that this version comes with; next-episode first."""
    next_episode = default_model_folder()
    return next_episode, next_episode.parent / "bandwidth"


def read_card(place: Path) -> Card:
    """Raises NearcastError."""
    path = _bandwidth_file(place)
    if path is None:
        return artifact.read_manifest(place)
    content = file.read(path)
    return _card(file.decode(content, str(path)), len(content))


def verify(place: Path, *, trust: Trust | None = None) -> Verified:
    """Raises NearcastError when the model must not serve; with `trust` it must be signed."""
    path = _bandwidth_file(place)
    if path is None:
        loaded = artifact.load(place, kind=None, trust=trust)
        return Verified(
            card=loaded.manifest,
            golden_count=len(loaded.manifest.golden.inputs),
            provider=open_graph(loaded).provider,
            signed_by=loaded.signed_by,
            claims=_claims(place),
        )
    if trust is not None:
        raise SignatureError(
            f"{path} is a bandwidth model, which carries no signature: give players the file "
            "itself, and leave out --public-key",
            reason="unsigned",
        )
    content = file.read(path)
    found = BandwidthModel(file.decode(content, str(path)), str(path)).description
    card = _card(found, len(content))
    return Verified(card=card, golden_count=len(found.golden.inputs), provider="numpy")


def lines(name: str, card: Card) -> Iterator[str]:
    """For a person."""
    if isinstance(card, BandwidthCard):
        yield f"{card.model_id}  {card.kind}  int8  {name}"
        windows = ", ".join(f"{low:g}-{high:g}" for low, high in card.windows_s)
        about = f"{len(card.levels)} quantiles of windows at {windows} s"
    else:
        yield f"{card.model_id}  {card.kind}  {card.precision}  {name}"
        about = f"answers {', '.join(card.outputs)}"
    yield (
        f"  {card.size_bytes} bytes, features v{card.feature_version}, {about}, "
        f"seed {card.seed}, by {card.created_by}"
    )


def _claims(place: Path) -> tuple[str, ...]:
    text = artifact.read_signatures(place)
    if text is None:
        return ()
    return tuple(one.key_id for one in decode_signatures(text, str(place)).signatures)


def _bandwidth_file(place: Path) -> Path | None:
    """None: it is not one."""
    if place.is_dir():
        has_manifest = (place / artifact.MANIFEST_FILE).exists()
        inside = place / file.FILE_NAME
        return inside if inside.exists() and not has_manifest else None
    return place if place.suffix == ".json" else None


def _card(found: ModelFile, size_bytes: int) -> BandwidthCard:
    return BandwidthCard(
        kind=found.kind,
        model_id=found.model_id,
        size_bytes=size_bytes,
        feature_version=found.feature_version,
        levels=found.levels,
        windows_s=found.windows_s,
        training_data_sha256=found.training_data_sha256,
        seed=found.seed,
        created_by=found.created_by,
    )
