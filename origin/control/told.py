"""What edges reported, numbered as the forecast wants it, hour by hour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.units import HOUR_S, bytes_per_s_from_kbps
from origin.control.ladder import Ladder
from origin.placement.demand import WATCHED_BINS, Floats, HourDemand, Ints
from origin.placement.files import Files
from origin.telemetry.demand import DemandColumns, WantedColumns
from origin.telemetry.watched import WatchedTitle


class Told(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What edges reported."""

    demand: DemandColumns
    wanted: WantedColumns
    watched: tuple[WatchedTitle, ...] = ()


class ToldHours:
    """The reports, hour by hour, numbered as the forecast wants them."""

    def __init__(
        self,
        ladder: Ladder,
        files: Files,
        told: Told,
        edges: Sequence[str],
        link_kbps: Floats,  # (edge,)
    ) -> None:
        wanted = told.wanted
        self._titles = len(ladder.titles)
        edge_no = {name: index for index, name in enumerate(edges)}
        edge = _numbers(told.demand.edges, edge_no)[told.demand.edge]
        demand = _within_links(told.demand, edge, link_kbps)
        places = _places(demand, ladder, files.rows())
        row, at = places[:, 0], places[:, 1]
        self._file_count = len(files)
        self._report_edge, self._report_file = edge, places[:, 2]
        self._report_wall_s = demand.hour_wall_s
        self._report_pulled = np.maximum(0.0, demand.client_bytes - demand.resident_bytes)
        self._sound = _sound_bytes(demand, ladder, row, places[:, 3])
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


def _within_links(demand: DemandColumns, edge: Ints, link_kbps: Floats) -> DemandColumns:
    """An hour of an edge that tells of more than its link carries, in the same shares: one edge
    that is broken, or lies, would rule what is forecast for all."""
    if not len(edge):
        return demand
    hour = (demand.hour_wall_s - demand.hour_wall_s[0]) // HOUR_S  # rows are in their order
    hours = int(hour[-1]) + 1
    key = np.maximum(edge, 0) * hours + hour
    is_ours = edge >= 0
    sent = np.bincount(key[is_ours], demand.client_bytes[is_ours], len(link_kbps) * hours)
    most = np.repeat(HOUR_S * bytes_per_s_from_kbps(1.0) * link_kbps, hours)
    if (sent <= most).all():
        return demand
    part = np.minimum(1.0, most / np.maximum(sent, 1.0))[key]
    return msgspec.structs.replace(
        demand,
        client_bytes=demand.client_bytes * part,
        resident_bytes=demand.resident_bytes * part,
        session_count=demand.session_count * part,
    )


def _sound_bytes(
    demand: DemandColumns, ladder: Ladder, row: Ints, sound: Ints
) -> dict[int, Floats]:
    count = max((len(one) for one in ladder.sounds), default=1) or 1
    is_sound = (row >= 0) & (sound >= 0)
    keys, of = np.unique(row[is_sound] * count + sound[is_sound], return_inverse=True)
    sums_of = np.bincount(of, demand.client_bytes[is_sound], len(keys))
    taken: dict[int, Floats] = {}
    for key, size_bytes in zip(keys.tolist(), sums_of.tolist(), strict=True):
        title = key // count
        sums = taken.setdefault(title, np.zeros(len(ladder.sounds[title])))
        sums[key % count] += size_bytes
    return {title: sums / sums.sum() for title, sums in taken.items() if sums.sum() > 0}


def _places(
    demand: DemandColumns, ladder: Ladder, files: Mapping[tuple[str, str], int]
) -> Ints:  # (row, 4)
    """Row of the title, place in its ladder, file, and number of its sound of each report; -1: of
    none of ours. What an earlier edition was asked for counts for the title and is no file."""
    count = max(1, len(demand.renditions))
    keys, of = np.unique(
        demand.title.astype(np.int64) * count + demand.rendition, return_inverse=True
    )
    found = np.full((len(keys), 4), -1, dtype=np.int64)
    for number, key in enumerate(keys.tolist()):
        title, rendition = demand.titles[key // count], demand.renditions[key % count]
        row = ladder.row.get(title)
        if row is not None:
            at, sound = ladder.stands_for(row, rendition)
            found[number] = row, at, files.get((title, rendition), -1), sound
    places: Ints = found[of]
    return places


def _numbers(names: Sequence[str], known: dict[str, int]) -> NDArray[np.int64]:
    """The number of each name; -1: there is none."""
    return np.array([known.get(name, -1) for name in names], dtype=np.int64)
