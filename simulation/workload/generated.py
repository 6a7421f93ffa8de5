"""Whole logs of plays: a catalogue and the viewers of it, by one seed."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from nearcast.errors import InputError
from nearcast.seeds import Seeds
from nearcast.units import DAY_S, HOUR_S
from predictor.logs.plays import PlaysLog
from predictor.viewing.behaviour import Behaviour
from predictor.viewing.draw import Region, draw_log
from predictor.viewing.fit import FIT_DAYS, fit
from predictor.viewing.fitted import fitted_behaviour
from predictor.viewing.statistics import ViewingStatistics
from predictor.viewing.viewers import Crowd
from simulation.workload.catalogue import Catalogue, CatalogueSpec
from simulation.workload.concentration import SHARES, top_share

REGIONS = (
    Region(name="north", share=0.4),
    Region(name="south", share=0.3),
    Region(name="east", share=0.2, utc_offset_h=1.0),
    Region(name="west", share=0.1, utc_offset_h=-1.0),
)
CROWD_SHARE = 0.05
"""Of the viewers who are free, those whom a flash crowd draws; assumed."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a log holds, at a glance."""

    plays: int
    viewers: int  # who played anything
    titles: int  # episodes and films asked for
    asked_once_share: float  # of these titles
    hours: float
    episode_share: float  # of the plays
    completed_share: float  # plays that reached 90 % of the run time
    hours_in_top: dict[str, float]  # share of the hours held by that share of seasons and films


def shelf_of(*, seed: int, days: float, catalogue: CatalogueSpec, regions: int) -> Catalogue:
    """What `generate` lets its viewers choose from."""
    return Catalogue(
        catalogue,
        weeks=math.ceil(days / 7.0),
        regions=regions,
        rng=Seeds(seed).stream("workload/catalogue"),
    )


def generate(
    *,
    seed: int,
    viewers: int,
    days: float,
    catalogue: CatalogueSpec | None = None,
    behaviour: Behaviour | None = None,
    regions: tuple[Region, ...] = REGIONS,
    crowd_count: int = 0,
) -> PlaysLog:
    """All plays of a service in that time; the same arguments give the same log."""
    seeds = Seeds(seed)
    shelf = shelf_of(
        seed=seed, days=days, catalogue=catalogue or CatalogueSpec(), regions=len(regions)
    )
    draw = seeds.stream("workload/crowds")
    return draw_log(
        behaviour or fitted_behaviour(),
        shelf,
        viewers=viewers,
        days=days,
        seeds=seeds,
        regions=regions,
        crowds=[
            Crowd(
                at_s=float(draw.uniform(0.0, days * DAY_S)),
                film=int(draw.integers(len(shelf.film_s))),
                share=CROWD_SHARE,
            )
            for _ in range(crowd_count)
        ],
        stream="workload/viewers",
    )


SERIES_VIEWERS = 613
SERIES_DAYS = 364.0
SERIES_CATALOGUE = CatalogueSpec(
    title_count=135_000, popularity_power=1.27, level_share=0.0005, new_share=0.0
)
_SERIES_ABSENCE_H_MAX = 1050.0


def series_workload(
    seed: int, *, viewers: int = SERIES_VIEWERS, days: float = SERIES_DAYS
) -> PlaysLog:
    """A year of 613 viewers, made to repeat a measured replay's figures (docs/simulate.md).

    That replay folded many calendar years onto one, so it shows no releases and little of what
    many watch at once; its viewers were spread over the world and over niches. A year in which
    somebody was away for most of it counted for little: absences are cut.
    """
    behaviour = fitted_behaviour()
    gap_h = tuple(min(hours, _SERIES_ABSENCE_H_MAX) for hours in behaviour.gap_h)
    return generate(
        seed=seed,
        viewers=viewers,
        days=days,
        catalogue=SERIES_CATALOGUE,
        behaviour=msgspec.structs.replace(behaviour, gap_h=gap_h),
    )


def series_shelf(seed: int, *, days: float = SERIES_DAYS) -> Catalogue:
    """What the viewers of `series_workload` choose from."""
    return shelf_of(seed=seed, days=days, catalogue=SERIES_CATALOGUE, regions=len(REGIONS))


def behaviour_for(
    statistics: ViewingStatistics | None, *, seed: int, probe_share: float = 0.0
) -> Behaviour:
    """The behaviour that comes with the package, or one fitted to statistics of one's own."""
    behaviour = fitted_behaviour()
    if statistics is not None:
        # On a catalogue as it will be drawn of: what is popular decides a part of the figures.
        shelf = shelf_of(seed=seed, days=FIT_DAYS, catalogue=CatalogueSpec(), regions=1)
        behaviour = fit(behaviour, statistics, shelf, seeds=Seeds(seed))
    return msgspec.structs.replace(behaviour, probe_share=probe_share)


def summary(log: PlaysLog) -> Summary:
    if not len(log):
        raise InputError("nobody watched anything: let more viewers watch for longer")
    counts = np.bincount(log.title, minlength=len(log.titles))
    # A season or a film, as tables of a service's hours count.
    seasons = log.series * (int(log.season.max()) + 1) + log.season
    units = np.where(log.series >= 0, seasons, -1 - log.title)
    _, unit = np.unique(units, return_inverse=True)
    hours = np.bincount(unit, log.watched_s) / HOUR_S
    return Summary(
        plays=len(log),
        viewers=len(np.unique(log.viewer)),
        titles=int((counts > 0).sum()),
        asked_once_share=float((counts == 1).sum() / (counts > 0).sum()),
        hours=float(hours.sum()),
        episode_share=float((log.series >= 0).mean()),
        completed_share=float((log.watched_s >= 0.9 * log.runtime_s).mean()),
        hours_in_top={f"{share:g}": top_share(hours, share) for share, _ in SHARES[:-1]},
    )


def summary_lines(found: Summary) -> list[str]:
    tops = ", ".join(
        f"{100 * float(share):g} %: {100 * held:.0f} %"
        for share, held in found.hours_in_top.items()
    )
    return [
        f"{found.plays} plays by {found.viewers} viewers, {found.hours:.0f} hours",
        f"{found.titles} episodes and films, {100 * found.asked_once_share:.0f} % asked for once",
        f"{100 * found.episode_share:.0f} % episodes, "
        f"{100 * found.completed_share:.0f} % of plays completed",
        f"hours in the top of them: {tops}",
    ]
