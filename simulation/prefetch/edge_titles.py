"""Whole titles through an edge's own cache and prices, as an edge is set.

The model is asked at the checkpoints, and from `rest_at` on what pays is fetched; a plan keeps what
it wants until its viewer has left. The first seconds that an edge fetches at half-way are a few
hundredths of a title's bytes, and no object here.
"""

from __future__ import annotations

import numpy as np

from edge.config import PrefetchConfig
from edge.prefetch.value import threshold
from predictor.features import FINISHED_PROGRESS
from simulation.prefetch.edge_store import EdgeStore
from simulation.prefetch.kernels import counts
from simulation.prefetch.moments import CHECKPOINT, START, Moments
from simulation.prefetch.requests import Floats, Requests


def replay_titles(
    store: EdgeStore,
    requests: Requests,
    moments: Moments,
    sizes: list[int],
    warmup_count: int,
) -> Floats:
    """Figures by kernels.counts."""
    config = PrefetchConfig()
    least = threshold(config, "rest")
    log = requests.log
    finished = (log.watched_s / log.runtime_s >= FINISHED_PROGRESS).tolist()
    titles, viewers = log.title.tolist(), log.viewer.tolist()
    successors, leaves_s = requests.successor.tolist(), requests.leaves_s.tolist()
    verdicts: dict[int, tuple[list[float], bool]] = {}  # of plays that go on; whether it paid
    counted: set[int] = set()  # fetched after the warm-up, of what nobody has asked for yet
    figures = np.zeros(counts.LENGTH)
    hopes = store.hopes
    for at_s, ends_s, kind, play, share, answers in zip(
        moments.at_s.tolist(),
        moments.ends_s.tolist(),
        moments.kind.tolist(),
        moments.play.tolist(),
        moments.share.tolist(),
        moments.probabilities.tolist(),
        strict=True,
    ):
        title, viewer, successor = titles[play], viewers[play], successors[play]
        is_counted = play >= warmup_count
        if kind == START:
            is_held, is_first = store.ask(title, at_s)
            if is_counted:
                _count(figures, counts.REQUESTS, counts.REQUEST_BYTES, sizes[title])
                if is_held:
                    _count(figures, counts.HITS, counts.HIT_BYTES, sizes[title])
            if is_first and title in counted:
                _count(figures, counts.USED, counts.USED_BYTES, sizes[title])
            counted.discard(title)
            if hopes is not None:
                hopes.asked(title, viewer, ends_s, at_s)
        elif kind == CHECKPOINT:
            said, chance = store.chance(answers, at_s)
            pays = share >= config.rest_at and chance >= least
            verdicts[play] = answers, pays
            if hopes is not None:
                hopes.foretold(successor, viewer, ends_s, answers, at_s)
            if pays and store.fetch(successor, said, at_s) and is_counted:
                _count(figures, counts.PREFETCHES, counts.PREFETCH_BYTES, sizes[successor])
                counted.add(successor)
        else:
            answers, pays = verdicts.pop(play, (None, False))
            if hopes is not None:
                hopes.left(title, viewer, leaves_s[play], is_finished=finished[play])
                if answers is not None:
                    hopes.foretold(successor, viewer, leaves_s[play], answers, at_s)
            if pays:
                store.keep(successor, at_s)
        for number in store.take_wasted():
            if number in counted:
                counted.remove(number)
                _count(figures, counts.WASTED, counts.WASTED_BYTES, sizes[number])
    for number in counted:
        _count(figures, counts.UNUSED, counts.UNUSED_BYTES, sizes[number])
    return figures


def _count(figures: Floats, objects: int, of_bytes: int, size: int) -> None:
    figures[objects] += 1
    figures[of_bytes] += size
