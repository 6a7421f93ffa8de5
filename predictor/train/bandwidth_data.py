"""The rows the bandwidth model learns from and is measured on: all families alike, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nearcast.seeds import Seeds
from predictor.bandwidth.history import Floats
from predictor.train.bandwidth_generated import FAMILY as GENERATED
from predictor.train.bandwidth_generated import generate
from predictor.train.bandwidth_rows import Rows, joined
from predictor.train.bandwidth_sessions import draw_players, play
from predictor.train.bandwidth_traces import Indices, Links, Trace
from predictor.train.bandwidth_windows import draw_windows

# A day-long trace must not be all of its family.
_WEIGHT_S_MAX = 1500.0


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """Per family and round."""

    rounds: int = 5
    sessions: int = 300
    steps: int = 40
    windows: int = 6000
    generated_traces: int = 400
    generated_share: float = 1.5  # of one family's


@dataclass(frozen=True, kw_only=True)
class Data:
    rows: Rows
    families: tuple[str, ...]
    shares: Floats


def training_data(traces: Sequence[Trace], amounts: Amounts, seeds: Seeds) -> Data:
    """Rows of recorded traces and of generated ones, rescaled and stretched."""
    rng = seeds.stream("bandwidth/training")
    every = [*traces, *generate(amounts.generated_traces, seeds.stream("bandwidth/generated"))]
    families = families_of(every)
    links = Links(every)
    parts = []
    shares = [amounts.generated_share if name == GENERATED else 1.0 for name in families]
    for _ in range(amounts.rounds):
        for at, (family, share) in enumerate(zip(families, shares, strict=True)):
            trace = draw_traces(links, family, int(amounts.sessions * share), rng)
            owner = np.full(len(trace), at)
            players = draw_players(links, trace, owner, rng, is_varied=True)
            parts.append(play(links, players, rng, steps=amounts.steps))
            trace = draw_traces(links, family, int(amounts.windows * share), rng)
            owner = np.full(len(trace), at)
            parts.append(draw_windows(links, trace, owner, rng, is_varied=True))
    return Data(rows=joined(parts), families=families, shares=np.array(shares))


def families_of(traces: Sequence[Trace]) -> tuple[str, ...]:
    """In order of first appearance."""
    return tuple(dict.fromkeys(trace.family for trace in traces))


def draw_traces(links: Links, family: str, count: int, rng: np.random.Generator) -> Indices:
    """(count,): traces of a family, the longer the more often."""
    of_family = np.array([at for at, each in enumerate(links.traces) if each.family == family])
    weight = np.minimum(links.duration_s[of_family], _WEIGHT_S_MAX)
    return rng.choice(of_family, count, p=weight / weight.sum())
