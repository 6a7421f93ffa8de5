"""From what edges reported to what a plan is made from.

The forecast counts viewings of titles and how they spread over renditions; a viewing also takes
sound, of which it is reported which rendition. So pictures are forecast, by their place in the
ladder, and a rendition of sound is worth the viewings of its title times its share of the sound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.fleet import Duty, EdgeProfile, Storage
from nearcast.local_time import LocalTime
from nearcast.placement import EdgePlan
from nearcast.telemetry import HEAD_S
from origin.catalog import Title
from origin.control.held import held_bytes
from origin.control.ladder import Ladder, titles_of
from origin.control.watching import watched_parts
from origin.placement.demand import WATCHED_BINS, Floats, HourDemand, Ints, Titles
from origin.placement.files import Files, files_of_titles
from origin.placement.forecast import Forecast, Forecaster, file_values
from origin.placement.inputs import EdgeInput, PlanInputs
from origin.placement.settings import PlanSettings
from origin.telemetry.demand import DemandColumns, WantedColumns
from origin.telemetry.watched import WatchedTitle

HOUR_S: Final = 3_600
DAY_HOURS: Final = 24
DAY_S: Final = 86_400.0


class PlannedEdge(msgspec.Struct, frozen=True, kw_only=True):
    """An edge of the fleet, as a plan needs it."""

    edge: str
    profile: EdgeProfile
    clock: LocalTime | None = None
    """Of its viewers; None: the offset in its profile holds."""
    duty: Duty
    is_up: bool
    storage: Storage | None
    plan: EdgePlan | None = None
    """By which it works."""
    plan_files_held: int = 0
    past_filled_bytes: float = 0.0
    """What it fetched for plans within the days that are looked at."""
    enrolled_wall_s: float = 0.0


class Told(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What edges reported."""

    demand: DemandColumns
    wanted: WantedColumns
    watched: tuple[WatchedTitle, ...] = ()


