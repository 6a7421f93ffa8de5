"""One model from the registry, file by file.

Manifest and signature come first, as the list says; the rest, as the manifest says, only once a
trusted key turns out to have signed it. No more is read than a model of its kind may have.
"""

from __future__ import annotations

from typing import Final

from edge.drivers.catalog import Getter
from edge.models.events import Offer, Refusal, refusal
from nearcast.errors import ModelError
from nearcast.model_index import OfferedFile
from predictor import artifact
from predictor.artifact import (
    FILE_BYTES_MAX,
    MANIFEST_FILE,
    MODEL_FILE,
    SIGNATURE_FILE,
    FileEntry,
)
from predictor.manifest import check_schema, decode
from predictor.signature import SIGNATURE_BYTES_MAX, Trust

TIMEOUT_S: Final = 30.0
SIGNED: Final = (
    (MANIFEST_FILE, artifact.MANIFEST_BYTES_MAX),
    (SIGNATURE_FILE, SIGNATURE_BYTES_MAX),
)


class ModelUnavailable(Exception):
    """This model cannot be had."""

    def __init__(self, reason: Refusal, detail: str) -> None:
        super().__init__(detail)
        self.reason: Refusal = reason


class ModelFetch:
    """Fetches models from one registry."""

    def __init__(self, upstream: Getter, base_url: str, trust: Trust) -> None:
        self._upstream = upstream
        self._base_url = base_url
        self._trust = trust
        self.received_bytes = 0

    async def files(self, offer: Offer) -> dict[str, bytes]:
        """The manifest and its signature as the list says; the rest as the manifest does, once it
        is known who signed it. Raises ModelUnavailable or UpstreamError."""
        files: dict[str, bytes] = {}
        for name, bytes_max in SIGNED:
            if name in offer.files:
                files[name] = await self._file(offer, name, offer.files[name], bytes_max)
        text = files.get(MANIFEST_FILE, b"")
        if artifact.digest(text) != offer.manifest_sha256:
            raise ModelUnavailable("changed", "its manifest is not the one that is listed")
        try:
            self._trust.check(text, files.get(SIGNATURE_FILE), offer.model_id)
            manifest = decode(text, offer.model_id)
            kind = check_schema(manifest, offer.model_id, kind=offer.kind)
        except ModelError as error:
            raise ModelUnavailable(refusal(error.reason), str(error)) from error
        graph = FileEntry(sha256=manifest.sha256, size_bytes=manifest.size_bytes)
        files[MODEL_FILE] = await self._file(offer, MODEL_FILE, graph, kind.model_bytes_max)
        for name, further in sorted(manifest.files.items()):
            files[name] = await self._file(offer, name, further, FILE_BYTES_MAX)
        return files

    async def _file(
        self, offer: Offer, name: str, entry: FileEntry | OfferedFile, bytes_max: int
    ) -> bytes:
        """Raises ModelUnavailable or UpstreamError."""
        if entry.size_bytes > bytes_max:
            raise ModelUnavailable("oversized", f"{name} has {entry.size_bytes} bytes")
        answer = await self._upstream.get(
            f"{self._base_url}{offer.url}{name}",
            (("accept-encoding", "identity"),),
            bytes_max=entry.size_bytes,
            timeout_s=TIMEOUT_S,
        )
        if answer.status != 200:
            raise ModelUnavailable("unreachable", f"{name} answers {answer.status}")
        if answer.body is None:
            raise ModelUnavailable(
                "oversized", f"{name} has more than its {entry.size_bytes} bytes"
            )
        self.received_bytes += len(answer.body)
        if len(answer.body) < entry.size_bytes:
            size_bytes = len(answer.body)
            raise ModelUnavailable(
                "truncated", f"{name} has {size_bytes} of {entry.size_bytes} bytes"
            )
        if artifact.digest(answer.body) != entry.sha256:
            raise ModelUnavailable("changed", f"{name} is not the one that was signed for")
        return answer.body
