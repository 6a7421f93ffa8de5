"""What an admission policy promises.

It is asked once for each object fetched on demand, after HTTP has allowed storing it and before
anything is evicted for it. Prefetched and pinned objects are not asked about: somebody has
already decided that they are wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class AdmissionPolicy(Protocol):
    """A gate before the store. Deterministic."""

    def admits(self, object_id: str, size_bytes: int) -> bool:
        """Whether to store this object now. Asking may change what is remembered."""


AdmissionFactory = Callable[[int], AdmissionPolicy]
"""Makes a policy for a tier of that many bytes."""