def plan_inputs(
    titles: Sequence[Title],
    told: Told,
    edges: Sequence[PlannedEdge],
    *,
    wall_s: float,
    history_days: int,
    settings: PlanSettings,
) -> PlanInputs:
    """`told` reaches `history_days` back."""
    titles = sorted(titles, key=lambda title: title.id)
    files = files_of_titles(titles, HEAD_S)
    ladder = Ladder(titles)
    now_hour = int(wall_s // HOUR_S)
    first_hour = now_hour - 24 * history_days
    if len(told.demand.hour_wall_s):
        # Hours before anybody reported are no hours in which nothing was wanted.
        first_hour = max(first_hour, int(told.demand.hour_wall_s[0]) // HOUR_S)
    known = titles_of(titles, ladder, first_hour)
    names = [edge.edge for edge in edges]
    hours = _Hours(ladder, files, told, names)
    enrolled_hour = np.array([edge.enrolled_wall_s for edge in edges]) / HOUR_S
    forecaster = Forecaster(
        known,
        len(edges),
        first_hour=first_hour,
        known_since=np.minimum(enrolled_hour, hours.first_report()),
    )
    # The hour that is not over would pass for a quiet one; but of today's fleet it may be all.
    end_hour = now_hour + (now_hour - first_hour < DAY_HOURS)
    for hour in range(first_hour, end_hour):
        demand = hours.demand(hour)
        if hour == end_hour - 1:
            watched = watched_parts(known, ladder.row, told.watched)
            demand = msgspec.structs.replace(demand, watched=watched)
        forecaster.take(demand)
    forecast = forecaster.forecast()
    values = _Values(files, ladder, known, forecast, hours)
    days = settings.valid_s / DAY_S
    return PlanInputs(
        files=files,
        edges=tuple(
            _edge_input(edge, index, files, values, hours, days) for index, edge in enumerate(edges)
        ),
        wall_s=wall_s,
        settings=settings,
    )


def _edge_input(
    edge: PlannedEdge, index: int, files: Files, values: _Values, hours: _Hours, days: float
) -> EdgeInput:
    whole, head = values.of(index)
    return EdgeInput(
        edge=edge.edge,
        profile=edge.profile,
        clock=edge.clock,
        duty=edge.duty,
        is_up=edge.is_up,
        storage=edge.storage,
        value_bytes=whole * days,
        head_value_bytes=head * days,
        held_bytes=held_bytes(
            files,
            edge.plan,
            edge.plan_files_held,
            hours.pulled_bytes(index, edge.plan.made_wall_s if edge.plan else 0.0),
            edge.storage,
        ),
        # All that is expected to be taken would be saved if all were held.
        served_bytes=float(whole.sum() * days),
        past_served_bytes=float(hours.served_bytes[index]),
        past_filled_bytes=edge.past_filled_bytes,
        guess_share=values.guess_share(index),
    )


class _Hours:
    """The reports, hour by hour, numbered as the forecast wants them."""

    def __init__(self, ladder: Ladder, files: Files, told: Told, edges: Sequence[str]) -> None:
        demand, wanted = told.demand, told.wanted
        self._titles = len(ladder.titles)
        edge_no = {name: index for index, name in enumerate(edges)}
        edge = _numbers(demand.edges, edge_no)[demand.edge]
        known = {key: (*ladder.place[key], file) for key, file in files.rows().items()}
        places = _places(demand, known)
        row, at = places[:, 0], places[:, 1]
        self._file_count = len(files)
        self._report_edge, self._report_file = edge, places[:, 2]
        self._report_wall_s = demand.hour_wall_s
        self._report_pulled = np.maximum(0.0, demand.client_bytes - demand.resident_bytes)
        self._sound = _sound_bytes(demand, ladder, row, at)
        self.served_bytes = np.bincount(
            edge[edge >= 0], demand.client_bytes[edge >= 0], minlength=len(edges)
        )
        is_known = (edge >= 0) & (row >= 0)
        self._hour = demand.hour_wall_s[is_known] // HOUR_S
        self._edge, self._title = edge[is_known], row[is_known]
        self._edge_count = len(edges)
        self._at = at[is_known]
        self._sessions = demand.session_count[is_known]
        size = ladder.sizes[self._title, np.maximum(self._at, 0)]
        self._watched = np.where(
            (self._at >= 0) & (size > 0),
            demand.client_bytes[is_known] / np.maximum(size, 1.0),
            0.0,
        )
        next_edge = _numbers(wanted.edges, edge_no)[wanted.edge]
        next_row = _numbers(wanted.titles, ladder.row)[wanted.title]
        is_known = (next_edge >= 0) & (next_row >= 0)
        self._next_hour = wanted.hour_wall_s[is_known] // HOUR_S
        self._next = (
            next_edge[is_known],
            next_row[is_known],
            wanted.session_count[is_known],
        )

    def pulled_bytes(self, edge: int, since_wall_s: float) -> Floats:  # (file,)
        """What an edge's viewers were given of each file that was not there before."""
        is_it = (self._report_edge == edge) & (self._report_file >= 0)
        is_it &= self._report_wall_s > since_wall_s - HOUR_S
        pulled: Floats = np.bincount(
            self._report_file[is_it], self._report_pulled[is_it], self._file_count
        ).astype(np.float64)
        return pulled

    def first_report(self) -> Floats:  # (edge,)
        """The hour of each edge's first; inf: there is none."""
        first = np.full(self._edge_count, np.inf)
        np.minimum.at(first, self._edge, self._hour.astype(np.float64))
        return first

    def sound_share(self, title: int) -> Floats | None:
        """Of the sound of a title, what each of its renditions was; None: nobody said."""
        return self._sound.get(title)

    def demand(self, hour: int) -> HourDemand:
        found = slice(*np.searchsorted(self._hour, (hour, hour + 1)))
        edge, title, at = self._edge[found], self._title[found], self._at[found]
        key = edge * self._titles + title
        # A viewing is reported where it began; the bytes say which rungs it was on.
        names, of = np.unique(key, return_inverse=True)
        begun = np.bincount(of, self._sessions[found], minlength=len(names))
        watched = np.bincount(of, self._watched[found], minlength=len(names))
        # Where nothing but sound is reported yet, the lowest rung stands for the picture.
        is_first = np.zeros(len(key), dtype=np.bool_)
        is_first[np.unique(key, return_index=True)[1]] = True
        share = np.where(
            watched[of] > 0, self._watched[found] / np.maximum(watched[of], 1e-12), is_first
        )
        counts = begun[of] * share
        rows = np.flatnonzero(counts > 0)
        following = slice(*np.searchsorted(self._next_hour, (hour, hour + 1)))
        return HourDemand(
            edge=edge[rows],
            title=title[rows],
            rendition=np.maximum(at[rows], 0),
            sessions=counts[rows].astype(np.float64),
            next_edge=self._next[0][following],
            next_title=self._next[1][following],
            next_sessions=self._next[2][following],
            watched=np.zeros((2, WATCHED_BINS)),
        )


class _Values:
    """What holding each file saves an edge in a day."""

    def __init__(
        self, files: Files, ladder: Ladder, known: Titles, forecast: Forecast, hours: _Hours
    ) -> None:
        self._known, self._forecast = known, forecast
        places = [ladder.place[key] for key in zip(files.titles, files.renditions, strict=True)]
        self._row = np.array([row for row, _ in places], dtype=np.int64)
        self._at = np.array([at for _, at in places], dtype=np.int64)
        self._size = files.size_bytes.astype(np.float64)
        share = files.head_bytes / np.maximum(self._size, 1.0)
        self._head = np.zeros(known.size_bytes.shape)
        is_picture = self._at >= 0
        self._head[self._row[is_picture], self._at[is_picture]] = share[is_picture]
        self._sound_part = np.array(
            [
                _sound_part(title, rendition, ladder, hours) if at < 0 else 0.0
                for title, rendition, at in zip(
                    files.titles, files.renditions, self._at, strict=True
                )
            ],
            dtype=np.float64,
        )

    def guess_share(self, edge: int) -> float:
        return float(self._forecast.guess_share[edge])

    def of(self, edge: int) -> tuple[Floats, Floats]:
        """(file,): of the whole, and of its head."""
        whole, head = file_values(self._forecast, self._known, edge, self._head)
        at = np.maximum(self._at, 0)
        sizes = np.maximum(self._known.size_bytes, 1.0)
        # Viewings in full lengths, of whichever rung: what sound they take is the same.
        lengths = (whole / sizes).sum(axis=1)[self._row]
        head_part = (head.sum(axis=1) / np.maximum(whole.sum(axis=1), 1e-12))[self._row]
        sound = lengths * self._sound_part * self._size
        is_picture = self._at >= 0
        values = np.where(is_picture, whole[self._row, at], sound)
        heads = np.where(is_picture, head[self._row, at], sound * head_part)
        return values, heads


def _sound_part(title: str, rendition: str, ladder: Ladder, hours: _Hours) -> float:
    row = ladder.row[title]
    names = [one.rendition.id for one in ladder.sounds[row]]
    share = hours.sound_share(row)
    if share is None:
        return 1.0 / len(names)
    return float(share[names.index(rendition)])


def _sound_bytes(demand: DemandColumns, ladder: Ladder, row: Ints, at: Ints) -> dict[int, Floats]:
    taken: dict[int, Floats] = {}
    for index in np.flatnonzero((row >= 0) & (at < 0)):
        title = int(row[index])
        names = [one.rendition.id for one in ladder.sounds[title]]
        sums = taken.setdefault(title, np.zeros(len(names)))
        sums[names.index(demand.renditions[demand.rendition[index]])] += demand.client_bytes[index]
    return {title: sums / sums.sum() for title, sums in taken.items() if sums.sum() > 0}


def _places(
    demand: DemandColumns, known: Mapping[tuple[str, str], tuple[int, int, int]]
) -> Ints:  # (row, 3)
    """Row of the title, place in its ladder and file of each report; -1: of none of ours."""
    count = max(1, len(demand.renditions))
    keys, of = np.unique(
        demand.title.astype(np.int64) * count + demand.rendition, return_inverse=True
    )
    found = np.array(
        [
            known.get((demand.titles[key // count], demand.renditions[key % count]), (-1, -1, -1))
            for key in keys
        ],
        dtype=np.int64,
    ).reshape(-1, 3)
    places: Ints = found[of]
    return places


def _numbers(names: Sequence[str], known: dict[str, int]) -> NDArray[np.int64]:
    """The number of each name; -1: there is none."""
    return np.array([known.get(name, -1) for name in names], dtype=np.int64)
