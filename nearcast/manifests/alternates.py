"""Where else the same bytes are: what an MPD says with several BaseURL elements.

Which of them a player prefers is told by the attributes `priority` and `weight` of DVB-DASH (ETSI
TS 103 285, 10.8.2.1); without them the order of the manifest counts. `serviceLocation` is the
pathway that content steering knows a base by (ETSI TS 103 998).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from lxml import etree

from nearcast.errors import RemoteProtocolError
from nearcast.manifests.elements import children, parse_xml
from nearcast.manifests.limits import REPRESENTATION_COUNT_MAX, join
from nearcast.media import Base
from nearcast.steering import is_pathway

BASE_COUNT_MAX: Final = 8
"""Of one group. Levels multiply: two at the MPD and two at a Representation are four places."""
_LEVELS: Final = ("Period", "AdaptationSet", "Representation")
_DVB: Final = "urn:dvb:dash:dash-extensions:2014-1"


def read_alternates(text: bytes, url: str) -> tuple[tuple[Base, ...], ...]:
    """Groups of bases under which an MPD fetched from `url` has the same bytes. In each, the first
    is the one that its segments are read with; a base that is alone is told where it is a pathway.
    Raises RemoteProtocolError."""
    root = parse_xml(text)
    groups = dict.fromkeys(_groups(root, (Base(url=url, priority=0),), 0))
    return tuple(groups)[:REPRESENTATION_COUNT_MAX]


def _groups(
    element: etree._Element, outer: Sequence[Base], depth: int
) -> Iterator[tuple[Base, ...]]:
    bases = tuple(outer)
    own = list(children(element, "BaseURL"))[:BASE_COUNT_MAX]
    if own:
        bases = tuple(_joined(outer, own))
        if len(bases) > 1 or bases[0].pathway:
            yield bases
    if depth < len(_LEVELS):
        for inner in children(element, _LEVELS[depth]):
            yield from _groups(inner, bases, depth + 1)


def _joined(outer: Sequence[Base], own: Sequence[etree._Element]) -> Iterator[Base]:
    seen: set[tuple[str, str]] = set()
    # Their order counts only where they say nothing else.
    is_ranked = any(name.startswith(f"{{{_DVB}}}") for one in own for name in map(str, one.keys()))
    for index, element in enumerate(own):
        for base in outer:
            try:
                url = join(base.url, element.text or "")
            except RemoteProtocolError:
                if index == 0:
                    raise
                continue  # a bad alternative is none, and costs nothing
            named = (element.get("serviceLocation") or "").strip()
            inherited = "" if urlsplit((element.text or "").strip()).netloc else base.pathway
            pathway = named if is_pathway(named) else inherited
            # One place may be two pathways, of which a steering server may name either.
            if (url, pathway) in seen or len(seen) == BASE_COUNT_MAX:
                continue
            seen.add((url, pathway))
            priority = _number(element, "priority", default=1) if is_ranked else index
            weight = _number(element, "weight", default=1)
            yield Base(
                url=url,
                priority=base.priority + priority,
                weight=base.weight * weight,
                pathway=pathway,
            )


def _number(element: etree._Element, name: str, *, default: int) -> int:
    text = (element.get(f"{{{_DVB}}}{name}") or "").strip()
    return int(text) if re.fullmatch(r"[1-9]\d{0,5}", text, re.ASCII) else default
