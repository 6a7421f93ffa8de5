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

from edge.prefetch.tallies import halved
from edge.sessions import Session
from predictor.features import CONTINUE_WITHIN_S

TITLES_MAX: Final = 20_000
KNOWN_MAX: Final = 500
"""Viewers remembered per title, by halving; and never more that went on from it, so that a title
has no more successors than this either."""
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

    def halve_if_many(self) -> None:
        if max(self.count, self.followed.total()) > KNOWN_MAX:
            self.count //= 2
            self.followed = halved(self.followed)


class Observed:
    """Transitions between titles, counted."""

    def __init__(self, observed_min: int, from_share: float) -> None:
        """`observed_min` 0: nothing is said. `from_share`: of a title, from which on its viewers
        count."""
        self._observed_min = observed_min
        self._from_share = from_share
        self._seen: OrderedDict[str, _Seen] = OrderedDict()  # seen longest ago first

    def __len__(self) -> int:
        return len(self._seen)

    def started(self, session: Session) -> None:
        """A viewer begins a title, perhaps after another one."""
        before = session.previous
        if before is None or before.share < self._from_share or before.url == session.title_url:
            return
        seen = self._seen.get(before.url)
        if before.gap_s <= CONTINUE_WITHIN_S and seen is not None:
            seen.followed[session.title_url] += 1
            seen.halve_if_many()

    def reached(self, title_url: str) -> None:
        """A viewer has come so far into it that it is asked what follows; once each."""
        seen = self._seen.setdefault(title_url, _Seen())
        self._seen.move_to_end(title_url)
        seen.count += 1
        seen.halve_if_many()
        if len(self._seen) > TITLES_MAX:
            self._seen.popitem(last=False)

    def successor_count(self, title_url: str) -> int:
        """How many titles are remembered as following it."""
        seen = self._seen.get(title_url)
        return len(seen.followed) if seen is not None else 0

    def likely(self, title_url: str) -> Followed | None:
        """What most of them went on to, if that was seen often enough."""
        seen = self._seen.get(title_url)
        if not self._observed_min or seen is None or not seen.followed:
            return None
        url, count = max(seen.followed.items(), key=lambda one: (one[1], one[0]))
        if count < self._observed_min:
            return None
        return Followed(url, min(count / (seen.count + DOUBT), 1.0))
