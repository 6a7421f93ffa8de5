"""Stretches of a title that nobody has: playback jumps over them."""

from __future__ import annotations

from bisect import insort


class Holes:
    """Disjoint spans of playback time, in order."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []

    def add(self, start_s: float, end_s: float) -> None:
        """Spans that touch or overlap become one."""
        apart = []
        for span in self.spans:
            if span[1] < start_s or span[0] > end_s:
                apart.append(span)
            else:
                start_s, end_s = min(span[0], start_s), max(span[1], end_s)
        insort(apart, (start_s, end_s))
        self.spans = apart

    def width_s(self, start_s: float, end_s: float) -> float:
        """How much of `start_s` to `end_s` is missing."""
        return sum(max(0.0, min(b, end_s) - max(a, start_s)) for a, b in self.spans)

    def playable_end_s(self, end_s: float) -> float:
        """Where playback gets to with media up to `end_s`: a hole is jumped only as a whole."""
        return next((a for a, b in self.spans if a <= end_s < b), end_s)

    def after(self, start_s: float, span_s: float) -> float:
        """The position after playing for `span_s` from `start_s`."""
        position_s = start_s
        for a, b in self.spans:
            if b <= position_s:
                continue
            if position_s + span_s < a:
                break
            span_s -= max(0.0, a - position_s)
            position_s = b
        return position_s + span_s
