"""What time it is at the origin, as its answers tell.

Of the last answers the quickest is believed: half of what it took is all it can be wrong by. Until
there is one, and when our own calendar steps (it was set, or the machine had been suspended), the
calendar is believed.
"""

from __future__ import annotations

from collections import deque
from typing import Final

SAMPLES: Final = 8
NEWS_S: Final = 0.25
"""A change that is worth telling."""
STEP_S: Final = 1.0
"""Less is how clocks drift, and the origin's answers say it better."""


class OriginTime:
    """How far the origin's clock is ahead of ours."""

    def __init__(self, epoch_s: float) -> None:
        self._epoch_s = epoch_s
        self._samples: deque[tuple[float, float]] = deque(maxlen=SAMPLES)  # took, ahead
        self._stepped_s = 0.0
        self.ahead_s = 0.0

    def stepped(self, system_wall_s: float, now_s: float) -> bool:
        """Our own calendar says this. Whether it has stepped: earlier answers say nothing then."""
        stepped_s = system_wall_s - (self._epoch_s + now_s)
        step_s = stepped_s - self._stepped_s
        if abs(step_s) < STEP_S:
            return False
        self._stepped_s = stepped_s
        self._samples.clear()
        self.ahead_s += step_s
        return True

    def heard(self, origin_wall_s: float, sent_s: float, now_s: float) -> bool:
        """An answer that was asked for at `sent_s` has come. Whether that changes much."""
        took_s = max(0.0, now_s - sent_s)
        ahead_s = origin_wall_s + took_s / 2 - (self._epoch_s + now_s)
        self._samples.append((took_s, ahead_s))
        _, best_s = min(self._samples)
        is_news = abs(best_s - self.ahead_s) >= NEWS_S
        if is_news:
            self.ahead_s = best_s
        return is_news

    def wall_s(self, now_s: float) -> float:
        return self._epoch_s + now_s + self.ahead_s
