"""Tables of counts that forget: halved when they have grown, so that habits change with viewers."""

from __future__ import annotations

from collections import Counter
from typing import TypeVar

Key = TypeVar("Key")


def halved(counts: Counter[Key]) -> Counter[Key]:
    """Half of each, and nothing of what was seen once: a table that is halved whenever its total
    passes a number has never more entries than that number."""
    return Counter({key: count // 2 for key, count in counts.items() if count > 1})
