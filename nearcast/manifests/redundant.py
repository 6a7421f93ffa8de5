"""Redundant variant streams: a ladder that an HLS master lists again for another host.

RFC 8216, 6.2.4: variants that differ in their URI only are the same stream in another place, to be
used when the first fails. Only another host counts as another place here: packagers do list two
streams of one rate; or another pathway, where the master speaks of content steering (PATHWAY-ID,
draft-pantos-hls-rfc8216bis). A master that has copies has audio groups for each place, too. The
playlists of the copies are not read: what the first one lists is looked for in the same place
beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from nearcast.manifests.limits import join
from nearcast.media import Base
from nearcast.steering import is_pathway

_OF_THE_PLACE: Final = frozenset(
    ("audio", "video", "subtitles", "closed_captions", "program_id", "pathway_id")
)
"""Attributes that name groups, which each place has of its own."""
COPY_COUNT_MAX: Final = 8


def find_copies(
    data: Mapping[str, Any], base_url: str, *, is_steered: bool = False
) -> tuple[tuple[Base, ...], ...]:
    """Playlists that are copies of one another, the first listed first, from what the `m3u8`
    library makes of a master. `is_steered`: a playlist that is alone is told with its pathway, as
    there may come clones of it."""
    places: dict[tuple[tuple[str, str], ...], list[Mapping[str, Any]]] = {}
    for entry in data["playlists"]:
        places.setdefault(_traits(entry["stream_info"]), []).append(entry)
    copies = _Copies(base_url)
    groups: dict[str, dict[str, str]] = {}  # of audio: the first place's, and those of its copies
    paths: dict[str, str] = {}  # the pathway of each audio group
    for alike in places.values():
        first = alike[0]
        info = first["stream_info"]
        here = info.get("audio")
        if here:
            paths.setdefault(here, _pathway(info))
        url = copies.begin(first["uri"], _pathway(info), info.get("stable_variant_id"))
        for entry in alike[1:]:
            pathway = _pathway(entry["stream_info"])
            if not copies.add(url, entry["uri"], pathway, is_steered=is_steered):
                continue  # perhaps the same once more, for another audio group
            there = entry["stream_info"].get("audio")
            if here and there and here != there:
                groups.setdefault(here, {})[there] = pathway
    for here, pathway in paths.items():
        for entry in _members(data["media"], here):
            url = copies.begin(entry["uri"], pathway, entry.get("stable_rendition_id"))
            for there, path in groups.get(here, {}).items():
                for other in _members(data["media"], there):
                    if _voice(other) == _voice(entry):
                        copies.add(url, other["uri"], path, is_steered=is_steered)
    return copies.told(count_min=1 if is_steered else 2)


class _Copies:
    """Playlists by the URL of the first."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._groups: dict[str, list[Base]] = {}

    def begin(self, uri: str, pathway: str, stable_id: str | None) -> str:
        """The URL of what is listed first."""
        url = join(self._base_url, uri)
        base = Base(url=url, priority=0, pathway=pathway, stable_id=(stable_id or "").strip('"'))
        self._groups.setdefault(url, [base])
        return url

    def add(self, first: str, uri: str, pathway: str, *, is_steered: bool) -> bool:
        """Take `uri` for a copy of `first`, if it is in another place."""
        url = join(self._base_url, uri)
        group = self._groups[first]
        hosts = {urlsplit(each.url).netloc for each in group}
        is_elsewhere = urlsplit(url).netloc not in hosts
        if is_steered and pathway not in {each.pathway for each in group}:
            is_elsewhere = True
        if (url != first and url in self._groups) or not is_elsewhere:
            return False
        group.append(
            Base(url=url, priority=len(group), pathway=pathway, stable_id=group[0].stable_id)
        )
        return True

    def told(self, *, count_min: int) -> tuple[tuple[Base, ...], ...]:
        groups = self._groups.values()
        return tuple(tuple(each[:COPY_COUNT_MAX]) for each in groups if len(each) >= count_min)


def _pathway(info: Mapping[str, Any]) -> str:
    """The draft calls the one that has no name `.`."""
    named = info.get("pathway_id") or "."
    return named if is_pathway(named) else ""


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
