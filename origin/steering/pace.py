"""When clients are to ask again, so that an origin never has more to answer than it can."""

from __future__ import annotations

from typing import Final

from nearcast.steering import TTL_S_DEFAULT

TTL_S: Final = 10.0
TTL_S_TROUBLED: Final = 3.0
ANSWERS_PER_S_MAX: Final = 200.0
RATE_WINDOW_S: Final = 10.0


class Pace:
    """Counts answers. How many clients there are is estimated from what is asked and how soon
    they come back."""

    def __init__(self, ttl_s: float = TTL_S) -> None:
        self._ttl_s = ttl_s
        self._clients = 0.0
        self._window_s = 0.0
        self._promised_s = 0.0
        self.answered = 0

    def ttl_s(self, *, is_troubled: bool, now_s: float) -> float:
        """For one answer. `is_troubled`: something happened near the client lately."""
        self.answered += 1
        if now_s - self._window_s >= RATE_WINDOW_S:
            over_s = max(RATE_WINDOW_S, now_s - self._window_s)
            self._clients = self._promised_s / over_s
            self._window_s, self._promised_s = now_s, 0.0
        least_s = self._clients / ANSWERS_PER_S_MAX
        wanted_s = TTL_S_TROUBLED if is_troubled else self._ttl_s
        ttl_s = min(max(wanted_s, least_s), TTL_S_DEFAULT)
        # A client that is told to come back in 10 s stands for 10 s of one client's time.
        self._promised_s += ttl_s
        return ttl_s
