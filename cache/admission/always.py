"""Store everything."""

from __future__ import annotations

from nearcast.config import Section


class Always:
    """Admit every object; the eviction policy sorts them out (S3-FIFO does)."""

    def __init__(self, capacity_bytes: int, params: Section | None = None) -> None:
        del capacity_bytes, params  # nothing depends on them

    def admits(self, object_id: str, size_bytes: int) -> bool:
        return True

    def hit(self, object_id: str) -> None:
        pass

    def evicted(self, object_id: str, size_bytes: int) -> None:
        pass
