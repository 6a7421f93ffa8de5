"""One model that runs, and what is known of how it does."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, Literal

from edge.models.drift import Drift
from edge.models.score import Window
from nearcast.horizons import HORIZONS_S, are_probabilities

Source = Literal["local", "registry"]
State = Literal["starting", "shadow", "active", "probation", "previous"]
"""probation: active, with the one before it still answering beside it as `previous`."""

LATENCIES: Final = 200
LATENCIES_MIN: Final = 100
_P99: Final = 0.99


class Run:
    """A model in a process."""

    def __init__(
        self,
        run_id: int,
        *,
        source: Source,
        folder: str,
        manifest_sha256: str,
        now_s: float,
        window: int,
        model_id: str | None = None,
    ) -> None:
        self.run_id = run_id
        self.source: Source = source
        self.folder = folder
        self.manifest_sha256 = manifest_sha256
        self.model_id = model_id
        """None: a local one that has not been read yet."""
        self.state: State = "starting"
        self.since_s = now_s
        self.is_answering = False
        """Not while its process is being started, for the first time or anew."""
        self.windows = tuple(Window(window) for _ in HORIZONS_S)
        self.drift = Drift((), {})
        self.answer_count = 0
        self.error_count = 0
        self.errors_in_a_row = 0
        self.log_loss_when_new: dict[int, float] = {}
        """As the active model, by horizon, over its first full window."""
        self._latencies_s: deque[float] = deque(maxlen=LATENCIES)

    @property
    def name(self) -> str:
        return self.model_id if self.model_id is not None else self.folder

    def became(self, state: State, now_s: float) -> None:
        self.state, self.since_s = state, now_s

    def answered(self, rows: Sequence[Sequence[float]], took_s: float | None) -> bool:
        """Whether the answer is one."""
        self.answer_count += 1
        if took_s is not None:
            self._latencies_s.append(took_s)
        if rows and all(are_probabilities(row) for row in rows):
            self.errors_in_a_row = 0
            return True
        self.error_count += 1
        self.errors_in_a_row += 1
        return False

    def p99_s(self) -> float | None:
        """None while too few answers are known to have a slowest hundredth."""
        count = len(self._latencies_s)
        if count < LATENCIES_MIN:
            return None
        return sorted(self._latencies_s)[min(count - 1, int(_P99 * count))]
