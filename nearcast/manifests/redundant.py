"""Redundant variant streams: a ladder that an HLS master lists again for another host.

RFC 8216, 6.2.4: variants that differ in their URI only are the same stream in another place, to be
used when the first fails. Only another host counts as another place here: packagers do list two
streams of one rate. A master that has copies has audio groups for each place, too. The playlists
of the copies are not read: what the first one lists is looked for in the same place beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from nearcast.manifests.limits import join
from nearcast.media import Base

_OF_THE_PLACE: Final = frozenset(
    ("audio", "video", "subtitles", "closed_captions", "program_id", "pathway_id")
)
"""Attributes that name groups, which each place has of its own."""
COPY_COUNT_MAX: Final = 8


def find_copies(data: Mapping[str, Any], base_url: str) -> tuple[tuple[Base, ...], ...]:
    """Playlists that are copies of one another, the first listed first, from what the `m3u8`
    library makes of a master."""
    places: dict[tuple[tuple[str, str], ...], list[Mapping[str, Any]]] = {}
    for entry in data["playlists"]:
        places.setdefault(_traits(entry["stream_info"]), []).append(entry)
    copies: dict[str, dict[str, None]] = {}
    groups: dict[str, dict[str, None]] = {}  # of audio: the first place's, and those of its copies
    for alike in places.values():
        first = alike[0]
        urls = copies.setdefault(join(base_url, first["uri"]), {})
        for entry in alike[1:]:
            url = join(base_url, entry["uri"])
            if not _is_elsewhere(url, copies, join(base_url, first["uri"]), urls):
                continue  # perhaps the same once more, for another audio group
            urls[url] = None
            here, there = first["stream_info"].get("audio"), entry["stream_info"].get("audio")
            if here and there and here != there:
                groups.setdefault(here, {})[there] = None
    for here, others in groups.items():
        for entry in _members(data["media"], here):
            urls = copies.setdefault(join(base_url, entry["uri"]), {})
            for there in others:
                for other in _members(data["media"], there):
                    url = join(base_url, other["uri"])
                    is_same = _voice(other) == _voice(entry)
                    if is_same and _is_elsewhere(url, copies, join(base_url, entry["uri"]), urls):
                        urls[url] = None
    made = []
    for url, others in copies.items():
        every = dict.fromkeys((url, *others))
        if len(every) > 1:
            bases = (Base(url=each, priority=index) for index, each in enumerate(every))
            made.append(tuple(bases)[:COPY_COUNT_MAX])
    return tuple(made)


def _is_elsewhere(url: str, firsts: Iterable[str], first: str, others: Iterable[str]) -> bool:
    hosts = {urlsplit(each).netloc for each in (first, *others)}
    return url not in firsts and urlsplit(url).netloc not in hosts


def _traits(info: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((k, str(v)) for k, v in info.items() if k not in _OF_THE_PLACE))


def _members(media: Sequence[Mapping[str, Any]], group: str) -> list[Mapping[str, Any]]:
    return [
        entry
        for entry in media
        if entry.get("type", "").upper() == "AUDIO"
        and entry.get("group_id") == group
        and entry.get("uri")
    ]


def _voice(entry: Mapping[str, Any]) -> tuple[object, object, object]:
    return entry.get("language"), entry.get("name"), entry.get("channels")
