"""Amounts watched by title, region and period: what demand is foreseen from.

There are two sorts. A *whole* history is counted from a log of plays: a title that nobody watched
has 0. A *list* names the most watched only, as a weekly top ten does: where it does not name a
title, nothing is known (NaN), and a forecast means "if the list names it again".
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DAY: Final = "day"
WEEK: Final = "week"
DAYS: Final = {DAY: 1, WEEK: 7}


class DemandHistory(msgspec.Struct, frozen=True, kw_only=True):
    """One period after the other without gaps; the last is the one to look ahead from."""

    amounts: Floats  # (titles, regions, periods), any one unit; NaN: not named by a list
    age: Ints  # (titles, periods) periods the title has counted, 1 in its first; 0: not yet seen
    category: Ints  # (titles,) position in `categories`
    length_h: Floats  # (titles, periods) hours it lasts, NaN unknown
    first_share: Floats  # (titles,) part of its first period in which it was out, (0, 1]
    is_list: bool
    period: str  # DAY or WEEK
    first_day: int  # days since 1970 (a Thursday) of the first day of the first period
    titles: tuple[str, ...]
    regions: tuple[str, ...]
    categories: tuple[str, ...]

    @property
    def period_count(self) -> int:
        return int(self.amounts.shape[2])

    def until(self, count: int) -> DemandHistory:
        """The same titles, as if only the first `count` periods had been."""
        return msgspec.structs.replace(
            self,
            amounts=self.amounts[:, :, :count],
            age=self.age[:, :count],
            length_h=self.length_h[:, :count],
        )


def check_history(history: DemandHistory) -> None:
    """Raises InputError for arrays that do not fit each other, or amounts that make no sense."""
    titles, regions, periods = history.amounts.shape
    if (
        history.age.shape != (titles, periods)
        or history.length_h.shape != (titles, periods)
        or history.category.shape != (titles,)
        or history.first_share.shape != (titles,)
        or len(history.titles) != titles
        or len(history.regions) != regions
    ):
        raise InputError("the arrays of a demand history do not have one shape")
    if history.period not in DAYS:
        raise InputError(f"a demand history counts days or weeks, got {history.period!r}")
    if periods == 0 or titles == 0:
        raise InputError("a demand history needs a period and a title")
    known = history.amounts if not history.is_list else np.nan_to_num(history.amounts, nan=0.0)
    if not (np.isfinite(known).all() and (known >= 0.0).all()):
        raise InputError("the amounts of a demand history must be numbers from 0")
