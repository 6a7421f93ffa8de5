"""Two models beside each other: one that is to prove itself, and one that has."""

from __future__ import annotations

from typing import Final

from edge.config import ModelsConfig
from edge.models import verdicts
from edge.models.events import Refusal
from edge.models.outcomes import Scored
from edge.models.run import Run
from edge.models.score import Comparison
from nearcast.horizons import HORIZONS

WAITED_FOR: Final = 2
"""Horizons that must be known before it is over: half an hour and a day. What is known of the third
counts too, but nobody waits a week for it: the model is looked at alone when it is."""


class Contest:
    """From the moment that both answer to the moment that one of them goes."""

    def __init__(
        self, newer: Run, older: Run, config: ModelsConfig, *, outcomes: int, now_s: float
    ) -> None:
        """It is over after so many plays (`outcomes`), or after `models.shadow_s_max` if there
        were `models.quiet_outcomes`. As long as there are fewer, it goes on."""
        self.newer = newer
        self.older = older
        self.until_s = now_s + config.shadow_s_max
        self._config = config
        self._outcomes = outcomes
        self._compared = tuple(Comparison(max(config.window, outcomes)) for _ in HORIZONS)

    def __len__(self) -> int:
        """Plays compared, within the horizon of which less is known."""
        return min(map(len, self._compared[:WAITED_FOR]))

    def score(self, scored: Scored) -> None:
        """The truth about a question, if both have answered it."""
        ours = scored.answers.get(self.newer.run_id)
        theirs = scored.answers.get(self.older.run_id)
        if ours is not None and theirs is not None:
            compared = self._compared[scored.horizon_index]
            compared.add(scored.play_no, ours, theirs, scored.is_followed)

    def reason(self, now_s: float) -> Refusal | None:
        """What there is against the newer one."""
        return verdicts.of_newer(
            self.newer, self.older, self._compared, self._config, is_last=self.is_over(now_s)
        )

    def decides(self, now_s: float) -> int:
        """How many plays it takes by now."""
        if now_s < self.until_s:
            return self._outcomes
        return min(self._outcomes, self._config.quiet_outcomes)

    def is_over(self, now_s: float) -> bool:
        return len(self) >= self.decides(now_s)
