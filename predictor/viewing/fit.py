"""Fits the behaviour to viewing statistics: draw, measure, correct, some rounds over.

Rates are corrected by their log-odds, shares and quantiles by their ratio, each table apart. What
no table speaks of (spreads between viewers, devices, run times) stays as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np

from nearcast.seeds import Seeds
from predictor.viewing.behaviour import Behaviour, Kinds
from predictor.viewing.course import Floats
from predictor.viewing.draw import draw_log
from predictor.viewing.measure import KINDS, LAST_SERIES, measure
from predictor.viewing.shelf import Shelf
from predictor.viewing.statistics import ViewingStatistics

ROUNDS = 8
FIT_VIEWERS = 1700
FIT_DAYS = 180.0
_DAMPING = 0.5
_GAP_DAMPING = 0.25  # a quantile where few gaps are moves far for a small correction
_GAP_H_MIN = 0.5
_AGAIN_WEIGHT = 4.0
_SHRINKAGE = 400  # plays; rows with few of them follow their noise less
_RATIO_MAX = 1.5  # of one correction, so that a bad start cannot run away

OnRound = Callable[[int, int], None]


def fit(
    start: Behaviour,
    target: ViewingStatistics,
    shelf: Shelf,
    *,
    seeds: Seeds,
    rounds: int = ROUNDS,
    viewers: int = FIT_VIEWERS,
    days: float = FIT_DAYS,
    on_round: OnRound = lambda done, total: None,
) -> Behaviour:
    behaviour = start
    for round_no in range(rounds):
        stream = f"viewing/fit/{round_no}"
        log = draw_log(behaviour, shelf, viewers=viewers, days=days, seeds=seeds, stream=stream)
        behaviour = corrected(behaviour, target, measure(log))
        on_round(round_no + 1, rounds)
    return behaviour


def corrected(
    behaviour: Behaviour, target: ViewingStatistics, drawn: ViewingStatistics
) -> Behaviour:
    """One step towards the target."""
    run = _odds_steps(target.next30_by_run_finished, drawn.next30_by_run_finished)
    hour = _log_odds(list(target.next30_by_hour_finished.values())) - _log_odds(
        list(drawn.next30_by_hour_finished.values())
    )
    within = np.diff(
        [[each.next_within_finished[name] for name in ("1min", "5min", "30min")]
         for each in (target, drawn)], prepend=0.0,
    )  # fmt: skip
    soon = np.array(behaviour.soon_shares) * _ratio(within[0], within[1])
    hours = np.array(behaviour.start_hour) * _ratio(
        np.array(target.starts_by_local_hour), np.array(drawn.starts_by_local_hour)
    )
    hazard = np.array(behaviour.stop_hazard) * _ratio(
        np.array(target.dropoff_hazard_per_5pct), np.array(drawn.dropoff_hazard_per_5pct)
    )
    return msgspec.structs.replace(
        behaviour,
        stop_hazard=_tuple(np.minimum(hazard, 0.95)),
        by_completion=_tuple(
            np.array(behaviour.by_completion)
            + _odds_steps(target.next30_by_completion, drawn.next30_by_completion)
        ),
        # Their common level belongs to the completion table, else the three would push each other.
        by_run=_tuple(np.array(behaviour.by_run) + run - run[0]),
        by_hour=_tuple(np.array(behaviour.by_hour) + _DAMPING * (hour - hour.mean())),
        soon_shares=_tuple(soon / soon.sum()),
        start_hour=_tuple(hours / hours.sum()),
        gap_h=_gaps(behaviour, target, drawn),
        successor_sooner=behaviour.successor_sooner + _DAMPING * _sooner(target, drawn),
        **_kinds(behaviour, target, drawn),
    )


def _gaps(
    behaviour: Behaviour, target: ViewingStatistics, drawn: ViewingStatistics
) -> tuple[float, ...]:
    """Hours mapped by how the drawn quantiles lie against the measured ones, in between by
    interpolation; the shortest gap that ends a sitting stays."""
    names = [
        name
        for name in target.intersession_h
        if not math.isnan(drawn.intersession_h.get(name, math.nan))
    ]
    found = np.log([drawn.intersession_h[name] for name in names])
    off = np.log([target.intersession_h[name] for name in names]) - found
    log_h = np.log(behaviour.gap_h)
    moved = log_h + _GAP_DAMPING * np.interp(log_h, found, off) * (
        np.arange(len(log_h)) < len(log_h) - 1
    )
    return _tuple(np.exp(np.maximum.accumulate(np.maximum(moved, np.log(_GAP_H_MIN)))))


def _kinds(
    behaviour: Behaviour, target: ViewingStatistics, drawn: ViewingStatistics
) -> dict[str, object]:
    soon = _kind_ratio(target.next_kind_soon, drawn.next_kind_soon)
    later = _kind_ratio(target.next_kind_any, drawn.next_kind_any)
    if target.resume_all and drawn.resume_all:
        # Likewise episodes taken up again: at once, or after something else.
        resumed = [np.array(list(each.resume_all.values())).mean() for each in (target, drawn)]
        later[2] = np.sqrt(later[2] * _ratio(resumed[0], resumed[1]))
    # Who comes back for the successor of a finished episode is told by how many start it within a
    # week; what is left of all successors played next follows an unfinished one.
    # Else whoever left an episode would turn to other things as often as the sum wants it.
    after_unfinished = np.append(later[:3], [1.0, 1.0])
    after_finished = later.copy()
    after_finished[0] = np.exp(_DAMPING * _returns(target, drawn))
    if target.coverage_episodes and drawn.coverage_episodes:
        # An episode that is finished twice has one successor: where too many plays are successors,
        # finished episodes are taken up again too seldom.
        farthest = str(LAST_SERIES[-1])
        found = [each.coverage_episodes[farthest] for each in (target, drawn)]
        step = float(np.diff(_log_odds(found))[0])
        after_finished[2] = np.exp(np.clip(_DAMPING * _AGAIN_WEIGHT * step, -0.4, 0.4))
    # Whoever goes on within the sitting otherwise than to the successor decides how often it stays.
    leaves = [1.0 - each.next_kind_soon["successor"] for each in (target, drawn)]
    stays = behaviour.stays_finished * float(_ratio(np.array(leaves[0]), np.array(leaves[1])))
    mean = target.session_mean_plays / drawn.session_mean_plays
    stays_else = float(np.clip(mean, 1 / _RATIO_MAX, _RATIO_MAX))
    return {
        "stays_finished": min(0.9, stays),
        "stays_unfinished": min(0.9, behaviour.stays_unfinished * stays_else),
        "stays_film": min(0.9, behaviour.stays_film * stays_else),
        "next_soon_finished": _scaled(behaviour.next_soon_finished, soon),
        "next_later_finished": _scaled(behaviour.next_later_finished, after_finished),
        "next_later_unfinished": _scaled(behaviour.next_later_unfinished, after_unfinished),
    }


def _returns(target: ViewingStatistics, drawn: ViewingStatistics) -> float:
    """By how much the log-odds of a late return should move: after half an hour, within a week."""
    found = []
    for each in (target, drawn):
        within = each.next_within_finished
        found.append((within["7d"] - within["30min"]) / (1.0 - within["30min"]))
    steps = _log_odds(found)
    return float(steps[0] - steps[1])


def _sooner(target: ViewingStatistics, drawn: ViewingStatistics) -> float:
    """Likewise of coming within a day, for those who come within a week."""
    found = []
    for each in (target, drawn):
        within = each.next_within_finished
        found.append((within["24h"] - within["30min"]) / (within["7d"] - within["30min"]))
    steps = _log_odds(found)
    return float(steps[0] - steps[1])


def _kind_ratio(target: Mapping[str, float], drawn: Mapping[str, float]) -> Floats:
    order = [KINDS.index(name) for name in KINDS]
    wanted = np.array([target.get(name, 0.0) for name in KINDS])[order]
    found = np.array([drawn.get(name, 0.0) for name in KINDS])[order]
    return _ratio(wanted, found)


def _scaled(kinds: Kinds, ratio: Floats) -> Kinds:
    scaled = np.array(kinds) * ratio
    first, second, third, fourth, fifth = (scaled / scaled.sum()).tolist()
    return first, second, third, fourth, fifth


def _ratio(target: Floats, drawn: Floats) -> Floats:
    ratio = np.where(drawn > 0, target / np.where(drawn > 0, drawn, 1.0), 1.0)
    return np.asarray(np.clip(ratio, 1 / _RATIO_MAX, _RATIO_MAX) ** _DAMPING)


def _odds_steps(
    target: Mapping[str, tuple[float, int]], drawn: Mapping[str, tuple[float, int]]
) -> Floats:
    """By how much log-odds should move, less where few drawn plays tell."""
    found = [drawn.get(name, (float("nan"), 0)) for name in target]
    counts = np.array([count for _, count in found])
    rates = np.array([rate if count else 0.5 for rate, count in found])
    steps = _log_odds([rate for rate, _ in target.values()]) - _log_odds(rates)
    return np.asarray(_DAMPING * counts / (counts + _SHRINKAGE) * steps)


def _log_odds(rates: Sequence[float] | Floats) -> Floats:
    clipped = np.clip(np.array(rates, dtype=np.float64), 1e-4, 1.0 - 1e-4)
    return np.asarray(np.log(clipped / (1.0 - clipped)))


def _tuple(values: Floats) -> tuple[float, ...]:
    return tuple(values.tolist())
