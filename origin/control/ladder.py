"""Titles as the forecast wants them: numbered, their pictures by rising rate."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from nearcast.units import HOUR_S
from origin.catalog import RenditionEntry, SegmentEntry, Title, series_key
from origin.control.editions import namesake, nearest_picture
from origin.placement.demand import Ints, Titles


class Ladder:
    """Where each rendition of each title stands: pictures by rising rate, and sound."""

    def __init__(self, titles: Sequence[Title]) -> None:
        self.titles = titles
        self.row = {title.id: row for row, title in enumerate(titles)}
        self.pictures = [_of_kind(title, is_picture=True) for title in titles]
        self.sounds = [_of_kind(title, is_picture=False) for title in titles]
        self.height = max((len(one) for one in self.pictures), default=1) or 1
        self.place: dict[tuple[str, str], tuple[int, int]] = {}
        """(title, rendition) -> row of the title, place among its pictures; -1 for sound."""
        for row, title in enumerate(titles):
            for at, one in enumerate(self.pictures[row]):
                self.place[title.id, one.rendition.id] = row, at
            for one in self.sounds[row]:
                self.place[title.id, one.rendition.id] = row, -1
        self.sizes = np.zeros((len(titles), self.height))
        for row, entries in enumerate(self.pictures):
            for at, one in enumerate(entries):
                self.sizes[row, at] = one.size_bytes

    def stands_for(self, row: int, rendition_id: str) -> tuple[int, int]:
        """Place among the pictures of a title, and number of its sound, of a rendition that this
        or an earlier edition of it has or had; -1: it is neither, or that cannot be told."""
        sounds = [one.rendition.id for one in self.sounds[row]]
        pictures = [one.rendition.id for one in self.pictures[row]]
        if rendition_id in pictures:
            return pictures.index(rendition_id), -1
        sound = namesake(rendition_id, sounds)
        if sound >= 0:
            return -1, sound
        picture = namesake(rendition_id, pictures)
        return (nearest_picture(rendition_id, pictures) if picture < 0 else picture), -1


def _of_kind(title: Title, *, is_picture: bool) -> tuple[RenditionEntry, ...]:
    found = [one for one in title.renditions if (one.rendition.kind == "video") is is_picture]
    return tuple(sorted(found, key=lambda one: (one.size_bytes, one.rendition.id)))


def in_short(title: Title, head_s: float) -> Title:
    """The same title for a plan: of each rendition what comes within a head, and the rest, each as
    one segment. A film has thousands, and a library of them no room in memory."""
    return msgspec.structs.replace(
        title, renditions=tuple(_rendition_in_short(one, head_s) for one in title.renditions)
    )


def _rendition_in_short(entry: RenditionEntry, head_s: float) -> RenditionEntry:
    ends_s = [one.start_s + one.duration_s for one in entry.segments]
    head_count = next((at for at, end_s in enumerate(ends_s, 1) if end_s >= head_s), len(ends_s))
    parts, start_s = [], 0.0
    for first, end in ((0, head_count), (head_count, len(ends_s))):
        if first < end:
            size_bytes = sum(one.size_bytes for one in entry.segments[first:end])
            parts.append(SegmentEntry(start_s, ends_s[end - 1] - start_s, size_bytes, 0))
            start_s = ends_s[end - 1]
    return msgspec.structs.replace(entry, segments=tuple(parts))


def titles_of(titles: Sequence[Title], ladder: Ladder, first_hour: int) -> Titles:
    """As the forecast wants them. What was made before `first_hour` was there from the start."""
    episode = np.zeros(len(titles), dtype=np.int64)
    successor = np.full(len(titles), -1, dtype=np.int64)
    number = np.arange(len(titles))
    series: dict[str, list[int]] = {}
    for row, title in enumerate(titles):
        if title.series is not None:
            series.setdefault(series_key(title.series), []).append(row)
    for rows in series.values():
        rows.sort(key=lambda row: (titles[row].season_no or 0, titles[row].episode_no or 0))
        episode[rows] = np.arange(len(rows))
        successor[rows[:-1]] = rows[1:]
        number[rows] = rows[0]
    made = np.array([_released_wall_s(title) / HOUR_S for title in titles], dtype=np.float64)
    return Titles(
        genre=_genres(titles),
        is_film=np.array([title.series is None for title in titles], dtype=np.bool_),
        episode=episode,
        series=np.unique(number, return_inverse=True)[1].astype(np.int64),
        successor=successor,
        release_hour=np.where(made < first_hour, -np.inf, made),
        duration_s=np.array([title.duration_s for title in titles], dtype=np.float64),
        size_bytes=ladder.sizes,
    )


def _released_wall_s(title: Title) -> float:
    """A title that is packaged anew is no new one."""
    return title.created_wall_s if title.released_wall_s is None else title.released_wall_s


def _genres(titles: Sequence[Title]) -> Ints:
    """Their numbers, in the order of their names; -1: nobody said."""
    names = sorted({title.genre for title in titles if title.genre})
    number = {name: at for at, name in enumerate(names)}
    return np.array([number.get(title.genre or "", -1) for title in titles], dtype=np.int64)
