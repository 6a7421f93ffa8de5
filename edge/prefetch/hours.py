"""What prefetching may take, and what it costs, at which time of the day.

Backhauls are empty at night: the windows of `[prefetch]` say when more may be fetched and what a
byte costs then. Outside of all windows the plain settings hold. Times are those that the viewers'
clocks show: an hour that is left out when they are put forward is no window that day.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from edge.config.watching import WindowConfig
from nearcast.local_time import LocalTime
from nearcast.units import DAY_S

_LATER_S: Final = 1e-3
"""A wake-up at a boundary comes this much behind it, so that no rounding puts it before."""


class Tariff(msgspec.Struct, frozen=True, kw_only=True):
    """What holds at one moment."""

    name: str
    """The window's hours, or empty outside of all."""
    rate_factor: float
    cost_now: float


class Hours:
    """The tariffs of a day."""

    def __init__(
        self,
        windows: Sequence[WindowConfig],
        *,
        cost_now: float,
        epoch_s: float,
        local_time: LocalTime,
    ) -> None:
        self._epoch_s = epoch_s
        self._local_time = local_time
        self._plain = Tariff(name="", rate_factor=1.0, cost_now=cost_now)
        self._windows = tuple(
            (
                *window.span_s(),
                Tariff(
                    name=window.hours,
                    rate_factor=window.rate_factor,
                    cost_now=cost_now if window.cost_now is None else window.cost_now,
                ),
            )
            for window in windows
        )
        self._boundaries_s = sorted(
            {at for begin_s, end_s, _ in self._windows for at in (begin_s, end_s)}
        )

    def tariff(self, now_s: float) -> Tariff:
        """Of the windows that hold now the first."""
        local_s = self._local_s(now_s)
        for begin_s, end_s, tariff in self._windows:
            if begin_s <= end_s:
                is_inside = begin_s <= local_s < end_s
            else:  # over midnight
                is_inside = local_s >= begin_s or local_s < end_s
            if is_inside:
                return tariff
        return self._plain

    def day_no(self, now_s: float) -> int:
        """Greater for each later local day. Where clocks are put back at midnight it goes back."""
        return int(self._local_time.local_s(self._epoch_s + now_s) // DAY_S)

    def midnight_s(self, now_s: float) -> float:
        """When the local day ends, or clocks are set before."""
        return self._unless_set(now_s, now_s + DAY_S - self._local_s(now_s)) + _LATER_S

    def change_s(self, now_s: float) -> float:
        """When another tariff may hold, at the latest at midnight or when clocks are set."""
        local_s = self._local_s(now_s)
        for boundary_s in self._boundaries_s:
            if boundary_s > local_s:
                return self._unless_set(now_s, now_s + boundary_s - local_s) + _LATER_S
        return self.midnight_s(now_s)

    def _local_s(self, now_s: float) -> float:
        return self._local_time.local_s(self._epoch_s + now_s) % DAY_S

    def _unless_set(self, now_s: float, due_s: float) -> float:
        set_wall_s = self._local_time.change_after(self._epoch_s + now_s)
        return due_s if set_wall_s is None else min(due_s, set_wall_s - self._epoch_s)
