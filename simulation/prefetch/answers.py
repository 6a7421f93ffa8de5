"""The models that the table is made with: the shipped one, a folder's, none, and three wrong ones.

    default, DIR   a model as an edge runs it
    rule           no model: half watched means that the viewer goes on
    random         any probability at all
    inverted       the shipped model's probabilities, each taken from one
    stale          what the shipped model said of the same viewer four weeks earlier

A wrong model may waste what it fetches and nothing more; the table shows whether that is so.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from nearcast.seeds import Seeds
from simulation.prefetch.moments import CHECKPOINTS, HORIZON_COUNT, Answers, Scores, score
from simulation.prefetch.requests import Floats, Ints, Requests

if TYPE_CHECKING:
    from predictor.runtime import NextEpisodeModel

WRONG: Final = ("random", "inverted", "stale")
RULE: Final = "rule"
DEFAULT: Final = "default"
STALE_S: Final = 28 * 86_400.0
_CERTAIN: Final = 1.0


def model_folder(name: str) -> Path:
    """Where the model called so lies; raises nothing, the loader will."""
    from predictor.runtime import default_model_folder

    return default_model_folder() if name in (DEFAULT, *WRONG) else Path(name)


def check_model(name: str) -> None:
    """Find out before long work. Raises ModelError for a folder that holds none."""
    if name not in (RULE, "random"):
        _loaded(name)


def _loaded(name: str) -> NextEpisodeModel:
    from predictor.runtime import NextEpisodeModel

    return NextEpisodeModel.load(model_folder(name))


def scores_by(name: str, requests: Requests, *, seed: int) -> Scores:
    """The answers of a model about every play. Raises ModelError for a folder that holds none."""
    if name == RULE:
        return _rule(requests)
    if name == "random":
        return _random(requests, seed)
    scores = score(requests, _loaded(name).probabilities)
    if name == "inverted":
        return Scores(at=tuple(1.0 - each for each in scores.at), left=1.0 - scores.left)
    if name == "stale":
        earlier = _earlier(requests.log.viewer, requests.log.start_s)
        return Scores(at=tuple(each[earlier] for each in scores.at), left=scores.left[earlier])
    return scores


def _rule(requests: Requests) -> Scores:
    log = requests.log
    is_certain = (log.watched_s >= CHECKPOINTS[0] * log.runtime_s)[:, None]
    all_of_them = np.repeat(is_certain, HORIZON_COUNT, axis=1).astype(np.float32) * _CERTAIN
    return Scores(at=(all_of_them,) * len(CHECKPOINTS), left=all_of_them)


def _random(requests: Requests, seed: int) -> Scores:
    rng = Seeds(seed).stream("simulation/prefetch/random")

    def drawn() -> Answers:
        return rng.random((len(requests), HORIZON_COUNT)).astype(np.float32)

    return Scores(at=tuple(drawn() for _ in CHECKPOINTS), left=drawn())


def _earlier(viewer: Ints, start_s: Floats) -> Ints:
    """Of each play: the last one of its viewer four weeks before, or else the viewer's first."""
    order = np.lexsort((start_s, viewer))
    span_s = float(np.ptp(start_s)) + 2 * STALE_S if len(start_s) else 1.0
    # One rising axis for all viewers, so that one search finds every viewer's own past.
    axis_s = viewer[order] * span_s + (start_s[order] - start_s.min(initial=np.inf))
    at = np.searchsorted(axis_s, axis_s - STALE_S, side="right") - 1
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = viewer[order][1:] != viewer[order][:-1]
    begins = np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))
    earlier = np.empty(len(order), dtype=np.int64)
    earlier[order] = order[np.maximum(at, begins)]
    return earlier
