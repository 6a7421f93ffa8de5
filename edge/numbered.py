"""What follows what by the numbers in its name, for origins without a catalogue.

An operator knows how the manifests of a series are called: `prefetch.series` says it as regular
expressions with the groups `episode` and, where there are any, `season` and `series`. The successor
of an episode is the same URL with the next number. Whether there is one, upstream knows: a manifest
that it does not have is asked for once in a while and costs a few hundred bytes.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from edge.config.watching import SeriesConfig

REMEMBERED_MAX: Final = 10_000
PATH_LENGTH_MAX: Final = 2_000
"""Longer ones are no names of manifests; it bounds what a pattern can be given to work on."""


class Numbered(msgspec.Struct, frozen=True):
    """An episode, as its URL says."""

    series: str
    season_no: int
    episode_no: int
    next_url: str
    previous_url: str | None


class Numbers:
    """Reads URLs by the patterns; the first that fits counts."""

    def __init__(self, series: Sequence[SeriesConfig]) -> None:
        self._patterns = tuple(re.compile(one.pattern) for one in series)
        self._remembered: OrderedDict[str, Numbered | None] = OrderedDict()

    def read(self, url: str) -> Numbered | None:
        if not self._patterns:
            return None
        if url not in self._remembered:
            self._remembered[url] = self._read(url)
            if len(self._remembered) > REMEMBERED_MAX:
                self._remembered.popitem(last=False)
        return self._remembered[url]

    def _read(self, url: str) -> Numbered | None:
        path = urlsplit(url).path
        at = url.find(path)
        if not path or len(path) > PATH_LENGTH_MAX:
            return None
        for pattern in self._patterns:
            found = pattern.fullmatch(path)
            if found is None or not found["episode"].isascii() or not found["episode"].isdigit():
                continue
            begin, end = found.span("episode")
            groups = found.groupdict()
            episode_no = int(found["episode"])
            season = groups.get("season") or ""

            def numbered(
                number: int, begin: int = begin, end: int = end, text: str = found["episode"]
            ) -> str:
                # 09 is followed by 10, 9 by 10, and 099 by 100.
                digits = str(number).zfill(len(text)) if text.startswith("0") else str(number)
                return url[: at + begin] + digits + url[at + end :]

            return Numbered(
                series=groups.get("series") or path[:begin],
                season_no=int(season) if season.isascii() and season.isdigit() else 1,
                episode_no=episode_no,
                next_url=numbered(episode_no + 1),
                previous_url=numbered(episode_no - 1) if episode_no > 0 else None,
            )
        return None
