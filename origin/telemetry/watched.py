"""How far titles were watched."""

from __future__ import annotations

import msgspec


class WatchedTitle(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over viewings of a title that ended."""

    title: str
    session_count: int
    watched_s: float
    duration_s: float
    """Of the title, so many times; less where edges did not know it."""
