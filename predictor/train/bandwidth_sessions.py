"""Sessions over traces, all in step: where the bandwidth model's transfers come from.

A request costs its latency, then the link's bits, exactly integrated; the player waits while one
segment more would not fit. Players differ as real ones do: how bold they choose among their rungs,
how long segments are, how much they buffer, whether an edge answers some requests from its store.
What they ask decides what they see: small objects on fast links, pauses when the buffer is full.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from predictor.bandwidth.history import Flags, Floats, History, only
from predictor.train.bandwidth_rows import Rows, RowsWriter, windows_kbps
from predictor.train.bandwidth_traces import Indices, Links

SAMPLES = 24
LADDERS_KBPS = (
    (235, 375, 560, 750, 1050, 1750, 2350, 3000, 4300, 5800),
    (235, 560, 1050, 1750, 3000, 4300, 5800, 8100, 11600, 16800),
    (20000, 40000, 60000, 80000, 110000, 160000),
)
_RUNGS = max(len(ladder) for ladder in LADDERS_KBPS)
_BACKHAUL_SHARE = 0.1  # of the last mile, for those of whose requests an edge answers some
_DURATION_S_MIN = 0.002
_UNSIZED_SHARE = 0.15


@dataclass(frozen=True, kw_only=True)
class Players:
    """One row a session: its link and its habits."""

    trace: Indices
    family: Indices
    start_s: Floats
    scale: Floats
    stretch: Floats
    latency_s: Floats
    segment_s: Floats
    buffer_s_max: Floats
    ladder_kbps: Floats  # (n, rungs), the last repeated
    boldness: Floats  # of the estimate that a rung may take
    randomness: Floats  # share of requests at any rung
    hit_share: Floats

    @property
    def count(self) -> int:
        return len(self.trace)


def draw_players(
    links: Links, trace: Indices, family: Indices, rng: np.random.Generator, *, is_varied: bool
) -> Players:
    """Players for the given links. Not varied: the traces as they are, everyday habits."""
    n = len(trace)
    mean_kbps = (links.total_kbit / links.duration_s)[trace]
    scale, stretch = np.ones(n), np.ones(n)
    if is_varied:
        changed = rng.random(n) < 0.5
        scale = np.where(changed, 2.0 ** rng.uniform(-2.0, 2.0, n), 1.0)
        slower = rng.random(n) < 0.25
        stretch = np.where(slower, 2.0 ** rng.uniform(-0.7, 1.0, n), 1.0)
    everyday = np.full((n, _RUNGS), np.nan)
    fast, medium = mean_kbps * scale > 60_000, mean_kbps * scale > 3000
    for at, ladder in enumerate(LADDERS_KBPS):
        chosen = np.where(fast, 2, np.where(medium, 1, 0)) == at
        everyday[chosen, : len(ladder)] = ladder
        everyday[chosen, len(ladder) :] = ladder[-1]
    low = np.log2(mean_kbps * scale) + rng.uniform(-5.0, -1.0, n)
    high = low + rng.uniform(1.0, 6.0, n)
    spread = np.linspace(0.0, 1.0, _RUNGS)
    own = 2.0 ** (low[:, None] + (high - low)[:, None] * spread)
    is_own = rng.random(n) < (0.5 if is_varied else 0.0)
    return Players(
        trace=trace,
        family=family,
        start_s=np.where(rng.random(n) < 0.1, 0.0, rng.random(n)) * links.duration_s[trace],
        scale=scale,
        stretch=stretch,
        latency_s=rng.choice([0.02, 0.04, 0.08, 0.1], n),
        segment_s=rng.choice([1.0, 2.0, 4.0, 6.0, 10.0], n, p=[0.05, 0.25, 0.55, 0.1, 0.05])
        if is_varied
        else np.full(n, 4.0),
        buffer_s_max=rng.choice([12.0, 25.0, 40.0, 60.0], n, p=[0.1, 0.6, 0.1, 0.2]),
        ladder_kbps=np.where(is_own[:, None], own, everyday),
        boldness=2.0 ** rng.uniform(-1.2, 0.5, n),
        randomness=np.where(rng.random(n) < 0.3, rng.uniform(0.05, 1.0, n), 0.0),
        hit_share=np.where(rng.random(n) < (0.15 if is_varied else 0.0), 0.3, 0.0),
    )


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request of each session that has a history, and what came of it."""

    sessions: Indices  # (m,)
    history: History
    outcomes_kbps: Floats  # (m, windows)


