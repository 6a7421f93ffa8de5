"""Whole logs of plays: a catalogue and the viewers of it, by one seed."""

from __future__ import annotations

import math

from nearcast.seeds import Seeds
from predictor.logs.plays import PlaysLog
from predictor.viewing.behaviour import Behaviour
from predictor.viewing.draw import Region, draw_log
from predictor.viewing.fitted import fitted_behaviour
from simulation.workload.catalogue import Catalogue, CatalogueSpec

REGIONS = (
    Region(name="north", share=0.4),
    Region(name="south", share=0.3),
    Region(name="east", share=0.2),
    Region(name="west", share=0.1),
)


def generate(
    *,
    seed: int,
    viewers: int,
    days: float,
    catalogue: CatalogueSpec | None = None,
    behaviour: Behaviour | None = None,
    regions: tuple[Region, ...] = REGIONS,
) -> PlaysLog:
    """All plays of a service in that time; the same arguments give the same log."""
    seeds = Seeds(seed)
    shelf = Catalogue(
        catalogue or CatalogueSpec(),
        weeks=math.ceil(days / 7.0),
        regions=len(regions),
        rng=seeds.stream("workload/catalogue"),
    )
    return draw_log(
        behaviour or fitted_behaviour(),
        shelf,
        viewers=viewers,
        days=days,
        seeds=seeds,
        regions=regions,
        stream="workload/viewers",
    )


def series_workload(seed: int) -> PlaysLog:
    """A year of 613 viewers, made to repeat a measured replay's figures (docs/simulate.md).

    That replay folded many calendar years onto one, so it shows no releases and little of what
    many watch at once; its viewers were spread over the world and over niches.
    """
    return generate(
        seed=seed,
        viewers=613,
        days=364.0,
        catalogue=CatalogueSpec(title_count=90_000, popularity_power=1.15, new_share=0.0),
    )
