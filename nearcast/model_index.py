"""`/models/index.json`: which models an origin offers, as it says it and as edges read it.

    {"format_version": 1, "revision": "<16 hex>",
     "kinds": {"next-episode": [
       {"model_id": "next-episode-cf439a55936c", "released_no": 7, "size_bytes": 17123,
        "url": "/models/next-episode-cf439a55936c-0f3a52c1b7de/", "manifest_sha256": "<64 hex>",
        "files": {"manifest.json": {"sha256": "<64 hex>", "size_bytes": 7100},
                  "manifest.sig": {...}, "model.onnx": {...}}}]}}

Each list is newest first, by `released_no`. A file is at `url` + its name, relative to the origin,
and never changes. A model that is no longer listed was withdrawn. The index itself is not signed:
it says where to look, and what is found there is believed for its signature alone.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from nearcast.errors import RemoteProtocolError

MODELS_PREFIX: Final = "/models/"
INDEX_PATH: Final = "/models/index.json"
INDEX_VERSION: Final = 1
INDEX_BYTES_MAX: Final = 1_000_000
KINDS_MAX: Final = 16
RELEASES_MAX: Final = 32  # of one kind
FILES_MAX: Final = 12
MODEL_SIZE_BYTES_MAX: Final = 64_000_000  # all files of one together

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
# What edges make file names of: nothing that could climb, hide or point elsewhere.
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$(?!\n)")]
Url = Annotated[str, msgspec.Meta(pattern=r"^/models/[a-z0-9][a-z0-9._-]{0,99}/$(?!\n)")]
Size = Annotated[int, msgspec.Meta(ge=0, le=MODEL_SIZE_BYTES_MAX)]


class OfferedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a model's folder."""

    sha256: Sha256
    size_bytes: Size


class OfferedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that edges may fetch."""

    model_id: Name
    released_no: Annotated[int, msgspec.Meta(ge=1)]
    """Counts up over all kinds; a model that is released again gets a new one."""
    size_bytes: Size
    """Of all files together."""
    url: Url
    manifest_sha256: Sha256
    files: Annotated[dict[Name, OfferedFile], msgspec.Meta(max_length=FILES_MAX)]


Offered = Annotated[tuple[OfferedModel, ...], msgspec.Meta(max_length=RELEASES_MAX)]


class ModelIndex(msgspec.Struct, frozen=True, kw_only=True):
    """All that an origin offers; `revision` changes whenever it does."""

    format_version: Literal[1] = INDEX_VERSION
    revision: str
    kinds: Annotated[dict[Name, Offered], msgspec.Meta(max_length=KINDS_MAX)]


def read_index(text: bytes, source: str) -> ModelIndex:
    """Raises RemoteProtocolError; unknown keys are ignored."""
    if len(text) > INDEX_BYTES_MAX:
        raise RemoteProtocolError(f"{source} is larger than {INDEX_BYTES_MAX} bytes")
    try:
        return msgspec.json.decode(text, type=ModelIndex)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"{source} is no index of models: {error}") from error
