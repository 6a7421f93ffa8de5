"""What a client tried already: kept by the client, in the URL it asks next time.

So any origin can answer. The list says which edge the client was sent to, when (in wall time,
seconds) and what it measured there in kbit/s, the newest first. Whoever forges it steers
themselves, and counts as one client among those of their own network (see `throughput`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

ARGUMENT: Final = "tried"
TRIED_MAX: Final = 4
TRIED_S: Final = 600.0
"""After that an edge is as good as new: who was slow may be so no longer."""
_ENTRY = re.compile(r"([a-z0-9][a-z0-9-]{0,62})\.([0-9]{1,11})\.([0-9]{1,9})")


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """A client was sent to an edge. 0 kbit/s: nothing measured there yet."""

    edge: str
    since_wall_s: int
    throughput_kbps: int = 0


def read_tried(text: str, wall_s: float) -> tuple[Tried, ...]:
    """What `write_tried` wrote, less what is long ago; nonsense gives nothing. The newest entry
    stays whatever its age: it says where the client is."""
    found: list[Tried] = []
    for part in text.split("_")[:TRIED_MAX]:
        match = _ENTRY.fullmatch(part)
        if match is None:
            return ()
        one = Tried(edge=match[1], since_wall_s=int(match[2]), throughput_kbps=int(match[3]))
        if one.since_wall_s > wall_s + 1.0:
            return ()
        if not found or wall_s - one.since_wall_s < TRIED_S:
            found.append(one)
    return tuple(found)


def write_tried(tried: Sequence[Tried]) -> str:
    return "_".join(
        f"{one.edge}.{one.since_wall_s}.{min(one.throughput_kbps, 999_999_999)}"
        for one in tried[:TRIED_MAX]
    )
