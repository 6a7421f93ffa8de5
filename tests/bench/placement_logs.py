"""Placement on other logs than the one its parameters were chosen on: parts of it, and changed.

    python -m tests.bench.placement_logs --sessions S.csv.xz --catalog C.csv.xz [--json FILE]

Prints the rows of docs/results/placement.md, "Does it hold elsewhere": each is another log, made
from the one that is given, on which LRU, the hybrid and `nearcast` are replayed. What is drawn
comes from a stream named after the row. No part of the test run: it takes some minutes of CPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.seeds import Seeds
from nearcast.units import DAY_S
from simulation.placement.options import Options
from simulation.placement.study import PlacementRow, study
from simulation.placement.trace import trace_of
from simulation.prefetch.segments import SegmentLog, read_columns, read_segment_log

Ints = NDArray[np.int64]
SHARE: Final = 0.05
WARMUP_DAYS: Final = 4
PLANNERS: Final = ("lru", "hybrid", "nearcast")
RELEASES: Final = 30
RELEASE_DAYS: Final = (5, 13)
RELEASE_SHARE: Final = 0.015
"""Of a day's viewings on the film's first day; half as much on each day after it."""


class Viewings(msgspec.Struct, frozen=True, kw_only=True):
    log: SegmentLog
    genre: Ints  # (item,)


Change = Callable[[Viewings, np.random.Generator], Viewings]


class LogRow(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    share: float
    sessions: int
    planners: tuple[PlacementRow, ...]


def _only(of: Viewings, kept: NDArray[np.bool_]) -> Viewings:
    return _sessions(of, np.flatnonzero(kept))


def _sessions(of: Viewings, order: Ints) -> Viewings:
    log, names = of.log, ("start_s", "edge", "viewer", "item", "rendition", "segments")
    taken = {name: getattr(log, name)[order] for name in names}
    return msgspec.structs.replace(of, log=msgspec.structs.replace(log, **taken))


def at_edges(*edges: int) -> Change:
    return lambda of, draws: _only(of, np.isin(of.log.edge, edges))


def half_of_viewers(of: Viewings, draws: np.random.Generator, *, other: bool = False) -> Viewings:
    is_of_first = draws.random(int(of.log.viewer.max()) + 1) < 0.5
    return _only(of, is_of_first[of.log.viewer] != other)


def other_half(of: Viewings, draws: np.random.Generator) -> Viewings:
    return half_of_viewers(of, draws, other=True)


def three_in_ten(of: Viewings, draws: np.random.Generator) -> Viewings:
    return _only(of, draws.random(len(of.log.item)) < 0.3)


def first_nine_days(of: Viewings, draws: np.random.Generator) -> Viewings:
    return _only(of, of.log.start_s < 9 * DAY_S)


def edges_by_chance(of: Viewings, draws: np.random.Generator) -> Viewings:
    edge = draws.permutation(of.log.edge)
    return msgspec.structs.replace(of, log=msgspec.structs.replace(of.log, edge=edge))


def days_by_chance(of: Viewings, draws: np.random.Generator) -> Viewings:
    """Each day's viewings on another day; a title is released on the first that it is viewed on."""
    log = of.log
    day = (log.start_s // DAY_S).astype(np.int64)
    moved = draws.permutation(int(day.max()) + 1)[day]
    first = np.full(len(log.title), moved.max())
    np.minimum.at(first, log.item, moved)
    changed = msgspec.structs.replace(
        log,
        start_s=log.start_s + (moved - day) * DAY_S,
        launch_s=np.where(np.isnan(log.launch_s), np.nan, first * DAY_S),
    )
    return _sessions(
        msgspec.structs.replace(of, log=changed), np.argsort(changed.start_s, kind="stable")
    )


def flash_crowd(of: Viewings, draws: np.random.Generator) -> Viewings:
    """On days 8 and 9 a third watch a film that hardly anybody had watched, to its end."""
    log = of.log
    viewed = np.bincount(log.item, minlength=len(log.title))
    there = (log.episodes == 1) & np.isnan(log.launch_s)
    film = int(np.argmin(np.where(there, viewed, viewed.max() + 1)))
    day = log.start_s // DAY_S
    return _watch(of, film, ((day == 8) | (day == 9)) & (draws.random(len(day)) < 1 / 3))


def releases(of: Viewings, draws: np.random.Generator) -> Viewings:
    """New films like old ones, of a genre by chance, watched to their ends."""
    log, count = of.log, len(of.log.title)
    like = draws.choice(np.flatnonzero(log.episodes == 1), RELEASES)
    days = draws.integers(*RELEASE_DAYS, RELEASES)
    more = msgspec.structs.replace(
        log,
        title=np.r_[log.title, log.title.max() + 1 + np.arange(RELEASES)],
        episode=np.r_[log.episode, log.episode[like]],
        episodes=np.r_[log.episodes, log.episodes[like]],
        item_segments=np.r_[log.item_segments, log.item_segments[like]],
        launch_s=np.r_[log.launch_s, days * DAY_S],
        kbps=np.r_[log.kbps, log.kbps[like]],
    )
    genre = np.r_[of.genre, draws.choice(np.unique(of.genre), RELEASES)]
    of = Viewings(log=more, genre=genre)
    day = log.start_s // DAY_S
    for film, released in enumerate(days):
        share = np.where(day < released, 0.0, RELEASE_SHARE * 0.5 ** (day - released))
        of = _watch(of, count + film, draws.random(len(day)) < share)
    return of


def _watch(of: Viewings, film: int, who: NDArray[np.bool_]) -> Viewings:
    item = np.where(who, film, of.log.item)
    segments = np.where(who, of.log.item_segments[film], of.log.segments)
    return msgspec.structs.replace(
        of, log=msgspec.structs.replace(of.log, item=item, segments=segments)
    )


def as_it_is(of: Viewings, draws: np.random.Generator) -> Viewings:
    return of


ROWS: Final[tuple[tuple[str, Change, float], ...]] = (
    ("edges 0, 2, 5, 6 alone", at_edges(0, 2, 5, 6), SHARE),
    ("edges 1, 3, 4, 7 alone", at_edges(1, 3, 4, 7), SHARE),
    ("edge 0 alone", at_edges(0), SHARE),
    ("a random half of the viewers", half_of_viewers, SHARE),
    ("the other half", other_half, SHARE),
    ("three in ten sessions", three_in_ten, SHARE),
    ("days 0-8 alone", first_nine_days, SHARE),
    ("sessions at edges by chance", edges_by_chance, SHARE),
    ("days in another order", days_by_chance, SHARE),
    ("a flash crowd", flash_crowd, SHARE),
    ("30 films released", releases, SHARE),
    ("1 % of the catalogue", as_it_is, 0.01),
    ("3 %", as_it_is, 0.03),
    ("7 %", as_it_is, 0.07),
    ("20 %", as_it_is, 0.20),
)
_STREAMS: Final = {"the other half": "a random half of the viewers"}
"""The two halves are those of one draw."""


def measured(of: Viewings, name: str, change: Change, share: float, every_hours: int) -> LogRow:
    made = change(of, Seeds(1).stream(f"bench/placement/{_STREAMS.get(name, name)}"))
    found = study(
        trace_of(made.log, made.genre),
        planners=PLANNERS,
        storage_share=share,
        warmup_days=WARMUP_DAYS,
        options=Options(every_hours=every_hours),
    )
    return LogRow(name=name, share=share, sessions=found.sessions, planners=found.rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=Path, required=True)
    parser.add_argument("--catalog", type=Path, required=True)
    parser.add_argument("--plan-every", type=int, default=6, help="hours between two plans")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    log = read_segment_log(given.sessions, given.catalog)
    genre = read_columns(given.catalog, ("genre",))["genre"].astype(np.int64)
    rows = []
    for name, change, share in ROWS:
        row = measured(Viewings(log=log, genre=genre), name, change, share, given.plan_every)
        rows.append(row)
        cells = [f"{one.byte_hit_ratio:.3f} ({one.worst_hour_ratio:.3f})" for one in row.planners]
        print("|", name, "|", " | ".join(cells), f"| {row.planners[-1].fill_ratio:.3f} |")
        if given.json is not None:
            given.json.write_bytes(msgspec.json.encode(rows))


if __name__ == "__main__":
    main()
