"""What viewers of this edge went on to: foresight where nobody says what follows what.

Of those who came far enough into a title to be asked about, how many started which title within
half an hour of its end. Counted with a doubt that a few observations do not outweigh, and not
spoken of before there are `observed_min` for one successor. Kept for a bounded number of titles;
counts are halved when they grow, so that what is watched changes with what is on offer.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Final

import msgspec

from edge.sessions import Session
from predictor.features import CONTINUE_WITHIN_S

TITLES_MAX: Final = 20_000
KNOWN_MAX: Final = 500
"""Viewers remembered per title, by halving."""
DOUBT: Final = 3.0
"""Viewers who did not go on that are added to those counted."""


class Followed(msgspec.Struct, frozen=True):
    """What is watched next, and how often it was."""

    url: str
    probability: float
    """Of its start within half an hour of the end."""


class _Seen:
    def __init__(self) -> None:
        self.count = 0
        self.followed: Counter[str] = Counter()


class Observed:
    """Transitions between titles, counted."""

    def __init__(self, observed_min: int, from_share: float) -> None:
        """`observed_min` 0: nothing is said. `from_share`: of a title, from which on its viewers
        count."""
        self._observed_min = observed_min
        self._from_share = from_share
        self._seen: OrderedDict[str, _Seen] = OrderedDict()  # seen longest ago first

    def started(self, session: Session) -> None:
        """A viewer begins a title, perhaps after another one."""
        before = session.previous
        if before is None or before.share < self._from_share or before.url == session.title_url:
            return
        if before.gap_s <= CONTINUE_WITHIN_S and before.url in self._seen:
            self._seen[before.url].followed[session.title_url] += 1

    def reached(self, title_url: str) -> None:
        """A viewer has come so far into it that it is asked what follows; once each."""
        seen = self._seen.setdefault(title_url, _Seen())
        self._seen.move_to_end(title_url)
        seen.count += 1
        if seen.count > KNOWN_MAX:
            seen.count //= 2
            for url in list(seen.followed):
                seen.followed[url] //= 2
        if len(self._seen) > TITLES_MAX:
            self._seen.popitem(last=False)

    def likely(self, title_url: str) -> Followed | None:
        """What most of them went on to, if that was seen often enough."""
        seen = self._seen.get(title_url)
        if not self._observed_min or seen is None or not seen.followed:
            return None
        url, count = max(seen.followed.items(), key=lambda one: (one[1], one[0]))
        if count < self._observed_min:
            return None
        return Followed(url, min(count / (seen.count + DOUBT), 1.0))
