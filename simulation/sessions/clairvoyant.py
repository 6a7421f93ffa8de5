"""The controller that knows the future: it follows plans made beforehand."""

from __future__ import annotations

import numpy as np

from abr.view import GO_ON, Attempt, Rungs, View


class Clairvoyant:
    """Plays session `i` by row `i` of `rungs` (sessions, segments), and gives nothing up.

    With the plans of `simulation.sessions.optimum` it is the limit that no controller passes, on
    the plain transport and without hits; elsewhere it is only a plan made for other conditions.
    """

    def __init__(self, rungs: Rungs) -> None:
        self._rungs = rungs

    def choose(self, view: View) -> Rungs:
        chosen: Rungs = self._rungs[view.session, view.segment_index]
        return chosen

    def abandon(self, attempt: Attempt) -> Rungs:
        return np.full(attempt.session.size, GO_ON)
