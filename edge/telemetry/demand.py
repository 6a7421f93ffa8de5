"""What viewers took and plans brought of each rendition of a title, added up until it is told."""

from __future__ import annotations

from nearcast.telemetry import Demand

Key = tuple[str, str]
"""Title and rendition."""


class _Sum:
    __slots__ = (
        *("client_bytes", "head_bytes", "origin_bytes", "planned_bytes", "resident_bytes"),
        "session_count",
    )

    def __init__(self) -> None:
        self.client_bytes = 0
        self.resident_bytes = 0
        self.origin_bytes = 0
        self.head_bytes = 0
        self.session_count = 0
        self.planned_bytes = 0


class DemandTable:
    """Sums by title and rendition, of a bounded number of them."""

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self._sums: dict[Key, _Sum] = {}

    def __len__(self) -> int:
        return len(self._sums)

    @property
    def is_full(self) -> bool:
        """It should be taken now: what comes next may find no room."""
        return len(self._sums) >= self._rows_max

    def sent(self, key: Key, sent_bytes: int, *, is_resident: bool, is_head: bool) -> None:
        """A client was sent so much of it, from the store or while it came."""
        one = self._sum(key)
        one.client_bytes += sent_bytes
        if is_resident:
            one.resident_bytes += sent_bytes
        if is_head:
            one.head_bytes += sent_bytes

    def fetched(self, key: Key, received_bytes: int) -> None:
        """So much of it came from upstream, for whatever reason."""
        self._sum(key).origin_bytes += received_bytes

    def planned(self, key: Key, received_bytes: int) -> None:
        """So much of it was fetched for a plan."""
        self._sum(key).planned_bytes += received_bytes

    def begun(self, key: Key) -> None:
        """A viewing of it has begun."""
        self._sum(key).session_count += 1

    def take(self, wall_s: float) -> tuple[Demand, ...]:
        """All sums since the last time, in the order of their names."""
        sums, self._sums = self._sums, {}
        return tuple(
            Demand(
                wall_s=wall_s,
                title=title,
                rendition=rendition,
                client_bytes=one.client_bytes,
                resident_bytes=one.resident_bytes,
                origin_bytes=one.origin_bytes,
                session_count=one.session_count,
                head_bytes=one.head_bytes,
                planned_bytes=one.planned_bytes,
            )
            for (title, rendition), one in sorted(sums.items())
        )

    def _sum(self, key: Key) -> _Sum:
        one = self._sums.get(key)
        if one is None:
            one = self._sums[key] = _Sum()
        return one
