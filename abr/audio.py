"""Which rendition of the audio is played: one for the whole title, another where that one fails."""

from __future__ import annotations

from abr.title import Track


class AudioChoice:
    """`choices` are all there are in the language, `rung` is the one to begin with."""

    def __init__(self, choices: Track, rung: int) -> None:
        self._choices = choices
        self._rung = rung
        self._tried: set[int] = set()
        self._tried_at_s = -1.0

    def track(self) -> Track:
        return Track("audio", [self._choices.representations[self._rung]])

    def other(self, end_s: float) -> Track | None:
        """Instead of the one that has nothing to go on with after `end_s`: the nearest below, or
        else above, that was not tried there; None when all were."""
        if end_s != self._tried_at_s:
            self._tried, self._tried_at_s = set(), end_s
        self._tried.add(self._rung)
        lower_first = [*range(self._rung, -1, -1), *range(self._rung, self._choices.rung_count)]
        for rung in lower_first:
            if rung not in self._tried and self._choices.has_next(rung, end_s):
                self._rung = rung
                return self.track()
        return None
