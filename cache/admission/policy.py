"""What an admission policy promises.

It is asked once for each object fetched on demand, after HTTP has allowed storing it and before
anything is evicted for it. Prefetched and pinned objects are not asked about: somebody has
already decided that they are wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from nearcast.config import Section


class AdmissionPolicy(Protocol):
    """A gate before the store. Deterministic; no method takes the time."""

    def admits(self, object_id: str, size_bytes: int) -> bool:
        """Whether to store this object now. Asking may change what is remembered."""

    def hit(self, object_id: str) -> None:
        """A resident object was used."""

    def evicted(self, object_id: str, size_bytes: int) -> None:
        """The eviction policy let this object go to make room."""


class AdmissionPart(msgspec.Struct, frozen=True):
    """A policy and the struct of its parameters; `build` is given the tier's bytes and those."""

    params: type[Section]
    build: Callable[[int, Any], AdmissionPolicy]
