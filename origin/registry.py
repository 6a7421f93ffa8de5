"""The models an origin offers to its edges: what is released, and which URL leads to which file.

    /models/index.json          nearcast.model_index, where the JSON is written down
    /models/<release>/<file>    a file of a released model, which never changes

A release is a folder under a name of its own, made of the model's id and a hash of manifest and
signature: the same model signed anew is another release, so no cache can mix the two. Paths are
looked up, never joined, as in `origin.library`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from nearcast.model_index import (
    INDEX_PATH,
    MODELS_PREFIX,
    RELEASES_MAX,
    ModelIndex,
    OfferedFile,
    OfferedModel,
)
from origin.library import FreshnessConfig, Resource

_TYPES: Final = {".json": "application/json", ".sig": "application/json"}


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """One model on offer, as it is kept."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$(?!\n)")]
    """Of its folder and in its URL."""
    kind: str
    model_id: str
    released_no: int
    released_wall_s: float
    manifest_sha256: str
    signed_by: tuple[str, ...]
    files: dict[str, OfferedFile]

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files.values())


class Releases(msgspec.Struct, frozen=True, kw_only=True):
    """All of them. Numbers count on, also when a model was withdrawn."""

    format_version: int = 1
    released_no_last: int = 0
    releases: tuple[Release, ...] = ()

    def of_kind(self, kind: str) -> tuple[Release, ...]:
        """Newest first."""
        found = [release for release in self.releases if release.kind == kind]
        return tuple(sorted(found, key=lambda release: -release.released_no))

    def is_full(self, kind: str) -> bool:
        return len(self.of_kind(kind)) >= RELEASES_MAX

    def find(self, wanted: str) -> tuple[Release, ...]:
        """Those with this name or this model id."""
        return tuple(one for one in self.releases if wanted in (one.name, one.model_id))

    def with_release(self, release: Release) -> Releases:
        return msgspec.structs.replace(
            self,
            released_no_last=max(self.released_no_last, release.released_no),
            releases=(*self.releases, release),
        )

    def without(self, names: Iterable[str]) -> Releases:
        gone = frozenset(names)
        kept = tuple(one for one in self.releases if one.name not in gone)
        return msgspec.structs.replace(self, releases=kept)


def release_name(model_id: str, manifest: bytes, signatures: bytes) -> str:
    """The same files give the same name, others another."""
    digest = hashlib.sha256(hashlib.sha256(manifest).digest() + signatures).hexdigest()
    return f"{model_id}-{digest[:12]}"


class ModelShelf:
    """All paths below `/models/` for one state of the releases."""

    def __init__(self, releases: Releases, freshness: FreshnessConfig) -> None:
        kinds = sorted({release.kind for release in releases.releases})
        offered = {
            kind: tuple(_offered(one) for one in releases.of_kind(kind)[:RELEASES_MAX])
            for kind in kinds
        }
        revision = hashlib.sha256(msgspec.json.encode(offered, order="sorted")).hexdigest()[:16]
        self.index = ModelIndex(revision=revision, kinds=offered)
        text = msgspec.json.encode(self.index)
        self._resources = {
            INDEX_PATH: Resource(
                path=INDEX_PATH,
                size_bytes=len(text),
                content_type=_TYPES[".json"],
                etag=f'"{revision}"',
                last_modified_wall_s=0.0,
                max_age_s=freshness.models_s,
                body=text,
            )
        }
        for release in releases.releases:
            for name, file in release.files.items():
                path = f"{MODELS_PREFIX}{release.name}/{name}"
                self._resources[path] = Resource(
                    path=path,
                    size_bytes=file.size_bytes,
                    content_type=_content_type(name),
                    etag=f'"{file.sha256[:32]}"',
                    last_modified_wall_s=release.released_wall_s,
                    max_age_s=freshness.segment_s,
                    is_immutable=True,
                    file=f"{release.name}/{name}",
                    shelf="models",
                )

    def resource(self, path: str) -> Resource | None:
        return self._resources.get(path)


def _offered(release: Release) -> OfferedModel:
    return OfferedModel(
        model_id=release.model_id,
        released_no=release.released_no,
        size_bytes=release.size_bytes,
        url=f"{MODELS_PREFIX}{release.name}/",
        manifest_sha256=release.manifest_sha256,
        files=release.files,
    )


def _content_type(name: str) -> str:
    return next(
        (kind for suffix, kind in _TYPES.items() if name.endswith(suffix)),
        "application/octet-stream",
    )
