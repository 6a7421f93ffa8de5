"""What the demo watches: a small evening, the same for every side.

Two series of three episodes and two films, sixteen viewers. Twelve watch a series to its end, two
give up past the middle of an episode, so that not all that is foreseen need be watched, and two
watch films, for which there is nothing to foresee. Viewers of a series do not start together, so
that even without prefetch the later ones find what the first one fetched.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from simulation.link_shape import LinkShape
from simulation.scenario import ViewerSpec

# Seconds between the end of an episode and the start of the next, as autoplay leaves.
AUTOPLAY_GAP_S = 1.0
EPISODE_S = 20.0
ARRIVAL_S = 0.6  # between one viewer and the next
FILM_S = 24.0
# Small pictures and a quick encoder: the catalogue is made on the user's machine, while they wait.
PICTURE = (640, 360)
FRAME_RATE = 24
RUNGS = ("144p", "216p", "360p")
PRESET = "ultrafast"

# The same on both sides of the comparison; each way, as to an origin on another continent.
BACKHAUL = LinkShape(rate_kbps=8_000.0, delay_ms=50.0)
# Each way, between a viewer and the edge.
LAST_MILE_DELAY_MS = {"fibre": 4.0, "cable": 8.0, "wifi": 10.0, "mobile": 25.0}

SIDES = ("off", "on")
"""Of the comparison: prefetch off, prefetch on."""


class DemoTitle(msgspec.Struct, frozen=True, kw_only=True):
    """A title of the demo's catalogue. `seed` draws its pictures when no footage is given."""

    id: str
    name: str
    duration_s: float
    seed: int
    series: str | None = None
    season_no: int | None = None
    episode_no: int | None = None


class DemoPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Viewers and links are a scenario's: the live side and its twin are made of the same ones."""

    titles: tuple[DemoTitle, ...]
    viewers: tuple[ViewerSpec, ...]
    backhaul: LinkShape


def _episode(series: str, episode_no: int, seed: int) -> DemoTitle:
    return DemoTitle(
        id=f"{series}-s01e{episode_no:02d}",
        name=f"{series.capitalize()}, episode {episode_no}",
        duration_s=EPISODE_S,
        seed=seed,
        series=series,
        season_no=1,
        episode_no=episode_no,
    )


HARBOUR = tuple(_episode("harbour", number, 10 + number) for number in (1, 2, 3))
ORCHARD = tuple(_episode("orchard", number, 20 + number) for number in (1, 2, 3))
FILMS = (
    DemoTitle(id="tide", name="Tide", duration_s=FILM_S, seed=31),
    DemoTitle(id="lantern", name="Lantern", duration_s=FILM_S, seed=32),
)


def demo_plan() -> DemoPlan:
    harbour = tuple(title.id for title in HARBOUR)
    orchard = tuple(title.id for title in ORCHARD)
    watchers: tuple[tuple[str, tuple[str, ...], Literal["dash", "hls"], float | None], ...] = (
        ("fibre", harbour, "dash", None),
        ("wifi", orchard, "dash", None),
        ("mobile", ("tide", "lantern"), "dash", None),
        ("cable", harbour, "hls", None),
        ("mobile", orchard, "dash", None),
        ("wifi", harbour, "dash", None),
        ("cable", orchard[:2], "dash", EPISODE_S * 0.55),
        ("mobile", harbour, "dash", None),
        ("fibre", orchard, "hls", None),
        ("wifi", ("lantern",), "dash", None),
        ("cable", harbour, "dash", None),
        ("wifi", orchard, "dash", None),
        ("mobile", harbour[:1], "dash", EPISODE_S * 0.6),
        ("cable", orchard, "dash", None),
        ("wifi", harbour, "hls", None),
        ("mobile", orchard, "hls", None),
    )
    viewers = tuple(
        ViewerSpec(
            id=f"v{number:02d}",
            titles=titles,
            last_mile=LinkShape(
                trace=last_mile,
                # Viewers of one kind of link are not in the same place: each begins elsewhere in
                # it.
                offset_s=float(number * 37 % 240),
                delay_ms=LAST_MILE_DELAY_MS[last_mile],
            ),
            start_s=number * ARRIVAL_S,
            gap_s=AUTOPLAY_GAP_S,
            protocol=protocol,
            leaves_after_s=leaves_after_s,
        )
        for number, (last_mile, titles, protocol, leaves_after_s) in enumerate(watchers)
    )
    return DemoPlan(titles=(*HARBOUR, *ORCHARD, *FILMS), viewers=viewers, backhaul=BACKHAUL)
