"""What players say of themselves (CMCD), for one viewing and for the node since it started.

Start-up: what the player says itself (`msd` of version 2), else the time from its first request to
the first without `su`, which a player sets until the picture runs. A stall is a report with `bs`
after that; before it the buffer is empty because nothing has come yet.
"""

from __future__ import annotations

from typing import Final

from nearcast.cmcd import Cmcd
from nearcast.fleet import Qoe

STARTUP_S_MAX: Final = 300.0
"""Longer than this nobody waits: something else happened in between."""


class Report:
    """Of one viewing."""

    __slots__ = (
        "_began_s",
        "_is_starting",
        "bitrate_count",
        "bitrate_kbps",
        "error_count",
        "report_count",
        "stall_count",
        "startup_s",
    )

    def __init__(self, began_s: float) -> None:
        self._began_s = began_s
        self._is_starting = False
        self.startup_s: float | None = None
        self.report_count = 0
        self.stall_count = 0
        self.bitrate_kbps = 0.0
        """Sum over `bitrate_count` reports."""
        self.bitrate_count = 0
        self.error_count = 0

    def heard(self, said: Cmcd, at_s: float, *, is_picture: bool) -> None:
        """The player asked for something, and said this."""
        is_first = self.report_count == 0
        self.report_count += 1
        if self.startup_s is None:
            self._start(said, at_s, is_first=is_first)
        if said.is_starved and not (said.is_startup and self._is_starting):
            self.stall_count += 1
        if is_picture and said.bitrate_kbps is not None:
            self.bitrate_kbps += said.bitrate_kbps
            self.bitrate_count += 1
        if said.error_code is not None or said.state == "f":
            self.error_count += 1

    def _start(self, said: Cmcd, at_s: float, *, is_first: bool) -> None:
        if said.start_delay_s is not None:
            self.startup_s = min(said.start_delay_s, STARTUP_S_MAX)
            self._is_starting = False
        elif said.is_startup:
            self._is_starting = self._is_starting or is_first
        elif self._is_starting:
            self._is_starting = False
            if 0.0 <= at_s - self._began_s <= STARTUP_S_MAX:
                self.startup_s = at_s - self._began_s

    @property
    def average_kbps(self) -> float | None:
        return self.bitrate_kbps / self.bitrate_count if self.bitrate_count else None


class QoeSums:
    """Of all viewings."""

    def __init__(self) -> None:
        self._session_count = 0
        self._startup_s = 0.0
        self._startup_count = 0
        self._report_count = 0
        self._stall_count = 0
        self._bitrate_kbps = 0.0
        self._bitrate_count = 0
        self._error_count = 0

    def begun(self) -> None:
        self._session_count += 1

    def heard(self, report: Report, said: Cmcd, at_s: float, *, is_picture: bool) -> None:
        """Add what this makes of the viewing's report to the sums."""
        stalls, errors = report.stall_count, report.error_count
        rate_kbps, rate_count = report.bitrate_kbps, report.bitrate_count
        was_started = report.startup_s is not None
        report.heard(said, at_s, is_picture=is_picture)
        self._report_count += 1
        self._stall_count += report.stall_count - stalls
        self._error_count += report.error_count - errors
        self._bitrate_kbps += report.bitrate_kbps - rate_kbps
        self._bitrate_count += report.bitrate_count - rate_count
        if report.startup_s is not None and not was_started:
            self._startup_s += report.startup_s
            self._startup_count += 1

    def figures(self) -> Qoe:
        return Qoe(
            session_count=self._session_count,
            startup_s=self._startup_s,
            startup_count=self._startup_count,
            report_count=self._report_count,
            stall_count=self._stall_count,
            bitrate_kbps=self._bitrate_kbps,
            bitrate_count=self._bitrate_count,
            error_count=self._error_count,
        )
