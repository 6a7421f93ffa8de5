"""Exact segment times for manifests: whole ticks of a timescale, without drift.

Boundaries are rounded one by one and durations are their differences, so an error never adds up.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from nearcast.media import Rendition, Segment

VIDEO_TIMESCALE: Final = 90_000
"""Holds 24, 25, 30, 50, 60 frames/s and 30000/1001 exactly."""

FINE_TIMESCALE: Final = 10_000_000
"""Taken where nothing coarser is exact: 0.1 us, as Smooth Streaming has it."""

EXACT_S: Final = 2e-7
"""How near a boundary must be to a whole tick to count as exact; a fifth of a microsecond is far
below a sample and far above the rounding of sums of floats."""

_CANDIDATES: Final = (24_000, 30_000, 60_000, 44_100, 48_000)


def choose_timescale(
    rendition: Rendition, segments: Sequence[Segment], wanted: int | None = None
) -> int:
    """`wanted`, or the natural timescale of the rendition, if it is exact; else one that is."""
    natural = rendition.sample_rate_hz if rendition.kind == "audio" else VIDEO_TIMESCALE
    for candidate in (wanted, natural, VIDEO_TIMESCALE, *_CANDIDATES):
        if candidate is not None and is_exact(segments, candidate):
            return candidate
    return FINE_TIMESCALE


def is_exact(segments: Sequence[Segment], timescale: int) -> bool:
    return all(
        abs(time_s - round(time_s * timescale) / timescale) <= EXACT_S
        for segment in segments
        for time_s in (segment.start_s, segment.end_s)
    )


def ticks(segments: Sequence[Segment], timescale: int) -> list[tuple[int, int]]:
    """(start, duration) of each segment, the duration at least 1.

    A segment ends where the next begins if the two are less than a tick apart.
    """
    starts = [round(segment.start_s * timescale) for segment in segments]
    made = []
    for index, segment in enumerate(segments):
        end = round(segment.end_s * timescale)
        if index + 1 < len(starts) and abs(starts[index + 1] - end) <= 1:
            end = starts[index + 1]
        made.append((starts[index], max(1, end - starts[index])))
    return made


def fraction_text(frame_rate: float) -> str:
    """A frame rate as DASH writes it: `30`, or `30000/1001`."""
    for under in (1, 1001):
        over = round(frame_rate * under / 1000) * 1000 if under == 1001 else round(frame_rate)
        if over > 0 and abs(over / under - frame_rate) < 1e-6:
            return str(over) if under == 1 else f"{over}/{under}"
    value = Fraction(frame_rate).limit_denominator(100_000)
    return f"{value.numerator}/{value.denominator}"
