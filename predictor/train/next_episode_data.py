"""What the next-episode model learns from, recognised by what a file holds.

- aggregate statistics (JSON), or nothing: plays are drawn from invented viewers who behave so
- rows of ended plays (Parquet, the columns of `predictor.train.measured`): real, without names
- an operator's log of plays (`predictor.logs.plays`): rows are made of it as an edge would

`viewer` of the plays is what must not be on both sides of a split: the viewer, or, where rows name
none, the run time, which keeps a season together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from nearcast.errors import InputError
from nearcast.seeds import Seeds
from predictor.columns import HORIZONS, Floats, Plays
from predictor.features import FINISHED_PROGRESS
from predictor.logs.plays import PlaysLog
from predictor.logs.plays import read_plays as read_log
from predictor.logs.tables import column_names
from predictor.train.measured import COLUMNS, read_plays
from predictor.viewing.agreement import Row, compare
from predictor.viewing.course import Ints
from predictor.viewing.draw import draw_log
from predictor.viewing.episodes import episodes_of
from predictor.viewing.fit import fit
from predictor.viewing.fitted import fitted_behaviour
from predictor.viewing.measure import measure
from predictor.viewing.shelf import PlainShelf
from predictor.viewing.statistics import (
    COMPLETION_BUCKETS,
    COMPLETION_EDGES,
    ViewingStatistics,
    read_statistics,
)

PLAYS_MIN = 400
_DRAWN_DAYS = 120.0
# Drawn for each that is taken: a few plays each of many viewers teach more than all of a few.
_DRAWN_PER_PLAY = 8
_PROBE_VIEWERS = 50  # tell how many plays a viewer makes in that time
# No statistic says how these go together with going on, so drawn plays must not: each is dealt out
# anew. What the viewers' catalogue assumes of series' lengths cost .03 of AUC on real rows, what it
# assumes of run times .004 of log-loss.
_ASSUMED = ("episode_no", "season_no", "device_tv", "device_mobile", "weekend", "runtime_s")
_TABLE_ENDINGS = (".csv", ".csv.gz", ".csv.xz", ".parquet", ".pq")

OnProgress = Callable[[str, float], None]


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """Plays to learn from, and where they came from."""

    plays: Plays
    source: str  # "rows", "log", "statistics" or "invented viewers"
    sha256: str
    agreement: tuple[Row, ...] = ()  # of drawn plays with the statistics they were fitted to


def read_data(path: Path | None, *, seeds: Seeds, play_count: int, on_progress: OnProgress) -> Data:
    """The plays of a file of any of the kinds; drawn ones number about `play_count`."""
    if path is None:
        return _drawn(None, seeds, play_count, on_progress)
    if not path.name.endswith(_TABLE_ENDINGS):
        return _drawn(read_statistics(path), seeds, play_count, on_progress)
    on_progress(f"read {path.name}", 0.0)
    plays, source = read_real(path)
    if len(plays) < PLAYS_MIN:
        raise InputError(f"{path} has {len(plays)} ended episode plays; {PLAYS_MIN} are needed")
    return Data(plays=plays, source=source, sha256=_sha256(path))


def read_real(path: Path) -> tuple[Plays, str]:
    """Real ended plays, from rows or from a log. Raises InputError."""
    names = column_names(path)
    if set(COLUMNS) & set(names) >= {"completion", "runtime_est_min"}:
        return read_plays(path), "rows"
    if "start_s" in names and "watched_s" in names:
        plays = episodes_of(read_log(path))
        if not len(plays):
            raise InputError(f"{path} holds no plays of episodes")
        return plays, "log"
    raise InputError(
        f"{path} is neither a log of plays (columns viewer, start_s, watched_s, runtime_s, title, "
        "...) nor rows of ended plays (completion, runtime_est_min, ...); see docs/train.md"
    )


def _drawn(
    statistics: tuple[ViewingStatistics, str] | None,
    seeds: Seeds,
    play_count: int,
    on_progress: OnProgress,
) -> Data:
    shelf = PlainShelf(seeds.stream("predictor/shelf"))
    behaviour, source, sha256 = fitted_behaviour(), "invented viewers", ""
    if statistics is not None:
        source, sha256 = "statistics", statistics[1]
        behaviour = fit(
            behaviour,
            statistics[0],
            shelf,
            seeds=seeds,
            on_round=lambda done, total: on_progress("fit viewers to the statistics", done / total),
        )
    else:
        sha256 = hashlib.sha256(msgspec.json.encode(behaviour)).hexdigest()
    on_progress("draw plays", 0.0)

    def drawn(viewers: int) -> PlaysLog:
        return draw_log(
            behaviour,
            shelf,
            viewers=viewers,
            days=_DRAWN_DAYS,
            seeds=seeds,
            stream="predictor/plays",
        )

    probe = max(1, len(drawn(_PROBE_VIEWERS).start_s))
    log = drawn(max(40, round(_DRAWN_PER_PLAY * play_count * _PROBE_VIEWERS / probe)))
    agreement = compare(statistics[0], measure(log)) if statistics is not None else ()
    plays = episodes_of(log)
    rng = seeds.stream("predictor/taken")
    weights = np.ones(len(plays))
    if statistics is not None:
        weights = followed_weights(plays, statistics[0])
    plays = plays.take(_drawn_by(weights, play_count, rng))
    plays = replace(
        plays, **{name: getattr(plays, name)[rng.permutation(len(plays))] for name in _ASSUMED}
    )
    return Data(plays=plays, source=source, sha256=sha256, agreement=agreement)


def followed_weights(plays: Plays, statistics: ViewingStatistics) -> Floats:
    """What drawn plays must weigh to be followed as often as the statistics say.

    Viewers are fitted to a hundred statistics at once and come near these. But a tenth off a share
    of .9 is twice as many who do not come back, and what is foretold would be off by as much.
    Of finished plays the statistics tell all horizons; of others the shortest, by completion, and
    whether they are followed later is corrected by the odds that the finished ones need.
    """
    finished = plays.completion >= FINISHED_PROGRESS
    # 0 not within the longest horizon, up to 3 within the shortest.
    outcome = plays.labels.sum(axis=1).astype(np.int64)
    within = [statistics.next_within_finished[name] for name in reversed(HORIZONS)]
    by_outcome = -np.diff([1.0, *within, 0.0]) / _shares(outcome[finished])
    weights = by_outcome[outcome]
    bucket = np.searchsorted(COMPLETION_EDGES[1:-1], plays.completion, side="right")
    soon = outcome == len(HORIZONS)
    for at in np.unique(bucket[~finished]):
        share = statistics.next30_by_completion[COMPLETION_BUCKETS[at]][0]
        inside = (bucket == at) & ~finished
        for chosen, part in ((inside & soon, share), (inside & ~soon, 1.0 - share)):
            weights[chosen] *= part * np.count_nonzero(inside) / max(weights[chosen].sum(), 1e-9)
    return np.asarray(weights)


def _shares(outcome: Ints) -> Floats:
    counts = np.bincount(outcome, minlength=len(HORIZONS) + 1)
    return np.asarray(np.maximum(counts, 1) / max(1, len(outcome)))


def _drawn_by(weights: Floats, count: int, rng: np.random.Generator) -> Ints:
    """Positions, in their order, each as likely as it weighs: equal steps through the weights in
    random order. Fewer than `count` where there are no more. Source: Madow, "On the theory of
    systematic sampling", 1949."""
    count = min(count, len(weights))
    order = rng.permutation(len(weights))
    until = np.cumsum(weights[order])
    steps = (rng.random() + np.arange(count)) * (until[-1] / count)
    return np.sort(order[np.minimum(np.searchsorted(until, steps, side="right"), len(order) - 1)])


def fold_of(groups: np.ndarray, fold_count: int) -> np.ndarray:
    """The fold of each play, so that a group is in one fold and folds hold about as many plays."""
    values, position, counts = np.unique(groups, return_inverse=True, return_counts=True)
    loads = np.zeros(fold_count)
    found = np.zeros(len(values), dtype=np.int64)
    for at in np.argsort(-counts, kind="stable"):
        fold = int(loads.argmin())
        found[at] = fold
        loads[fold] += counts[at]
    return np.asarray(found[position])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
