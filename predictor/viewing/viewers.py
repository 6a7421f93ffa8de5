"""Viewers who all move in step, one play each, so that a step is a few array operations.

A play's course:

1. Completion comes from the drop-off hazard, whoever watches.
2. Whether an episode's successor starts within half an hour is a coin with log-odds
   `completion + run length + local hour + viewer + liking of the series + mood of the sitting`.
   The tables are fitted until drawn plays show the measured rates: long runs select eager viewers,
   so the measured rise of the rate with run length must not be put in a second time.
3. If not, the sitting goes on with something else, or ends; what is played next is drawn by what
   was played. A turn to another series leads back to one that is open, or to a new one.
4. Gaps between sittings come from one distribution, bent by the viewer's activity; of several
   draws the one at a fitting local hour is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from nearcast.units import HOUR_S
from predictor.features import FINISHED_PROGRESS
from predictor.viewing.behaviour import (
    FILM,
    OTHER_EPISODE,
    OTHER_SERIES,
    RUN_LENGTHS,
    SAME,
    SUCCESSOR,
    Behaviour,
)
from predictor.viewing.course import Bools, Floats, Ints
from predictor.viewing.gaps import Gaps
from predictor.viewing.open_series import SERIES_OPEN, OpenSeries
from predictor.viewing.shelf import Shelf
from predictor.viewing.statistics import COMPLETION_EDGES

_RUNTIME_S = 1500.0  # where by_log_runtime adds nothing
_PLAY_S_MIN = 60.5
_RUN_EAGER = (1.0, 5.0)  # run lengths between which viewers turn eager
_JUMP_BACK_MAX = 3  # episodes
_FINISHED_BIN = 18  # of twentieths of the run time
_PROBE_S = (3.0, 90.0)
_ACTIVITY_MIN = 0.15

Step = dict[str, Floats | Ints | Bools]


class Crowd(msgspec.Struct, frozen=True, kw_only=True):
    """Many who start one title within minutes, as when all speak of it."""

    at_s: float  # UTC
    film: int
    share: float  # of the viewers who do not watch just then
    spread_s: float = 600.0  # mean delay


class Viewers:
    """All viewers, each in the middle of a play."""

    def __init__(
        self,
        behaviour: Behaviour,
        shelf: Shelf,
        region: Ints,
        start_s: Floats,
        rng: np.random.Generator,
        crowds: Sequence[Crowd] = (),
        utc_offset_s: Floats | None = None,
    ) -> None:
        """`start_s`: local times of the first plays; `region` of each viewer, for picking."""
        self._crowds = tuple(crowds)
        self._utc_offset_s = np.zeros(len(region)) if utc_offset_s is None else utc_offset_s
        self.behaviour, self.shelf, self.rng = behaviour, shelf, rng
        count = len(region)
        self.viewer = np.arange(count)
        self.region = region
        self.start_s = start_s
        self._log_odds = rng.normal(0.0, behaviour.viewer_sd, count)
        shape = behaviour.activity_shape
        self._habit = rng.normal(0.0, behaviour.habit_sd, count)
        self._activity = np.maximum(rng.gamma(shape, 1.0 / shape, count), _ACTIVITY_MIN)
        self._favourite = self._draw_devices(count)
        self.film = np.full(count, -1, dtype=np.int64)
        self._film_is_open = np.zeros(count, dtype=bool)
        self.is_film = np.zeros(count, dtype=bool)
        self.is_probe = np.zeros(count, dtype=bool)
        self._open = OpenSeries(count)
        self._run = np.ones(count)
        self._is_resumed = np.zeros(count, dtype=bool)
        self._mood = rng.normal(0.0, behaviour.mood_sd, count)
        completion = behaviour.completion_shares()
        self._completion_cdf = np.cumsum(completion / completion.sum())
        self._kinds = np.cumsum(
            [
                behaviour.next_soon_unfinished,
                behaviour.next_soon_finished,
                behaviour.next_soon_film,
                behaviour.next_later_unfinished,
                behaviour.next_later_finished,
                behaviour.next_later_film,
            ],
            axis=1,
        )
        self._kinds /= self._kinds[:, -1:]
        stays = [behaviour.stays_unfinished, behaviour.stays_finished, behaviour.stays_film]
        self._stay_odds = np.log(stays) - np.log1p(-np.array(stays))
        self._gaps = Gaps(behaviour, rng)
        self._take_up(np.ones(count, dtype=bool))

    def keep(self, chosen: Bools) -> None:
        """Go on with these alone."""
        self._open.keep(chosen)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray) and name not in _TABLES:
                setattr(self, name, value[chosen])

    def step(self) -> Step:
        """What each viewer plays now; afterwards they are at their next play."""
        behaviour, rng, count = self.behaviour, self.rng, len(self.viewer)
        is_film, is_probe = self.is_film, self.is_probe
        series, episode = self._open.series[:, 0].copy(), self._open.episode[:, 0].copy()
        runtime_s = np.where(is_film, self.shelf.film_s[self.film], self.shelf.episode_s[series])
        completion = np.maximum(self._draw_completion(), _PLAY_S_MIN / runtime_s)
        watched_s = completion * runtime_s
        if behaviour.probe_share:
            watched_s = np.where(is_probe, rng.uniform(*_PROBE_S, count), watched_s)
        end_s = self.start_s + watched_s
        played: Step = {
            "viewer": self.viewer,
            "start_s": self.start_s,
            "watched_s": watched_s,
            "runtime_s": runtime_s,
            "series": np.where(is_film, -1, series),
            "episode": episode,
            "film": np.where(is_film, self.film, -1),
            "device": self._draw_device(),
        }
        is_finished = completion >= FINISHED_PROGRESS
        has_next = episode + 1 < self.shelf.episode_count[series]
        is_soon = self._goes_on(completion, runtime_s) & ~is_film & ~is_probe & has_next
        row = np.where(is_film, 2, is_finished.astype(np.int64))
        stay_odds = self._stay_odds[row] + behaviour.mood_stays * self._mood
        stays = rng.random(count) < 1.0 / (1.0 + np.exp(-stay_odds))
        kind = np.where(is_soon, SUCCESSOR, self._next_kind(row, stays))
        kind = np.where((kind == SUCCESSOR) & ~has_next, OTHER_SERIES, kind)
        if behaviour.probe_share:
            # A look at something leads to another choice at once.
            stays |= is_probe
            kind = np.where(is_probe, rng.choice((OTHER_SERIES, FILM), count), kind)
        stays |= is_soon
        gap_s = np.where(
            stays,
            self._gaps.within_sitting(is_soon, self._eager()),
            self._gaps.between_sittings(end_s, kind, self._activity, self._open.liking[:, 0]),
        )
        self._open.is_left[:, 0] = np.where(is_film, self._open.is_left[:, 0], ~is_finished)
        self._film_is_open = np.where(is_film, ~is_finished, self._film_is_open)
        self.start_s = end_s + gap_s
        self._is_resumed = kind == SAME
        self._move_on(kind)
        for crowd in self._crowds:
            self._gather(crowd, end_s, stays)
        is_run = is_soon & (kind == SUCCESSOR)
        self._run = np.where(is_run, self._run + 1.0, 1.0)
        mood = rng.normal(0.0, behaviour.mood_sd, count)
        self._mood = np.where(stays, self._mood, mood)
        if behaviour.probe_share:
            is_choice = (kind == OTHER_SERIES) | (kind == FILM)
            self.is_probe = is_choice & (rng.random(count) < behaviour.probe_share)
        return played

    def _next_kind(self, row: Ints, stays: Bools) -> Ints:
        """What is played next unless the successor is at once."""
        rng, count = self.rng, len(row)
        table = np.where(stays, row, row + 3)
        kind = (rng.random(count)[:, None] > self._kinds[table]).sum(axis=1)
        # After the sitting, liking and habit decide whether the viewer comes back to this series;
        # the tables hold for a viewer without any of either.
        returns = self._kinds[table, SAME]
        odds = self.behaviour.liking_return * self._open.liking[:, 0] + self._habit
        chance = returns / (returns + (1.0 - returns) * np.exp(-odds))
        draw = np.where(
            rng.random(count) < chance,
            returns * rng.random(count),
            returns + (1.0 - returns) * rng.random(count),
        )
        later = (draw[:, None] > self._kinds[table]).sum(axis=1)
        return np.asarray(np.minimum(np.where(stays | (row == 2), kind, later), FILM))

    def _goes_on(self, completion: Floats, runtime_s: Floats) -> Bools:
        behaviour = self.behaviour
        hour = (self.start_s / HOUR_S % 24.0).astype(np.int64) // 2
        odds = (
            np.interp(completion, _COMPLETION_MIDDLE, behaviour.by_completion)
            + np.interp(self._run, RUN_LENGTHS, behaviour.by_run)
            + np.array(behaviour.by_hour)[hour]
            + self._eager()
            + behaviour.by_log_runtime * np.log(runtime_s / _RUNTIME_S)
        )
        return np.asarray(self.rng.random(len(odds)) < 1.0 / (1.0 + np.exp(-odds)))

    def _eager(self) -> Floats:
        """Log-odds that the viewer, the liking of the series and the mood of the sitting add."""
        return np.asarray(self._log_odds + self._open.liking[:, 0] + self._mood)

    def _draw_completion(self) -> Floats:
        rng, count = self.rng, len(self.viewer)
        bins = len(self._completion_cdf)
        draw = rng.random(count)
        # Whoever is deep in a run seldom stops within an episode: some of those stops are redrawn.
        depth = np.clip((self._run - _RUN_EAGER[0]) / (_RUN_EAGER[1] - _RUN_EAGER[0]), 0.0, 1.0)
        again = rng.random(count) < depth * self.behaviour.eager_share
        again &= draw < self._completion_cdf[_FINISHED_BIN - 1]
        draw = np.where(again, rng.random(count), draw)
        # Who likes the series gets further, who does not stops earlier; so do those who resume.
        liking = np.where(self.is_film, 0.0, self._open.liking[:, 0])
        other = rng.random(count)
        sways = rng.random(count) < np.abs(liking) * self.behaviour.liking_finish
        draw = np.where(sways & (liking > 0), np.maximum(draw, other), draw)
        draw = np.where(sways & (liking < 0), np.minimum(draw, other), draw)
        sways = self._is_resumed & (rng.random(count) < self.behaviour.resume_finish)
        draw = np.where(sways, np.maximum(draw, rng.random(count)), draw)
        position = np.searchsorted(self._completion_cdf, draw, side="right")
        position = np.minimum(position, bins - 1)
        within = rng.random(count)
        # Past the end of the estimated run time, by at most a tenth.
        over = position == bins - 1
        episode = np.where(over, 1.0 + 0.1 * within, (position + within) / (bins - 1))
        is_done = rng.random(count) < self.behaviour.film_finished_share
        film = np.where(is_done, 0.9 + 0.1 * within, 0.9 * within**self.behaviour.film_early)
        return np.asarray(np.where(self.is_film, film, episode))

    def _move_on(self, kind: Ints) -> None:
        rng, count, behaviour = self.rng, len(kind), self.behaviour
        was_film = self.is_film
        self.is_film = kind == FILM
        # After a film, "the same again" and "the successor" mean the series watched last: whether
        # its episode was left tells which of the two it is.
        takes_up = was_film & ((kind == SUCCESSOR) | (kind == SAME))
        kind = np.where(takes_up, np.where(self._open.is_left[:, 0], SAME, SUCCESSOR), kind)
        length = self.shelf.episode_count[self._open.series[:, 0]]
        jump = np.floor(rng.random(count) * length).astype(np.int64)
        episode = self._open.episode[:, 0]
        # Most go back a little, as after having slept through it or to watch with another.
        near = episode - 1 - np.floor(_JUMP_BACK_MAX * rng.random(count)).astype(np.int64)
        is_near = (rng.random(count) < behaviour.jump_back_share) & (near >= 0)
        jump = np.where(is_near, near, jump)
        episode = np.where(kind == SUCCESSOR, episode + 1, episode)
        episode = np.where(kind == OTHER_EPISODE, jump, episode)
        is_over = episode >= length
        self._open.episode[:, 0] = np.minimum(episode, length - 1)
        turns = (kind == OTHER_SERIES) | (is_over & ~self.is_film)
        back = turns & (rng.random(count) < behaviour.back_share)
        slot = np.minimum(rng.geometric(0.5, count), SERIES_OPEN - 1)
        who = np.arange(count)
        behind = self._open.series[who, slot]
        # A series that was watched to its end is nothing to come back to.
        is_done = ~self._open.is_left[who, slot]
        is_done &= self._open.episode[who, slot] + 1 >= self.shelf.episode_count[behind]
        back &= (behind >= 0) & ~is_done
        self._go_back(back, slot)
        self._take_up(turns & ~back)
        self._choose_film(self.is_film, was_film)

    def _go_back(self, chosen: Bools, slot: Ints) -> None:
        """Bring the series of that slot to the front."""
        at = np.flatnonzero(chosen)
        if not len(at):
            return
        self._open.bring_forward(at, slot[at])
        resumes = self._open.is_left[at, 0]
        resumes &= self.rng.random(len(at)) < self.behaviour.resume_back_share
        episode = self._open.episode[at, 0] + ~resumes
        self._open.episode[at, 0] = np.minimum(
            episode, self.shelf.episode_count[self._open.series[at, 0]] - 1
        )

    def _take_up(self, chosen: Bools) -> None:
        """Another series, from its start or somewhere within; the oldest open one is forgotten."""
        at = np.flatnonzero(chosen)
        if not len(at):
            return
        rng = self.rng
        series = self.shelf.pick_series(self.start_s[at], self.region[at], rng)
        length = self.shelf.episode_count[series]
        is_fresh = rng.random(len(at)) < self.behaviour.fresh_share
        within = np.floor(rng.random(len(at)) * length).astype(np.int64)
        liking = rng.normal(0.0, self.behaviour.series_sd, len(at))
        self._open.open(at, series, np.where(is_fresh, 0, within), liking)

    def _gather(self, crowd: Crowd, end_s: Floats, stays: Bools) -> None:
        """Those who are free when it happens come early, and for that title."""
        at_s = crowd.at_s + self._utc_offset_s
        comes = ~stays & (end_s < at_s) & (self.start_s > at_s)
        comes &= self.rng.random(len(comes)) < crowd.share
        at = np.flatnonzero(comes)
        self.start_s[at] = at_s[at] + self.rng.exponential(crowd.spread_s, len(at))
        self.is_film[at] = True
        self.film[at] = crowd.film

    def _choose_film(self, chosen: Bools, was_film: Bools) -> None:
        at = np.flatnonzero(chosen)
        if not len(at):
            return
        film = self.shelf.pick_film(self.start_s[at], self.region[at], self.rng)
        is_same = self._film_is_open[at] & (
            self.rng.random(len(at)) < self.behaviour.film_resume_share
        )
        self.film[at] = np.where(is_same & (self.film[at] >= 0), self.film[at], film)

    def _draw_devices(self, count: int) -> Ints:
        edges = np.cumsum(self.behaviour.device_shares)[:2]
        return np.asarray(np.searchsorted(edges, self.rng.random(count), side="right"))

    def _draw_device(self) -> Ints:
        is_usual = self.rng.random(len(self._favourite)) < self.behaviour.device_loyalty
        return np.where(is_usual, self._favourite, self._draw_devices(len(self._favourite)))


_COMPLETION_MIDDLE = (np.array(COMPLETION_EDGES[:-1]) + COMPLETION_EDGES[1:]) / 2.0
_TABLES = frozenset({"_completion_cdf", "_kinds", "_stay_odds"})
