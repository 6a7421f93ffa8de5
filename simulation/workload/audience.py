"""Viewers of a scenario who behave as measured ones do, on the scenario's own titles.

Each one watches one sitting of the generator's, begun somewhere within the arrival time; or with
`days` all their sittings of so many days, each as a player of its own. A player
of the simulator watches titles to their end but for the last one, so a sitting goes on as another
session after a title that was left early, and the gap to it is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from nearcast.errors import InputError
from nearcast.seeds import Seeds
from origin.catalog import Title
from predictor.features import FINISHED_PROGRESS
from predictor.logs.plays import PlaysLog
from predictor.viewing.course import Course, Floats, Ints, course_of
from predictor.viewing.draw import draw_log
from predictor.viewing.fitted import fitted_behaviour
from simulation.scenario import AudienceSpec, ViewerSpec

_DAYS = 28.0
_EPISODE_S = 25 * 60.0
_FILM_S = 95 * 60.0
_SPARE = 2  # viewers drawn for each one wanted: some do not come within the days


class ScenarioShelf:
    """The titles of a scenario, each as likely as the other."""

    def __init__(self, series: Mapping[str, Sequence[Title]], films: Sequence[Title]) -> None:
        if not series or not films:
            raise InputError("a generated audience needs at least one series and one film")
        self.series = [tuple(series[name]) for name in sorted(series)]
        self.films = tuple(films)
        self.episode_count: Ints = np.array([len(episodes) for episodes in self.series])
        self.season_length = self.episode_count
        # Behaviour goes by shares of a title: a scenario's may be far shorter than real ones.
        self.episode_s: Floats = np.full(len(self.series), _EPISODE_S)
        self.film_s: Floats = np.full(len(self.films), _FILM_S)

    def pick_series(self, start_s: Floats, region: Ints, rng: np.random.Generator) -> Ints:
        return rng.integers(0, len(self.series), len(start_s))

    def pick_film(self, start_s: Floats, region: Ints, rng: np.random.Generator) -> Ints:
        return rng.integers(0, len(self.films), len(start_s))

    def title_of(self, log: PlaysLog, play: int) -> Title:
        """The generator names a title `s00002-s01e03` or `f00001`, by its number on the shelf."""
        name = log.titles[int(log.title[play])]
        if log.series[play] < 0:
            return self.films[int(name[1:])]
        return self.series[int(name[1:].split("-")[0])][int(log.episode[play]) - 1]


def generated_audience(
    audience: AudienceSpec, titles: Mapping[str, Title], seeds: Seeds
) -> tuple[ViewerSpec, ...]:
    series: dict[str, list[Title]] = {}
    for title in titles.values():
        if title.series is not None:
            series.setdefault(title.series, []).append(title)
    for episodes in series.values():
        episodes.sort(key=lambda title: (title.season_no or 0, title.episode_no or 0))
    films = sorted((t for t in titles.values() if t.series is None), key=lambda title: title.id)
    shelf = ScenarioShelf(series, films)
    log = draw_log(
        fitted_behaviour(),
        shelf,
        viewers=audience.viewer_count * (1 if audience.days else _SPARE),
        days=audience.days or _DAYS,
        seeds=seeds,
        stream="audience/plays",
    )
    course = course_of(log)
    if audience.days:
        first = np.flatnonzero(np.diff(course.sitting, prepend=-1))
    else:
        first = np.flatnonzero(course.is_first)[: audience.viewer_count]
    draw = seeds.stream("audience/links")
    specs: list[ViewerSpec] = []
    for number, at in enumerate(first.tolist(), start=1):
        start_s = float(draw.uniform(0, audience.arrival_s))
        if audience.days:
            start_s = float(course.log.start_s[at] - course.log.start_s.min())
        link = audience.last_miles[int(draw.integers(len(audience.last_miles)))]
        parts = list(_parts(course, at))
        for part_no, plays in enumerate(parts, start=1):
            start_s += float(course.gap_s[plays[0]]) if part_no > 1 else 0.0
            played = [shelf.title_of(course.log, play) for play in plays]
            share = float(course.completion[plays[-1]])
            gaps = course.gap_s[plays[1:]]
            leaves_after_s = max(1.0, min(share, 1.0) * played[-1].duration_s)
            specs.append(
                ViewerSpec(
                    id=f"a{number:05d}" + (f".{part_no}" if len(parts) > 1 else ""),
                    titles=tuple(title.id for title in played),
                    last_mile=link,
                    start_s=start_s,
                    gap_s=float(gaps.mean()) if len(gaps) else audience.gap_s,
                    leaves_after_s=None if share >= FINISHED_PROGRESS else leaves_after_s,
                )
            )
            start_s += sum(title.duration_s for title in played[:-1]) + float(gaps.sum())
            start_s += leaves_after_s
    return tuple(specs)


def _parts(course: Course, first: int) -> Iterator[list[int]]:
    """The plays of the sitting that begins there, cut after each that was left early."""
    part: list[int] = []
    play = first
    while play < len(course) and course.sitting[play] == course.sitting[first]:
        part.append(play)
        if not course.is_finished[play]:
            yield part
            part = []
        play += 1
    if part:
        yield part
