"""What the demo watches: a small evening, the same for every side.

Two series of three episodes and two films, ten viewers. Eight watch through a series; one of them
gives up half-way through the second episode, so that some of what was foreseen is not watched.
Two watch films, for which there is nothing to foresee. Viewers of a series do not start together,
so that even without prefetch the later ones find what the first one fetched.
"""

from __future__ import annotations

from typing import Literal

import msgspec

# Seconds between the end of an episode and the start of the next, as autoplay leaves.
AUTOPLAY_GAP_S = 1.0
EPISODE_S = 20.0
FILM_S = 24.0
# Small pictures and a quick encoder: the catalogue is made on the user's machine, while they wait.
PICTURE = (640, 360)
FRAME_RATE = 24
RUNGS = ("144p", "216p", "360p")
PRESET = "ultrafast"


class DemoTitle(msgspec.Struct, frozen=True, kw_only=True):
    """A title of the demo's catalogue. `seed` draws its pictures when no footage is given."""

    id: str
    name: str
    duration_s: float
    seed: int
    series: str | None = None
    season_no: int | None = None
    episode_no: int | None = None


class DemoViewer(msgspec.Struct, frozen=True, kw_only=True):
    """One viewer: when they start, behind which link, and what they watch in a row.

    `leaves_after_s`: how much of the last title they watch, None for all of it.
    """

    id: str
    start_s: float
    last_mile: str
    titles: tuple[str, ...]
    leaves_after_s: float | None = None
    protocol: Literal["dash", "hls"] = "dash"


class Backhaul(msgspec.Struct, frozen=True, kw_only=True):
    """The link between an edge and the origin, the same on both sides of the comparison."""

    rate_kbps: float = 8_000.0
    delay_ms: float = 50.0  # each way: an origin on another continent


# Each way, between a viewer and the edge.
LAST_MILE_DELAY_MS = {"fibre": 4.0, "cable": 8.0, "wifi": 10.0, "mobile": 25.0}


class DemoPlan(msgspec.Struct, frozen=True, kw_only=True):
    titles: tuple[DemoTitle, ...]
    viewers: tuple[DemoViewer, ...]
    backhaul: Backhaul


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
    viewers = (
        DemoViewer(id="v01", start_s=0.0, last_mile="fibre", titles=harbour),
        DemoViewer(id="v02", start_s=1.0, last_mile="wifi", titles=orchard),
        DemoViewer(id="v03", start_s=2.0, last_mile="mobile", titles=("tide", "lantern")),
        DemoViewer(id="v04", start_s=3.0, last_mile="cable", titles=harbour, protocol="hls"),
        DemoViewer(id="v05", start_s=4.0, last_mile="mobile", titles=orchard),
        DemoViewer(id="v06", start_s=5.0, last_mile="wifi", titles=harbour),
        DemoViewer(
            id="v07",
            start_s=6.0,
            last_mile="cable",
            titles=orchard[:2],
            leaves_after_s=EPISODE_S * 0.55,
        ),
        DemoViewer(id="v08", start_s=7.0, last_mile="mobile", titles=harbour),
        DemoViewer(id="v09", start_s=8.0, last_mile="fibre", titles=orchard, protocol="hls"),
        DemoViewer(id="v10", start_s=9.0, last_mile="wifi", titles=("lantern",)),
    )
    return DemoPlan(titles=(*HARBOUR, *ORCHARD, *FILMS), viewers=viewers, backhaul=Backhaul())
