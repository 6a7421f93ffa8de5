"""Choosing by the expected worth of plans over a forecast, and giving up by the same worth."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import msgspec
import numpy as np

from abr.controllers.nearcast.chain import Levels, transitions
from abr.controllers.nearcast.induction import (
    Prices,
    Scratch,
    Singles,
    Steps,
    Values,
    outcomes,
    solve,
)
from abr.controllers.nearcast.mixture import hit_share, mixed
from abr.controllers.nearcast.outlook import Outlook, Outlooks
from abr.controllers.nearcast.params import NearcastParams, prices_of
from abr.controllers.nearcast.rescue import Plans, no_plans, remember, rescue
from abr.controllers.nearcast.wishes import DataCap, usable_rungs
from abr.qoe import stall_penalty_of
from abr.view import GO_ON, HORIZON, Attempt, Flags, Floats, Rungs, View
from nearcast.units import BITS_PER_KBIT, KBPS_PER_MBPS
from predictor.bandwidth import BandwidthModel, Forecast

ROWS_MAX = 128
"""Planned at once: more need more memory and are no quicker."""
STEPS_MIN = 3
DURATIONS_KEPT = 64
"""Of segments, to a tenth of a second: more than a title has."""
MODELS_KEPT = 8
"""In memory: more than are compared in one run."""
RATE_KBPS_MIN = 1.0
WINDOW_S_TOLERANCE = 0.1
"""Segments this much shorter than a window count as filling it."""
EQUAL_SHARE = 1e-4
"""Of the top rate: plans whose worth differs by no more are equally good."""
RISK_SHARE = 0.5
"""Of the buffer: a segment that takes no more of it, at its own rate, is not given up."""


class Nearcast:
    """Stochastic model predictive control over the quantiles of a bandwidth model.

    The forecast becomes a Markov chain of rate levels (chain), the value of every plan follows by
    backward induction (induction), the rung with the highest expected worth is fetched. While a
    segment is under way its own rate joins the forecast, and going on is weighed against starting
    afresh with the same values (rescue). Before playback starts, time counts as waiting for the
    first picture instead of as a stall. Where the edge has said what it holds, those segments are
    planned at the last mile's rate, and what came from its store never counts for what did not.
    """

    def __init__(
        self,
        params: NearcastParams | None = None,
        session_count: int = 1,
        *,
        model: BandwidthModel | None = None,
    ) -> None:
        self._params = params or NearcastParams()
        self._outlook = Outlook(model or _model(self._params.model), session_count)
        self._levels = Levels()
        self._transitions: dict[float, list[Singles]] = {}
        """From each step of a plan to the next, by how long segments are."""
        self._count = session_count
        self._cap = DataCap(self._params.data_kbps_max, session_count)
        self._plans: Plans | None = None
        self._scratch = Scratch()

    def foreseen(self, session: int) -> Forecast | None:
        """Of the last decision for this session, one row, for whoever draws it."""
        return self._outlook.given(session)

    def choose(self, view: View) -> Rungs:
        usable = usable_rungs(view.ladder_kbps, self._params.bitrate_kbps_max)
        outlooks = self._outlooks(view)
        rung = np.zeros(view.row_count, dtype=np.int64)
        highest = self._cap.highest(view) if self._cap.is_on else None
        for rows, step_count, is_told in self._groups(view):
            prices = prices_of(self._params, view.ladder_kbps, is_told=is_told)
            steps = self._steps(view, rows, usable, step_count, outlooks)
            chances = self._chances(float(steps.durations_s[0, 0]))
            after = solve(steps, chances, prices, self._scratch)
            self._remember(view, rows, steps, after, prices)
            first = prices
            if view.is_startup[rows[0]]:
                first = msgspec.structs.replace(prices, stall=self._startup_penalty(view))
            worth = self._worth(view, rows, steps, after, first)
            if highest is not None:
                worth[np.arange(usable)[:, None] > highest[rows]] = -np.inf
            # The first of equals is the lower rung. At a title's end many are: what a rise gains
            # it costs as a change, and rounding in another batch must not choose among them.
            nearly = worth.max(axis=0) - EQUAL_SHARE * view.ladder_kbps[-1] / KBPS_PER_MBPS
            rung[rows] = (worth >= nearly).argmax(axis=0)
        is_unknown = np.isnan(view.history.kbps[:, -1])
        if view.prior is not None:
            is_unknown &= np.isnan(view.prior[:, 0])
        # Nobody knows this network: the quickest picture there can be.
        rung[is_unknown] = 0
        return rung

    def abandon(self, attempt: Attempt) -> Rungs:
        none = np.full(attempt.rung.shape, GO_ON)
        if self._plans is None:
            return none
        left_s = (attempt.size_bits - attempt.received_bits) / (attempt.rate_kbps * BITS_PER_KBIT)
        at_risk = np.flatnonzero(left_s > RISK_SHARE * attempt.buffer_s)
        if not at_risk.size:
            return none
        usable = self._plans.values.shape[1]
        some = attempt.take(at_risk)
        some = msgspec.structs.replace(
            some, ladder_kbps=some.ladder_kbps[:usable], sizes_bits=some.sizes_bits[:, :usable]
        )
        none[at_risk] = rescue(
            some,
            self._plans,
            self._levels.weights,
            prices_of(self._params, attempt.ladder_kbps, is_told=False),
            trust_s=self._params.trust_s,
            margin=self._params.rescue_margin,
        )
        return none

    def patience_s(self, attempt: Attempt) -> Floats:
        """(n,): nothing is at risk for so long, even if no more bytes came."""
        took_s = np.maximum(attempt.elapsed_s - attempt.ttfb_s, 0.0)
        left_share = attempt.size_bits / np.maximum(attempt.received_bits, 1.0) - 1.0
        # From now on `left_share` seconds more are left with each second, and one less to play.
        slack_s = RISK_SHARE * attempt.buffer_s - left_share * took_s
        return np.maximum(slack_s / (left_share + RISK_SHARE), 0.0)

    def _outlooks(self, view: View) -> Outlooks:
        miss = self._outlook.of_miss(view)
        share = hit_share(view.history)
        if not share.any() and (view.hits_ahead is None or not (view.hits_ahead > 0).any()):
            return Outlooks(miss=miss, hit=miss, unsaid=miss)
        hit = self._outlook.of_hit(view)
        return Outlooks(miss=miss, hit=hit, unsaid=mixed(miss, hit, share))

    def _startup_penalty(self, view: View) -> float:
        return self._params.startup_penalty or 0.5 * stall_penalty_of(view.ladder_kbps)

    def _groups(self, view: View) -> Iterator[tuple[Rungs, int, bool]]:
        """Rows that are planned together, how many steps, and whether an edge has said what it
        holds: all before playback or none, all up to the title's end or none, and of segments as
        long."""
        duration_s = np.round(view.segment_duration_s, 3)
        wanted = np.ceil(self._params.plan_s / duration_s - 1e-6).clip(STEPS_MIN, HORIZON)
        step_count = np.minimum(wanted, view.segments_left)
        is_told: Flags = np.zeros(view.row_count, dtype=np.bool_)
        if view.hits_ahead is not None:
            is_told |= ~np.isnan(view.hits_ahead).all(axis=(1, 2))
        if view.row_count == 1:
            yield np.zeros(1, dtype=np.int64), int(step_count[0]), bool(is_told[0])
            return
        is_end = view.segments_left <= step_count
        keys = np.stack([step_count, duration_s, view.is_startup, is_end, is_told])
        kinds, kind = np.unique(keys, axis=1, return_inverse=True)
        for each in range(kinds.shape[1]):
            rows = np.flatnonzero(kind == each)
            for first in range(0, rows.size, ROWS_MAX):
                yield rows[first : first + ROWS_MAX], int(kinds[0, each]), bool(kinds[4, each])

    def _steps(
        self,
        view: View,
        rows: Rungs,
        usable: int,
        step_count: int,
        outlooks: Outlooks,
    ) -> Steps:
        durations_s = view.durations_s[rows, :step_count]
        sizes_bits = view.sizes_bits[rows, :step_count, :usable]
        if view.taken_kbps is not None:
            # The forecast is of the whole link: what comes beside takes its time at each level.
            taken_bits = view.taken_kbps[rows, None] * BITS_PER_KBIT * durations_s
            sizes_bits = sizes_bits + taken_bits[:, :, None]
        duration_s = float(durations_s[0, 0])
        bps, later_bps = self._chain(outlooks.unsaid, rows, step_count, duration_s)
        if view.hits_ahead is not None:
            said = view.hits_ahead[rows, :step_count, :usable].transpose(2, 0, 1)
            for what, is_said in ((outlooks.hit, said > 0.5), (outlooks.miss, said < 0.5)):
                if what is not outlooks.unsaid and is_said.any():
                    said_bps, said_later_bps = self._chain(what, rows, step_count, duration_s)
                    bps = np.where(is_said, said_bps, bps)
                    later_bps = np.where(is_said, said_later_bps, later_bps)
        return Steps(
            rates=(view.ladder_kbps[:usable] / KBPS_PER_MBPS).astype(np.float32),
            durations_s=durations_s.astype(np.float32),
            bits=np.ascontiguousarray(sizes_bits.transpose(2, 0, 1), dtype=np.float32),
            bps=bps,
            later_bps=later_bps,
            latency_s=view.ttfb_s[rows].astype(np.float32),
            limit_s=np.maximum(view.buffer_limit_s[rows], durations_s[:, 0]).astype(np.float32),
            is_end=int(view.segments_left[rows[0]]) <= step_count,
        )

    def _chances(self, duration_s: float) -> list[Singles]:
        """HORIZON matrices: from the level of each step to that of the next one."""
        step_s = max(round(duration_s, 1), 0.1)  # what is between makes no difference
        known = self._transitions.get(step_s)
        if known is None:
            moments_s = step_s * np.arange(HORIZON + 1, dtype=np.float64)
            ranks = self._outlook.rank_correlations(moments_s)
            known = [transitions(self._levels, each).astype(np.float32) for each in ranks]
            if len(self._transitions) >= DURATIONS_KEPT:
                self._transitions.clear()
            self._transitions[step_s] = known
        return known

    def _chain(
        self, forecast: Forecast, rows: Rungs, step_count: int, duration_s: float
    ) -> tuple[Singles, Singles]:
        """(levels, 1, n, steps) bit/s, and the mean of what follows each level."""
        kbps = self._levels.rates(forecast.levels, forecast.kbps[rows])  # (n, windows, levels)
        ahead_s = np.arange(step_count + 1) * duration_s + WINDOW_S_TOLERANCE
        window = np.searchsorted(self._outlook.window_starts_s, ahead_s, side="right") - 1
        bps = np.maximum(kbps[:, window], RATE_KBPS_MIN) * BITS_PER_KBIT  # (n, steps + 1, levels)
        chances = np.stack(self._chances(duration_s)[:step_count]).astype(np.float64)
        # Of what a level leads to in the step after: (n, steps, levels).
        mean = (bps[:, 1:, None, :] @ chances.swapaxes(1, 2))[:, :, 0]
        later_bps = np.maximum(mean, bps[:, :-1])

        def turned(rates: Floats) -> Singles:
            return np.ascontiguousarray(rates.transpose(2, 0, 1)[:, None], dtype=np.float32)

        return turned(bps[:, :-1]), turned(later_bps)

    def _worth(
        self,
        view: View,
        rows: Rungs,
        steps: Steps,
        after: Values | None,
        prices: Prices,
    ) -> Floats:
        """(rungs, n): expected, the change from the rung before taken off."""
        buffer_s = view.buffer_s[rows].astype(np.float32)[:, None]
        drawn = outcomes(steps, 0, after, buffer_s, prices, self._scratch)[
            ..., 0
        ]  # (rungs, levels, n)
        worth: Floats = np.einsum("rln,l->rn", drawn.astype(np.float64), self._levels.weights)
        before = np.minimum(view.last_rung[rows], steps.rates.size - 1)
        change = np.abs(steps.rates[:, None] - steps.rates[np.maximum(before, 0)])
        worth -= prices.switch * np.where(before < 0, 0.0, change)
        return worth

    def _remember(
        self, view: View, rows: Rungs, steps: Steps, after: Values | None, prices: Prices
    ) -> None:
        """Keep what giving up is judged by."""
        rungs = steps.rates.size
        if self._plans is None or self._plans.values.shape[1] != rungs:
            self._plans = no_plans(self._count, rungs, self._levels.count)
        last_rung = np.minimum(view.last_rung[rows], rungs - 1)
        remember(self._plans, view.session[rows], steps, after, last_rung, prices.stall)


@lru_cache(maxsize=MODELS_KEPT)
def _model(place: str) -> BandwidthModel:
    """Read once, for all the titles of a process. Raises InputError, SchemaMismatch or
    ModelError."""
    return BandwidthModel.load(place) if place else BandwidthModel.shipped()
