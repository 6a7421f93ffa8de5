"""The models of a library on disk, and how they come and go whole.

    <library>/models/releases.json      origin.registry.Releases
    <library>/models/<release>/         the files of one released model

A model is copied beside, checked there, renamed into place and only then listed, all under the
library's `change.lock`; what is not listed is not served. A folder that is not listed is what
somebody who died left behind, and goes with the next change.
"""

from __future__ import annotations

import importlib.util
import secrets
import shutil
import time
from pathlib import Path
from typing import Final

import msgspec

from nearcast.errors import InputError, ModelError
from nearcast.model_index import MODEL_SIZE_BYTES_MAX, OfferedFile
from nearcast.whole_file import write_whole
from origin.drivers.storage import LibraryFolder, disk_errors
from origin.library import FreshnessConfig, Resource
from origin.registry import ModelShelf, Release, Releases, release_name
from predictor import artifact
from predictor.artifact import Artifact
from predictor.signature import Trust, decode_signatures

MODELS_NAME: Final = "models"
RELEASES_NAME: Final = "releases.json"
RELEASES_BYTES_MAX: Final = 4_000_000
_STAGED_PREFIX: Final = ".staged-"


class ModelStore:
    """Adds, lists and withdraws; a server asks `read` and `change_mark`."""

    def __init__(self, library: LibraryFolder) -> None:
        self._library = library
        self.folder = library.folder / MODELS_NAME

    def read(self) -> Releases:
        """What is listed; nothing where no model was ever added. Raises InputError."""
        path = self.folder / RELEASES_NAME
        try:
            with path.open("rb") as file:
                text = file.read(RELEASES_BYTES_MAX + 1)
        except FileNotFoundError:
            return Releases()
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
        try:
            if len(text) > RELEASES_BYTES_MAX:
                raise msgspec.DecodeError(f"it has more than {RELEASES_BYTES_MAX} bytes")
            return msgspec.json.decode(text, type=Releases)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InputError(f"{path} is no list of models: {error}") from error

    def change_mark(self) -> tuple[int, int, int] | None:
        """Differs after every change of the list."""
        try:
            found = (self.folder / RELEASES_NAME).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def add(self, source: Path, *, trust: Trust | None) -> Release:
        """Release a signed model; releasing it again changes nothing.

        It is read once: what is written and served are the bytes that were checked. Raises
        ModelError if it may not serve, InputError if there is no room for it.
        """
        with disk_errors(self.folder), self._library.changing():
            self.folder.mkdir(exist_ok=True)
            staged = self.folder / f"{_STAGED_PREFIX}{secrets.token_hex(6)}"
            try:
                return self._add(source, staged, trust)
            finally:
                shutil.rmtree(staged, ignore_errors=True)

    def withdraw(self, wanted: str) -> tuple[Release, ...]:
        """Take a model off the list and delete it; `wanted` is its id or a release's name.

        Raises InputError if there is none.
        """
        with disk_errors(self.folder), self._library.changing():
            before = self.read()
            gone = before.find(wanted)
            if not gone:
                listed = ", ".join(one.model_id for one in before.releases) or "none"
                raise InputError(f"there is no model {wanted!r} in {self.folder}; listed: {listed}")
            after = before.without(release.name for release in gone)
            self._write(after)
            self._sweep(after)
            return gone

    def _add(self, source: Path, staged: Path, trust: Trust | None) -> Release:
        loaded = artifact.load(source, kind=None, trust=trust)
        signatures = _needed(loaded.signatures, source)
        signed_by = _key_ids(signatures, source)
        contents = _contents(loaded, signatures)
        _try_golden(loaded)
        name = release_name(loaded.manifest.model_id, loaded.manifest_text, signatures)
        before = self.read()
        for release in before.find(name):
            return release
        if before.is_full(loaded.manifest.kind):
            raise InputError(
                f"{self.folder} offers as many models of kind {loaded.manifest.kind} as it may; "
                "withdraw one: nearcast origin models withdraw ID"
            )
        release = Release(
            name=name,
            kind=loaded.manifest.kind,
            model_id=loaded.manifest.model_id,
            released_no=before.released_no_last + 1,
            released_wall_s=time.time(),
            manifest_sha256=loaded.manifest_sha256,
            signed_by=signed_by,
            files={file: _offered(content) for file, content in sorted(contents.items())},
        )
        staged.mkdir()
        for file, content in contents.items():
            (staged / file).write_bytes(content)
        self._sweep(before)
        staged.rename(self.folder / name)
        self._write(before.with_release(release))
        return release

    def _write(self, releases: Releases) -> None:
        text = msgspec.json.format(msgspec.json.encode(releases), indent=1) + b"\n"
        write_whole(self.folder / RELEASES_NAME, text)

    def _sweep(self, releases: Releases) -> None:
        listed = {release.name for release in releases.releases}
        for folder in sorted(self.folder.iterdir()):
            is_own = folder.name.startswith(_STAGED_PREFIX)
            if folder.is_dir() and folder.name not in listed and not is_own:
                shutil.rmtree(folder, ignore_errors=True)


class OnDisk:
    """The released models as a server asks for them: the state of the last look."""

    def __init__(self, store: ModelStore, freshness: FreshnessConfig) -> None:
        self._store = store
        self._freshness = freshness
        self._mark = store.change_mark()
        self._shelf = ModelShelf(store.read(), freshness)

    @property
    def count(self) -> int:
        return sum(len(models) for models in self._shelf.index.kinds.values())

    def resource(self, path: str) -> Resource | None:
        return self._shelf.resource(path)

    def refresh(self) -> bool:
        """Read the list anew if it has changed; True if it had. Raises InputError."""
        mark = self._store.change_mark()
        if mark == self._mark:
            return False
        self._shelf = ModelShelf(self._store.read(), self._freshness)
        self._mark = mark
        return True

    def file(self, resource: Resource) -> Path:
        assert resource.file is not None
        return self._store.folder / resource.file


def _contents(loaded: Artifact, signatures: bytes) -> dict[str, bytes]:
    """The files a manifest names and no other, as they were checked."""
    contents = {
        artifact.MANIFEST_FILE: loaded.manifest_text,
        artifact.SIGNATURE_FILE: signatures,
        artifact.MODEL_FILE: loaded.model,
        **loaded.files,
    }
    size_bytes = sum(len(content) for content in contents.values())
    if size_bytes > MODEL_SIZE_BYTES_MAX:
        raise InputError(
            f"{loaded.folder} has {size_bytes} bytes, edges take up to {MODEL_SIZE_BYTES_MAX}; "
            "make the model smaller"
        )
    return contents


def _key_ids(signatures: bytes, source: Path) -> tuple[str, ...]:
    return tuple(one.key_id for one in decode_signatures(signatures, str(source)).signatures)


def _needed(signatures: bytes | None, source: Path) -> bytes:
    if signatures is None:
        raise ModelError(
            f"the model in {source} is not signed, and no edge would take it; "
            f"sign it with: nearcast models sign {source} --key KEY",
            reason="unsigned",
        )
    return signatures


def _try_golden(loaded: Artifact) -> None:
    """Where a runtime is installed; an origin need not have one, each edge tries for itself."""
    if importlib.util.find_spec("onnxruntime") is not None:
        from predictor.runtime import open_graph

        open_graph(loaded)


def _offered(content: bytes) -> OfferedFile:
    return OfferedFile(sha256=artifact.digest(content), size_bytes=len(content))
