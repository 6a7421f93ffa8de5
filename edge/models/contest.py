"""Two models beside each other: one that is to prove itself, and one that has."""

from __future__ import annotations

from edge.config import ModelsConfig
from edge.models import verdicts
from edge.models.events import Refusal
from edge.models.outcomes import Scored
from edge.models.run import Run
from edge.models.score import Comparison


class Contest:
    """From the moment that both answer to the moment that one of them goes."""

    def __init__(
        self, newer: Run, older: Run, config: ModelsConfig, *, outcomes: int, now_s: float
    ) -> None:
        """It is over after so many plays (`outcomes`), or after `models.shadow_s_max`."""
        self.newer = newer
        self.older = older
        self.until_s = now_s + config.shadow_s_max
        self._config = config
        self._outcomes = outcomes
        self._compared = Comparison(config.window)

    def __len__(self) -> int:
        return len(self._compared)

    def score(self, scored: Scored) -> None:
        """The truth about a question, if both have answered it."""
        ours = scored.answers.get(self.newer.run_id)
        theirs = scored.answers.get(self.older.run_id)
        if ours is not None and theirs is not None:
            self._compared.add(scored.play_no, ours, theirs, scored.is_followed)

    def reason(self, now_s: float) -> Refusal | None:
        """What there is against the newer one."""
        return verdicts.of_newer(
            self.newer, self.older, self._compared, self._config, is_last=self.is_over(now_s)
        )

    def is_over(self, now_s: float) -> bool:
        return len(self._compared) >= self._outcomes or now_s >= self.until_s
