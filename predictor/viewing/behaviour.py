"""How viewers behave, as numbers: what `predictor.viewing.viewers` draws from.

The defaults are fitted (`predictor.viewing.fit`) so that drawn plays show the public logs' rates;
what the statistics do not hold is assumed, and says so.
"""

from __future__ import annotations

import msgspec
import numpy as np

from predictor.viewing.measure import RUNS

SUCCESSOR, OTHER_EPISODE, SAME, OTHER_SERIES, FILM = range(5)
"""What may be played next: the successor, another episode of the series, the same again, another
series, a film; in the order of `measure.KINDS`."""

Kinds = tuple[float, float, float, float, float]


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """One population of viewers."""

    stop_hazard: tuple[float, ...]
    """(20,) Of the plays that reach a twentieth of an episode, the share that stops within it;
    whoever passes the last one watches past the estimated end."""
    by_completion: tuple[float, ...]
    """(7,) Log-odds of going on to the successor within half an hour, in the middle of each of
    COMPLETION_BUCKETS; linear between."""
    by_run: tuple[float, ...]  # (8,) added, at the lengths RUNS
    by_hour: tuple[float, ...]  # (12,) added, by two local hours
    eager_share: float = 0.75
    """Of stops within an episode, those that do not happen late in a long run."""
    by_log_runtime: float = -0.5
    """Added per factor e of the episode's run time; from how long sittings last."""
    viewer_sd: float = 0.6  # of a viewer's own log-odds; measured over 98 viewers
    series_sd: float = 0.8  # of a viewer's liking of a series, in the same log-odds
    liking_finish: float = 0.2
    """Per unit of liking: the chance that how far a play gets is the better of two draws."""
    liking_return: float = 1.0
    """Per unit of liking: log-odds that the series is what the viewer comes back for."""
    liking_gap: float = 0.15  # per unit of liking: how much sooner, as the log of an exponent
    resume_sooner: float = 1.2
    """How much sooner an episode is taken up again than other things, likewise."""
    successor_sooner: float = 0.3
    habit_sd: float = 0.4  # of a viewer's log-odds of coming back to a series at all
    resume_finish: float = 0.9
    """The chance that how far a resumed episode gets is the better of two draws."""
    mood_sd: float = 0.5  # of a sitting's; binge viewing is no constant trait
    mood_stays: float = 1.2  # what a mood adds to the log-odds of going on with something else
    soon_shares: tuple[float, float, float] = (0.675, 0.176, 0.149)
    """Of successors within half an hour: within a minute, five minutes, or later."""
    eager_at_once: float = 0.5
    """How much sooner eager viewers are there, within that half hour: log-odds of a later share
    taken per log-odds of going on."""
    stays_finished: float = 0.19
    """Chance that the sitting goes on with something else, after a finished episode."""
    stays_unfinished: float = 0.1
    stays_film: float = 0.25
    next_soon_finished: Kinds = (0.0, 0.34, 0.02, 0.44, 0.2)
    next_soon_unfinished: Kinds = (0.0, 0.2, 0.0, 0.55, 0.25)
    next_soon_film: Kinds = (0.05, 0.02, 0.0, 0.25, 0.68)
    """After a film, the first three mean the series watched last."""
    next_later_finished: Kinds = (0.6, 0.05, 0.02, 0.2, 0.13)
    next_later_unfinished: Kinds = (0.2, 0.02, 0.71, 0.04, 0.03)
    next_later_film: Kinds = (0.04, 0.02, 0.05, 0.14, 0.75)
    back_share: float = 0.5
    """Of turns to another series, those back to one that is open already."""
    resume_back_share: float = 0.9
    """Of returns to a series left within an episode, those that take up that episode."""
    jump_back_share: float = 0.7  # of turns to another episode, those a little back; assumed
    fresh_share: float = 0.6  # of series taken up, those from the first episode; assumed
    gap_at: tuple[float, ...]
    """Probabilities of a distribution function of the gap between sittings, from 0 to 1."""
    gap_h: tuple[float, ...]  # hours at those probabilities
    gap_successor_span: float = 0.97
    """How much of that distribution is left to those who come back for the successor."""
    start_hour: tuple[float, ...]  # (24,) weights by which sittings choose their local hour
    activity_shape: float = 4.0  # of the gamma distribution of viewers' activity
    film_resume_share: float = 0.3  # of films taken up after a film left early, the same again
    film_finished_share: float = 0.15
    film_early: float = 1.5  # the others stop at a share 0.9 u ** this, u uniform
    probe_share: float = 0.0
    """Of choices, those that turn out to be a look of less than 90 s at something else."""
    device_shares: tuple[float, float, float] = (0.40, 0.30, 0.30)  # DEVICES; assumed
    device_loyalty: float = 0.8  # assumed

    def completion_shares(self) -> np.ndarray:
        """(21,) Shares of plays by twentieth of the run time, the last for those past the end."""
        hazard = np.array(self.stop_hazard)
        reached = np.concatenate([[1.0], np.cumprod(1.0 - hazard)])
        return np.append(reached[:-1] * hazard, reached[-1])


RUN_LENGTHS = np.array(RUNS, dtype=np.float64)