def requests(
    links: Links,
    players: Players,
    rng: np.random.Generator,
    *,
    steps: int,
    unsized_share: float = 0.0,
) -> Iterator[Asked]:
    """`steps` requests a session; some of them as if no size were known. Hits are left out."""
    sessions = _Sessions(links, players, rng)
    for _ in range(steps):
        history = sessions.ask()
        outcomes = windows_kbps(
            links, players.trace, sessions.now_s, players.scale, players.stretch
        )
        is_known = ~np.isnan(history.samples_kbps[:, -1]) & ~sessions.is_hit
        is_sized = rng.random(players.count) >= unsized_share
        kbps = sessions.transfer()
        outcomes[is_sized, 0] = kbps[is_sized]
        history.size_bytes[~is_sized] = np.nan
        if is_known.any():
            yield Asked(
                sessions=np.flatnonzero(is_known),
                history=history.take(is_known),
                outcomes_kbps=outcomes[is_known],
            )


def play(links: Links, players: Players, rng: np.random.Generator, *, steps: int) -> Rows:
    """The training rows of `steps` requests a session."""
    writer = RowsWriter()
    for asked in requests(links, players, rng, steps=steps, unsized_share=_UNSIZED_SHARE):
        writer.add(asked.history, asked.outcomes_kbps, players.family[asked.sessions])
    return writer.rows()


class _Sessions:
    """The state of all sessions; every call is one request of each."""

    def __init__(self, links: Links, players: Players, rng: np.random.Generator) -> None:
        self._links, self._players, self._rng = links, players, rng
        n = players.count
        self.now_s = players.start_s * players.stretch
        self._buffer_s = np.zeros(n)
        self._estimate_kbps = np.full(n, np.nan)
        self._samples = np.full((5, n, SAMPLES), np.nan)
        self._hits = np.zeros((n, SAMPLES), dtype=bool)
        self.is_hit: Flags = np.zeros(n, dtype=bool)
        self._gap_s = np.zeros(n)
        self._bytes = np.zeros(n)

    def ask(self) -> History:
        """Wait for room, choose a size; what a forecast for a miss is given then."""
        players, rng, n = self._players, self._rng, self._players.count
        self._gap_s = np.maximum(self._buffer_s + players.segment_s - players.buffer_s_max, 0.0)
        self._buffer_s -= self._gap_s
        self.now_s = self.now_s + self._gap_s
        goal_kbps = np.nan_to_num(self._estimate_kbps) * players.boldness
        rung = (players.ladder_kbps <= goal_kbps[:, None]).sum(axis=1) - 1
        rung = np.clip(rung, 0, _RUNGS - 1)
        is_any = rng.random(n) < players.randomness
        rung = np.where(is_any, rng.integers(0, _RUNGS, n), rung)
        kbit = players.ladder_kbps[np.arange(n), rung] * players.segment_s
        kbit = kbit * 2.0 ** rng.normal(0.0, 0.25, n)
        self._bytes = kbit * 125.0
        self.is_hit = rng.random(n) < players.hit_share
        kbps, size, duration_s, ttfb_s, gap_s = self._samples
        return only(
            History(
                samples_kbps=kbps,
                samples_bytes=size,
                samples_duration_s=duration_s,
                samples_ttfb_s=ttfb_s,
                samples_gap_s=gap_s,
                samples_hit=self._hits,
                gap_s=self._gap_s.copy(),
                size_bytes=self._bytes.copy(),
            ),
            hits=False,
        )

    def transfer(self) -> Floats:
        """Carry what was asked; (n,) the throughput."""
        players, links = self._players, self._links
        ttfb_s = players.latency_s
        kbit = self._bytes / 125.0
        begin_s = self.now_s + ttfb_s
        carried = kbit * np.where(self.is_hit, _BACKHAUL_SHARE, 1.0)
        volume = players.scale * players.stretch
        begin_kbit = links.kbit_until(players.trace, begin_s / players.stretch)
        end_s = links.when_s(players.trace, begin_kbit + carried / volume) * players.stretch
        duration_s = np.maximum(end_s - begin_s, _DURATION_S_MIN)
        kbps = kbit / duration_s
        self._samples = np.concatenate(
            [
                self._samples[:, :, 1:],
                np.stack([kbps, self._bytes, duration_s, ttfb_s, self._gap_s])[:, :, None],
            ],
            axis=2,
        )
        self._hits = np.concatenate([self._hits[:, 1:], self.is_hit[:, None]], axis=1)
        self.now_s = begin_s + duration_s
        spent_s = ttfb_s + duration_s
        self._buffer_s = np.maximum(self._buffer_s - spent_s, 0.0) + players.segment_s
        share = 0.5 ** (duration_s / 4.0)
        known = ~np.isnan(self._estimate_kbps)
        mixed = share * np.nan_to_num(self._estimate_kbps) + (1.0 - share) * kbps
        self._estimate_kbps = np.where(known, mixed, kbps)
        return kbps
