"""What is simulated: a catalogue, edges on backhauls, viewers on last miles.

A scenario is a TOML file. Titles are generated (`[catalog]`) or given (`[[titles]]`, with explicit
segment sizes if wanted); viewers are given (`[[viewers]]`) or generated (`[audience]`). A viewer
whose `edge` is `*` is put on every edge, with the same last mile and the same plan, so that edges
can be compared viewer by viewer.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import msgspec

from edge.pacing import HITS_DELAY_S
from nearcast.config import Section
from nearcast.errors import InputError
from simulation.faults import EVERYWHERE, FaultSpec, RandomFaults
from simulation.link_shape import LinkShape

Setting = str | int | float | bool

EVERY_EDGE = "*"
SHIPPED_SCENARIOS = ("evening", "week", "outage", "faults")


class RenditionSpec(Section, frozen=True, kw_only=True):
    """A rendition given in full: the size of every segment."""

    id: str
    kind: str = "video"
    segment_bytes: tuple[int, ...]
    init_bytes: int = 800
    average_kbps: float | None = None  # computed from the sizes when not given


class TitleSpec(Section, frozen=True, kw_only=True):
    """One title. Without `renditions` its segment sizes are drawn as those of `[catalog]` are."""

    id: str
    name: str = ""
    duration_s: float
    segment_s: float = 4.0
    series: str | None = None
    season_no: int | None = None
    episode_no: int | None = None
    renditions: tuple[RenditionSpec, ...] = ()

    def __post_init__(self) -> None:
        if not (self.duration_s > 0 and self.segment_s > 0):
            raise ValueError(f"title {self.id}: duration_s and segment_s must be above 0")
        numbers = (self.series, self.season_no, self.episode_no)
        if len({number is None for number in numbers}) > 1:
            raise ValueError(f"title {self.id}: series, season_no, episode_no go together")


class CatalogSpec(Section, frozen=True, kw_only=True):
    """How titles are generated: series of one season each, and films."""

    series_count: int = 0
    episode_count: int = 3
    film_count: int = 0
    episode_s: float = 1200.0
    film_s: float = 5400.0
    segment_s: float = 4.0
    rungs_kbps: tuple[float, ...] = (400.0, 1000.0, 2500.0)
    audio_kbps: float = 96.0  # 0: no audio
    # Standard deviation of the logarithm of segment sizes around the mean of their rung.
    vbr_spread: float = 0.25

    def __post_init__(self) -> None:
        if not self.rungs_kbps or min(self.rungs_kbps) <= 0:
            raise ValueError("rungs_kbps needs at least one rate, all above 0")
        if tuple(sorted(set(self.rungs_kbps))) != self.rungs_kbps:
            raise ValueError("rungs_kbps must rise")
        if not 0 <= self.vbr_spread <= 1:
            raise ValueError(f"vbr_spread must be from 0 to 1, got {self.vbr_spread:g}")
        if min(self.episode_s, self.film_s, self.segment_s) <= 0:
            raise ValueError("episode_s, film_s and segment_s must be above 0")


class EdgeSpec(Section, frozen=True, kw_only=True):
    """One edge. `settings` are those that `nearcast edge --set` takes, by dotted key."""

    name: str
    backhaul: LinkShape
    settings: dict[str, Setting] = msgspec.field(default_factory=dict)


class ViewerSpec(Section, frozen=True, kw_only=True):
    """One viewer, and the titles they watch in a row."""

    id: str
    titles: tuple[str, ...]
    last_mile: LinkShape
    edge: str = EVERY_EDGE
    start_s: float = 0.0
    gap_s: float = 0.0  # between titles
    leaves_after_s: float | None = None  # how much of the last title they watch
    protocol: Literal["dash", "hls"] = "dash"


class AudienceSpec(Section, frozen=True, kw_only=True):
    """Viewers drawn by the seed, the same ones for every edge."""

    viewer_count: int
    kind: Literal["simple", "generated"] = "simple"
    """`generated`: each watches one sitting of the workload generator's viewers, who go on, leave
    and choose as measured ones do; the two shares below and mostly `gap_s` are then not used."""
    arrival_s: float = 60.0  # they begin evenly spread over this time
    days: float = 0.0
    """Above 0, of `generated` viewers: all that they watch within so many days, when they do."""
    series_share: float = 0.8  # who watches a series; the others a film
    abandon_probability: float = 0.1  # of giving up within an episode
    gap_s: float = 3.0
    last_miles: tuple[LinkShape, ...]

    def __post_init__(self) -> None:
        if not 0 < self.viewer_count <= 100_000:
            raise ValueError("viewer_count must be from 1 to 100000")
        for name in ("series_share", "abandon_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, got {getattr(self, name):g}")
        if not self.last_miles:
            raise ValueError("last_miles needs at least one link")


class Costs(Section, frozen=True, kw_only=True):
    """What processing takes, in seconds: assumed once, about what a small node needs. They are part
    of a scenario, so that whoever has measured their own node can say so."""

    hit_s: float = 0.0002  # from request to first byte of a hit
    miss_s: float = 0.001  # the same for everything the edge's core is asked about
    origin_s: float = 0.001
    disk_read_s: float = 0.0005
    predict_s: float = 0.006  # the batch of 5 ms included
    player_s: float = 0.0005  # from the end of one answer to the next request
    hit_batch_s: float = HITS_DELAY_S  # how long a hit waits in the counter ring


class Scenario(Section, frozen=True, kw_only=True):
    """A whole simulated network."""

    seed: int = 1
    duration_s_max: float = 86_400.0
    titles: tuple[TitleSpec, ...] = ()
    catalog: CatalogSpec = CatalogSpec()
    edges: tuple[EdgeSpec, ...]
    viewers: tuple[ViewerSpec, ...] = ()
    audience: AudienceSpec | None = None
    player: dict[str, Setting] = msgspec.field(default_factory=dict)
    costs: Costs = Costs()
    origin_max_age_s: int | None = None
    """How long everything is fresh, instead of what the origin would say."""
    faults: tuple[FaultSpec, ...] = ()
    random_faults: RandomFaults | None = None
    """Beside those given, drawn by the seed."""
    player_connection_limit: int = 6

    def __post_init__(self) -> None:
        names = [edge.name for edge in self.edges]
        if not names or len(set(names)) != len(names):
            raise ValueError("edges need at least one entry, each with a name of its own")
        if not self.viewers and self.audience is None:
            raise ValueError("there is nobody to watch: give viewers or an audience")
        if not self.titles and self.catalog.series_count + self.catalog.film_count == 0:
            raise ValueError("there is nothing to watch: give titles or a catalog")
        for fault in self.faults:
            if fault.edge not in (EVERYWHERE, *names):
                raise ValueError(f"fault {fault.kind}: no edge is called {fault.edge!r}")
        for viewer in self.viewers:
            if viewer.edge not in (EVERY_EDGE, *names):
                raise ValueError(f"viewer {viewer.id}: no edge is called {viewer.edge!r}")
            if not viewer.titles:
                raise ValueError(f"viewer {viewer.id}: titles is empty")


def read_scenario(name_or_path: str | Path) -> Scenario:
    """A shipped scenario by its name, or a file; links name traces relative to the file.

    Raises InputError that names the file and the key.
    """
    path = scenario_path(name_or_path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from error
    return scenario_of(table, str(path))


def scenario_of(table: dict[str, Any], source: str) -> Scenario:
    """The scenario in a decoded TOML table."""
    try:
        return msgspec.convert(table, Scenario)
    except msgspec.ValidationError as error:
        # `Object contains unknown field `x` - at `$.edges[0]`` reads well enough as it is.
        raise InputError(f"{source}: {str(error).replace('`$.', '`')}") from error


def scenario_path(name_or_path: str | Path) -> Path:
    if str(name_or_path) in SHIPPED_SCENARIOS:
        return Path(str(files("simulation.scenarios").joinpath(f"{name_or_path}.toml")))
    path = Path(name_or_path)
    if not path.exists() and path.suffix == "":
        raise InputError(
            f"{str(path)!r} is neither a file nor a shipped scenario "
            f"({', '.join(SHIPPED_SCENARIOS)})"
        )
    return path
