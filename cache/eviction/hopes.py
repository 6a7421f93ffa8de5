"""What is expected of each group of objects: who may ask for it, how soon, and how popular it is.

A group is what is asked for together: a title, or one version of it. It knows up to four viewers
who may ask for it, each with the time from which their probabilities count (nearcast.horizons): for
what follows what they watched, as it was foretold; for what they left in the middle, by how often
that is taken up again. Beside them stands its popularity, requests that fade over months. The worth
of a group is the probability that it is asked for within `window_s`.

Viewers are tokens of whoever tells: nothing here says who they are, and `forget` leaves nothing.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Annotated, Final

import msgspec

from nearcast.config import Section
from nearcast.horizons import HORIZONS_S, within
from nearcast.units import HOUR_S

GROUPS_MAX: Final = 250_000
"""About 300 bytes each; those told of longest ago go first."""

VIEWERS_PER_GROUP: Final = 4
"""Those heard of last; beyond so many a group is popular anyway."""

RESUME_SOON: Final = 0.2
"""Of those who resume at all, within half an hour."""
RESUME_DAY: Final = 0.75

WEEK_S: Final = HORIZONS_S[-1]

_KEPT_H: Final = (0.0, 0.25, 0.5, 1, 2, 4, 8, 16, 24, 36, 48, 72, 96, 120, 144)
"""Times at which `kept_s` looks; what lasts beyond them is kept for a week."""

_Positive = Annotated[float, msgspec.Meta(gt=0)]
_NotNegative = Annotated[float, msgspec.Meta(ge=0)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class ExpectedParams(Section, frozen=True, kw_only=True):
    """Chosen on generated logs of other seeds than those shown, see docs/results/prefetch.md."""

    window_s: _Positive = 6 * 3600.0
    popularity_s: _Positive = 120 * 86_400.0
    popularity_first: _NotNegative = 0.15
    """Requests by others to come, per request there was."""
    popularity_again: _NotNegative = 0.1
    """Beyond that, per request after the first."""
    popularity_none: _NotNegative = 0.1
    """Of what nobody has asked for yet."""
    broken_off: _Share = 0.35
    """Share of plays that end before 90 %."""
    resumed: _Share = 0.5
    """Share of plays broken off that are taken up again."""
    later: _Share = 0.1
    """Of those who have not come within a week, the share within four."""
    spare: _Positive = 2.0
    """An unused prefetch counts so many times: its loss costs its fetch as well as the miss."""
    drawn_count: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 32


class _Hope(msgspec.Struct, frozen=True):
    since_s: float
    chances: Sequence[float]
    is_watching: bool = False


class _Group:
    __slots__ = ("hopes", "popular_s", "popularity")

    def __init__(self, now_s: float) -> None:
        self.hopes: dict[Hashable, _Hope] | None = None  # most groups never have any
        self.popularity = 0.0
        self.popular_s = now_s


class Hopes:
    """What is expected, by group. Groups told of longest ago are forgotten beyond a bound."""

    def __init__(self, params: ExpectedParams, *, count_max: int = GROUPS_MAX) -> None:
        self._of = params
        self._count_max = count_max
        self._groups: OrderedDict[Hashable, _Group] = OrderedDict()
        self._groups_of: dict[Hashable, dict[Hashable, None]] = {}  # viewer -> hopes in these
        self._resumes = self._resume(params.resumed)
        self._breaks_off = self._resume(params.broken_off * params.resumed)

    def __len__(self) -> int:
        return len(self._groups)

    @property
    def viewer_count(self) -> int:
        """Of whom anything is expected."""
        return len(self._groups_of)

    # -- what is told

    def asked(
        self,
        group: Hashable,
        viewer: Hashable,
        ends_s: float,
        now_s: float,
        *,
        is_watching: bool = False,
    ) -> None:
        """A viewer has started it; it would end then. `is_watching`: the objects of the group are
        parts of it that are asked for one after another, so that most are still to come."""
        self._hope(group, viewer, _Hope(ends_s, self._breaks_off, is_watching), now_s)
        self.counted(group, now_s)

    def left(self, group: Hashable, viewer: Hashable, now_s: float, *, is_finished: bool) -> None:
        """A viewer has left it: seen, or in the middle."""
        if is_finished:
            self.drop(group, viewer)
        else:
            self._hope(group, viewer, _Hope(now_s, self._resumes), now_s)

    def foretold(
        self,
        group: Hashable,
        viewer: Hashable,
        since_s: float,
        probabilities: Sequence[float],
        now_s: float,
    ) -> None:
        """A viewer may go on to it, within the horizons after `since_s`."""
        self._hope(group, viewer, _Hope(since_s, probabilities), now_s)

    def drop(self, group: Hashable, viewer: Hashable) -> None:
        """Nothing is expected of this viewer here any more."""
        known = self._groups.get(group)
        if known is not None and known.hopes is not None and viewer in known.hopes:
            del known.hopes[viewer]
            self._unlink(group, viewer)

    def forget(self, viewer: Hashable) -> None:
        """Leave nothing of this viewer."""
        for group in tuple(self._groups_of.get(viewer, ())):
            self.drop(group, viewer)

    def drop_group(self, group: Hashable) -> None:
        """It is gone for good."""
        known = self._groups.pop(group, None)
        if known is not None and known.hopes is not None:
            for viewer in known.hopes:
                self._unlink(group, viewer)

    def counted(self, group: Hashable, now_s: float) -> None:
        """Somebody has asked for it."""
        known = self._group(group, now_s)
        known.popularity = self._popularity(known, now_s) + 1.0
        known.popular_s = now_s

    def _hope(self, group: Hashable, viewer: Hashable, hope: _Hope, now_s: float) -> None:
        known = self._group(group, now_s)
        if known.hopes is None:
            known.hopes = {}
        hopes = known.hopes
        if viewer not in hopes and len(hopes) >= VIEWERS_PER_GROUP:
            oldest = min(hopes, key=lambda each: hopes[each].since_s)
            self.drop(group, oldest)
        hopes[viewer] = hope
        self._groups_of.setdefault(viewer, {})[group] = None

    def _group(self, group: Hashable, now_s: float) -> _Group:
        known = self._groups.get(group)
        if known is None:
            known = self._groups[group] = _Group(now_s)
            if len(self._groups) > self._count_max:
                oldest, forgotten = self._groups.popitem(last=False)
                for viewer in forgotten.hopes or ():
                    self._unlink(oldest, viewer)
        else:
            self._groups.move_to_end(group)
        return known

    def _unlink(self, group: Hashable, viewer: Hashable) -> None:
        groups = self._groups_of[viewer]
        del groups[group]
        if not groups:
            del self._groups_of[viewer]

    def _resume(self, chance: float) -> tuple[float, float, float]:
        return chance * RESUME_SOON, chance * RESUME_DAY, chance

    # -- what is expected

    def has(self, group: Hashable, viewer: Hashable) -> bool:
        """Whether anything is expected of this viewer here."""
        return group in self._groups_of.get(viewer, ())

    def groups_of(self, viewer: Hashable) -> tuple[Hashable, ...]:
        """Of which anything is expected of this viewer."""
        return tuple(self._groups_of.get(viewer, ()))

    def worth(self, group: Hashable, now_s: float) -> float:
        """P(asked for within the window)."""
        of = self._of
        known = self._groups.get(group)
        if known is None:
            return 1.0 - math.exp(-of.popularity_none * of.window_s / of.popularity_s)
        idle = 1.0
        for hope in known.hopes.values() if known.hopes is not None else ():
            idle *= 1.0 - self._still(hope.chances, now_s - hope.since_s)
        popularity = self._popularity(known, now_s)
        rate = (
            of.popularity_none
            + of.popularity_first * popularity
            + of.popularity_again * max(popularity - 1.0, 0.0)
        )
        return 1.0 - idle * math.exp(-rate * of.window_s / of.popularity_s)

    def is_watched(self, group: Hashable, now_s: float) -> bool:
        """Whether somebody is watching it, and asks for its parts one after another."""
        known = self._groups.get(group)
        if known is None or not known.hopes:
            return False
        return any(one.is_watching and now_s <= one.since_s for one in known.hopes.values())

    def kept_s(self, probabilities: Sequence[float], least: float) -> float:
        """How long what is hoped for so much is worth more than `least` before it comes true."""
        for time_h in _KEPT_H:
            if self._still(probabilities, time_h * HOUR_S) <= least:
                return time_h * HOUR_S
        return WEEK_S

    def _popularity(self, known: _Group, now_s: float) -> float:
        return known.popularity * math.exp((known.popular_s - now_s) / self._of.popularity_s)

    def _still(self, chances: Sequence[float], waited_s: float) -> float:
        """P(asked for within the window from now), having waited so long in vain."""
        before = self._ever(chances, waited_s)
        by_then = self._ever(chances, waited_s + self._of.window_s)
        return (by_then - before) / max(1.0 - before, 1e-6)

    def _ever(self, chances: Sequence[float], time_s: float) -> float:
        if time_s <= 0.0:
            return 0.0
        found = within(chances, time_s)
        if time_s > WEEK_S:
            weeks = min(math.log(time_s / WEEK_S) / math.log(4.0), 1.0)
            found += (1.0 - found) * self._of.later * weeks
        return found
