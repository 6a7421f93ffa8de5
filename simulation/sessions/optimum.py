"""The best sequence of rungs for a session whose whole future is known.

Once the rungs are given nothing is left to chance, so the best sequence is a longest path, found
forward, segment by segment. A state is what a prefix of rungs leads to: the time, the stalled
seconds so far, the last rung and the score so far. Time and stalls stay exact, so what comes out
can be played as it is. Of the states that end on the same rung in the same bin of time only the
best is kept, and none that another beats from an earlier bin, even after that one has paid for a
switch to the same rung.

Best in what? Of two states at the same time the one that has stalled longer has more in its buffer.
It has paid for that, and may yet come out ahead where a stall is due anyway. Hence not one best is
kept but several: by the score as it is, and by the score with a share of its stalls forgiven.

The result is a hair under the true optimum, by what was given up within bins. Tried: a search with
wide bins first, for a score that lets the fine one drop whatever cannot come up to it at the top
rung without a stall. That pays only where the top rung can nearly always be had.
"""

from __future__ import annotations

import msgspec
import numpy as np

from abr.view import Floats, Rungs
from simulation.sessions.known import KnownSession

BIN_S = 0.05
"""On the 112 public traces with a bound, 0.02 finds 0.0001 QoE more in the mean, in half as much
time again; 0.1 loses 0.0012."""
BIN_COUNT_MAX = 4096
"""What is later than all of them shares the last: it follows an outage others were through."""
CREDITS = (0.0, 0.5, 0.9)
"""Shares of its stalls that a state is forgiven. With the first alone a plan lost up to 0.032 QoE
on those traces. With 1.0 for 0.9 none won 0.001, at four times the time: then whoever stalls
longest at the top rung is kept."""


class _States(msgspec.Struct, frozen=True):
    """What is kept after a segment, one row a state."""

    rungs: Rungs
    times_s: Floats
    stalled_s: Floats
    scores: Floats
    parents: Rungs
    """Rows of the states of the segment before."""

    def take(self, rows: Rungs) -> _States:
        return _States(
            self.rungs[rows],
            self.times_s[rows],
            self.stalled_s[rows],
            self.scores[rows],
            self.parents[rows],
        )


def plan_session(session: KnownSession, bin_s: float = BIN_S) -> Rungs:
    """(segments,): the rungs that give the best QoE."""
    layers = _search(session, bin_s)
    row = int(np.argmax(layers[-1].scores))
    backwards = []
    for layer in reversed(layers):
        backwards.append(int(layer.rungs[row]))
        row = int(layer.parents[row])
    return np.array(backwards[::-1], dtype=np.int64)


def _search(session: KnownSession, bin_s: float) -> list[_States]:
    """What is kept after each segment. Scores are all rates but the first, less stalls and
    switches."""
    startup_s = session.startup_s()
    rates = session.rates_mbps
    switch_costs = session.switch_penalty * np.abs(rates[:, None] - rates)
    nothing = np.zeros(1)
    states = _States(
        np.array([session.first_rung]),
        np.array([startup_s]),
        nothing,
        nothing,
        nothing.astype(np.int64),
    )
    layers = [states]
    for index in range(1, session.segment_count):
        times_s, stalled_s = session.fetch(
            index, startup_s, states.times_s, states.stalled_s, session.sizes_bits[index]
        )
        costs = session.stall_penalty * (stalled_s - states.stalled_s[:, None])
        scores = states.scores[:, None] + (rates - switch_costs)[states.rungs] - costs
        parents, rungs = np.divmod(np.arange(scores.size), rates.size)
        candidates = _States(rungs, times_s.ravel(), stalled_s.ravel(), scores.ravel(), parents)
        states = _prune(candidates, session.stall_penalty, switch_costs, bin_s)
        layers.append(states)
    return layers


def _prune(states: _States, stall_penalty: float, switch_costs: Floats, bin_s: float) -> _States:
    """The states worth going on from."""
    late_s = states.times_s - states.times_s.min()
    bins = np.minimum(late_s / bin_s, BIN_COUNT_MAX - 1).astype(np.int64)
    paid = stall_penalty * states.stalled_s
    credits_ = CREDITS if np.ptp(paid) > 0 else CREDITS[:1]
    is_kept = np.zeros(bins.size, dtype=np.bool_)
    for share in credits_:
        is_kept[_front(states.rungs, bins, states.scores + share * paid, switch_costs)] = True
    return states.take(np.flatnonzero(is_kept))


def _front(rungs: Rungs, bins: Rungs, values: Floats, switch_costs: Floats) -> Rungs:
    """Rows: of each rung and bin the best, unless one of an earlier bin is better at any rate."""
    rung_count, bin_count = switch_costs.shape[0], int(bins.max()) + 1
    cells = rungs * bin_count + bins
    best = np.full(rung_count * bin_count, -np.inf)
    np.maximum.at(best, cells, values)
    table = best.reshape(rung_count, bin_count)
    bar = np.full_like(table, -np.inf)
    np.maximum.accumulate(table[:, :-1], axis=1, out=bar[:, 1:])
    # A switch over two rungs costs what two over one cost, so neighbours pass the bar on to all.
    for rung in range(1, rung_count):
        np.maximum(bar[rung], bar[rung - 1] - switch_costs[rung, rung - 1], out=bar[rung])
    for rung in range(rung_count - 2, -1, -1):
        np.maximum(bar[rung], bar[rung + 1] - switch_costs[rung, rung + 1], out=bar[rung])
    best[(table <= bar).ravel()] = np.inf
    rows = np.flatnonzero(values >= best[cells])
    # One of several that are equal: after a wait many times are.
    owner = np.empty(best.size, dtype=np.int64)
    owner[cells[rows]] = rows
    front: Rungs = rows[owner[cells[rows]] == rows]
    return front
