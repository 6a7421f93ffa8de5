"""How far a viewer has got, from the segments a player asks for.

The player tells how much it holds (CMCD `bl`): then the picture it shows is that much before the
start of the segment it asks for. Without that the picture is taken to run from the first request
on. Either way it runs in real time until it reaches the end of what was asked for, where it waits.
"""

from __future__ import annotations

from typing import Final

SEEK_TOLERANCE_S: Final = 1.0
"""Gaps and overlaps between segments smaller than this are the packager's, not the viewer's."""

END_TOLERANCE_S: Final = 0.1
"""The last frame of the picture is shown a little before the end that the manifest rounds to."""

ROUNDING_S: Final = 1e-6
"""At the time that `when_s` names, `share` has got there: sums of floats meet within this."""


class Progress:
    """One viewing of one title. Positions are on the title's time line."""

    def __init__(self, runtime_s: float) -> None:
        self.runtime_s = runtime_s
        self.downloaded_end_s = 0.0
        self._position_s = 0.0
        self._at_s = 0.0
        self._watched_s = 0.0
        self._rate = 1.0
        self._has_started = False

    def requested(
        self,
        start_s: float,
        end_s: float,
        at_s: float,
        *,
        buffer_s: float | None = None,
        rate: float | None = None,
        extends: bool = True,
    ) -> None:
        """A segment was asked for. `extends` False: of a track that runs beside the picture."""
        at_s = max(at_s, self._at_s)
        told_s = max(start_s - buffer_s, 0.0) if buffer_s is not None else None
        if not self._has_started:
            self._has_started = True
            self._position_s = told_s if told_s is not None else start_s
            self._at_s = at_s
            self.downloaded_end_s = end_s
        elif self._is_seek(start_s, end_s, at_s):
            self._move(told_s if told_s is not None else start_s, at_s, is_played=False)
            self.downloaded_end_s = end_s
        else:
            now_s = self.position_s(at_s)
            is_behind = start_s < self.downloaded_end_s - SEEK_TOLERANCE_S
            if told_s is not None and not is_behind:
                # A correction back in time is no seek: the picture stalled, or started late.
                self._move(told_s, at_s, is_played=told_s > self._position_s)
            else:
                self._move(now_s, at_s, is_played=True)
            if extends:
                self.downloaded_end_s = max(self.downloaded_end_s, end_s)
        if rate is not None:
            self._rate = rate

    def position_s(self, now_s: float) -> float:
        if self._rate <= 0:
            return self._position_s
        reached_s = self._position_s + max(now_s - self._at_s, 0.0) * self._rate
        return min(reached_s, max(self.downloaded_end_s, self._position_s))

    def share(self, now_s: float) -> float:
        """Of the title, 0..1."""
        if self.runtime_s <= 0:
            return 0.0
        position_s = self.position_s(now_s)
        if position_s >= self.runtime_s - END_TOLERANCE_S - ROUNDING_S:
            return 1.0
        return position_s / self.runtime_s

    def watched_s(self, now_s: float) -> float:
        """Media time shown so far."""
        return self._watched_s + self.position_s(now_s) - self._position_s

    def when_s(self, share: float) -> float | None:
        """When that share is reached if nothing more is asked for; None if it is not."""
        wanted_s = share * self.runtime_s
        if share >= 1.0:
            wanted_s = self.runtime_s - END_TOLERANCE_S
        if self.runtime_s <= 0 or self._rate <= 0 or wanted_s > self.downloaded_end_s:
            return None
        return self._at_s + max(wanted_s - self._position_s, 0.0) / self._rate

    def played_out_s(self) -> float:
        """When everything asked for has been shown."""
        left_s = max(self.downloaded_end_s - self._position_s, 0.0)
        return self._at_s + left_s / self._rate if self._rate > 0 else self._at_s + left_s

    def _is_seek(self, start_s: float, end_s: float, at_s: float) -> bool:
        if start_s > self.downloaded_end_s + SEEK_TOLERANCE_S:
            return True
        return end_s < self.position_s(at_s) - (end_s - start_s) - SEEK_TOLERANCE_S

    def _move(self, position_s: float, at_s: float, *, is_played: bool) -> None:
        if is_played:
            self._watched_s += max(position_s - self._position_s, 0.0)
        self._position_s = position_s
        self._at_s = at_s
