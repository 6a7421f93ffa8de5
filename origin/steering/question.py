"""What a client says when it asks, all of it in the query of its request.

Three speak there: the manifest, of what it lists (see `asked`); we, of what the client tried (see
`tried`), with each answer's RELOAD-URI; and the player, of where it is and what it measured. What
else is there, perhaps a token, goes into the next URL as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qsl, urlencode

import msgspec

from nearcast.steering import QUERY_LENGTH_MAX, read_query
from origin.steering.asked import NAMES, Asked, read_asked, write_asked
from origin.steering.choice import noted, pathways_used
from origin.steering.tried import ARGUMENT, Tried, read_tried, write_tried

KEPT_QUERY_MAX: Final = 500
_OF_PLAYERS: Final = ("_HLS_pathway", "_HLS_throughput", "_DASH_pathway", "_DASH_throughput")
_OURS: Final = frozenset((ARGUMENT, *NAMES, *_OF_PLAYERS))


class Question(msgspec.Struct, frozen=True, kw_only=True):
    asked: Asked
    tried: tuple[Tried, ...]
    used: tuple[str, ...]
    """Where the client is, then where it was since it last asked."""
    others: str
    """Arguments that are not ours, as a query."""


def read_question(query: str, wall_s: float) -> Question:
    """Never raises: nonsense says nothing."""
    said, others = _arguments(query)
    measured = read_query(query)
    tried = noted(read_tried(said.get(ARGUMENT, ""), wall_s), measured, wall_s)
    kept = urlencode(others)
    return Question(
        asked=read_asked(said),
        tried=tried,
        used=pathways_used(tried, measured),
        others=kept if len(kept) <= KEPT_QUERY_MAX else "",
    )


def next_query(question: Question, tried: Sequence[Tried]) -> str:
    """What to ask next time, less what the player adds."""
    remembered = f"{ARGUMENT}={write_tried(tried)}"
    return "&".join(filter(None, (question.others, write_asked(question.asked), remembered)))


def _arguments(query: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Our own arguments, the first of each name, and those that are not ours."""
    if len(query) > QUERY_LENGTH_MAX:
        return {}, []
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=64)
    except ValueError:
        return {}, []
    said: dict[str, str] = {}
    for name, value in pairs:
        if name in _OURS:
            said.setdefault(name, value)
    return said, [(name, value) for name, value in pairs if name not in _OURS]
