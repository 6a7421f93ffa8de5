"""What prefetching may take, and what it costs, at which time of the day.

Backhauls are empty at night: the windows of `[prefetch]` say when more may be fetched and what a
byte costs then. Outside of all windows the plain settings hold. Times are the viewers' local ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from edge.config.watching import WindowConfig

_S_PER_H: Final = 3600.0
_S_PER_DAY: Final = 86_400.0
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
        utc_offset_h: float,
    ) -> None:
        self._shift_s = epoch_s + utc_offset_h * _S_PER_H
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
        """Another number for each local day."""
        return int((self._shift_s + now_s) // _S_PER_DAY)

    def midnight_s(self, now_s: float) -> float:
        """When the local day ends."""
        return now_s + _S_PER_DAY - self._local_s(now_s) + _LATER_S

    def change_s(self, now_s: float) -> float:
        """When another tariff may hold, at the latest at midnight."""
        local_s = self._local_s(now_s)
        for boundary_s in self._boundaries_s:
            if boundary_s > local_s:
                return now_s + boundary_s - local_s + _LATER_S
        return self.midnight_s(now_s)

    def _local_s(self, now_s: float) -> float:
        return (self._shift_s + now_s) % _S_PER_DAY
