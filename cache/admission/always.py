"""Store everything."""

from __future__ import annotations


class Always:
    """Admit every object; the eviction policy sorts them out (S3-FIFO does)."""

    def __init__(self, capacity_bytes: int) -> None:
        del capacity_bytes  # nothing depends on it

    def admits(self, object_id: str, size_bytes: int) -> bool:
        return True
