"""What nodes say to each other over HTTP, as JSON.

Wire messages ignore unknown fields and carry a version, so that nodes can be upgraded one by one.
"""

from __future__ import annotations

import itertools
from typing import Literal

import msgspec

CATALOG_PATH = "/v1/catalog"
CATALOG_VERSION: Literal[1] = 1


class TitleEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One playable title. Manifest paths are relative to the catalogue's own URL.

    `series`, `season_no` and `episode_no` are all set for an episode and all None for a film.
    `genre` tells most about who watches it, such as `crime` or `science fiction`; None: nobody
    said.
    """

    id: str
    name: str
    duration_s: float
    dash: str
    hls: str
    series: str | None = None
    season_no: int | None = None
    episode_no: int | None = None
    genre: str | None = None


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an origin offers; `revision` changes whenever the content does."""

    version: Literal[1] = CATALOG_VERSION
    revision: str
    titles: tuple[TitleEntry, ...]

    def successors(self) -> dict[str, str]:
        """Title id -> id of the episode that follows it: the next one of its season, else the first
        of the next season."""
        episodes = sorted(
            (title.series, title.season_no or 0, title.episode_no or 0, title.id)
            for title in self.titles
            if title.series is not None
        )
        pairs = itertools.pairwise(episodes)
        return {one[3]: two[3] for one, two in pairs if one[0] == two[0]}
