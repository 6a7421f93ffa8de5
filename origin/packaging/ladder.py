"""Which renditions a source is worth: sizes, rates, names.

All rungs have exactly the same aspect ratio, in even sizes, so that players switch between them
without a jump of one pixel and muxers accept them side by side. Exact ratios are rare for odd
sources (854x480), so the ladder stands on a *unit*, a small even size whose ratio is within 1 % of
the source's; every rung is a whole multiple of it.

Rungs are named by their shorter side, as people name them: `720p` is 1280x720, and 720x1280 for a
video filmed upright.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from nearcast.errors import InputError

STANDARD_SIDES: Final = (144, 240, 360, 540, 720, 1080, 1440, 2160)
AUTO_SIDE_MIN: Final = 240
SMALL_SOURCE_SIDE: Final = 480  # below it a choice of rungs needs a smaller smallest one
# A standard rung this close below the source adds cost and no choice; the source's size replaces
# it.
NEXT_TO_SOURCE: Final = 0.85
UNIT_SIDE_MAX: Final = 40
RATIO_ERROR_MAX: Final = 0.01
RUNG_COUNT_MAX: Final = 12
SIDE_MIN: Final = 16
SIDE_MAX: Final = 8192  # what H.264 level 6.2 and most decoders end at

# 2800 kbit/s suits 720p at 30 frames/s with x264 veryfast. Rates grow slower than pixels, since
# larger pictures have more redundancy; the exponent gives the usual 5-5.5 Mbit/s for 1080p30 and
# 250 kbit/s for 144p30.
_REFERENCE_KBPS: Final = 2800.0
_REFERENCE_PIXELS: Final = 1280 * 720
_PIXEL_EXPONENT: Final = 0.75
_REFERENCE_FRAME_RATE: Final = 30.0
_FRAME_RATE_EXPONENT: Final = 0.6

_RUNG = re.compile(r"(\d{2,4})p")


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """One video rendition to be made. `rate_kbps` is the rate the encoder may not exceed over
    about a second."""

    id: str
    width: int
    height: int
    rate_kbps: float


def make_ladder(
    width: int, height: int, frame_rate: float, rungs: Sequence[str] | None = None
) -> tuple[Rung, ...]:
    """Rungs by rising size for a picture shown as `width` x `height` square pixels.

    `rungs` are names such as `360p`; None chooses them. Nothing is scaled up: what is larger than
    the source becomes the source's size, once. Raises InputError for a name that is no rung.
    """
    if min(width, height) < SIDE_MIN or max(width, height) > SIDE_MAX:
        raise InputError(
            f"the picture is {width}x{height}; sides from {SIDE_MIN} to {SIDE_MAX} can be packaged"
        )
    source_side = min(width, height)
    unit_width, unit_height = _unit(width, height)
    multiple_max = min(width // unit_width, height // unit_height)
    sides = _auto_sides(source_side) if rungs is None else _named_sides(rungs, source_side)
    ladder: dict[int, Rung] = {}
    for side in sides:
        wished = round(side / min(unit_width, unit_height))
        multiple = min(max(1, wished), multiple_max)
        if multiple not in ladder:
            rung_width, rung_height = unit_width * multiple, unit_height * multiple
            ladder[multiple] = Rung(
                id=f"{side}p",
                width=rung_width,
                height=rung_height,
                rate_kbps=rate_kbps(rung_width, rung_height, frame_rate),
            )
    return tuple(ladder[multiple] for multiple in sorted(ladder))


def rate_kbps(width: int, height: int, frame_rate: float) -> float:
    """The rate to allow for pictures of this size and frequency, to 10 kbit/s."""
    pixels = width * height / _REFERENCE_PIXELS
    frequency = min(max(frame_rate, 5.0), 120.0) / _REFERENCE_FRAME_RATE
    rate = _REFERENCE_KBPS * pixels**_PIXEL_EXPONENT * frequency**_FRAME_RATE_EXPONENT
    return max(40.0, float(round(rate, -1)))


def parse_rungs(text: str) -> tuple[str, ...] | None:
    """`240p,360p` as names, `auto` as None. Raises InputError."""
    if text.strip() == "auto":
        return None
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    _named_sides(names, SIDE_MAX)
    return names


def _auto_sides(source_side: int) -> tuple[int, ...]:
    side_min = STANDARD_SIDES[0] if source_side < SMALL_SOURCE_SIDE else AUTO_SIDE_MIN
    below = [side for side in STANDARD_SIDES if side_min <= side <= source_side * NEXT_TO_SOURCE]
    return tuple(dict.fromkeys([*below, source_side]))


def _named_sides(names: Sequence[str], source_side: int) -> tuple[int, ...]:
    if not names or len(names) > RUNG_COUNT_MAX:
        raise InputError(f"--rungs: name 1 to {RUNG_COUNT_MAX} rungs, for example 240p,360p,720p")
    sides = []
    for name in names:
        match = _RUNG.fullmatch(name)
        if match is None or not SIDE_MIN <= int(match[1]) <= SIDE_MAX:
            raise InputError(f"--rungs: {name!r} is no rung; write for example 240p,360p or auto")
        sides.append(min(int(match[1]), source_side))
    return tuple(sorted(set(sides)))


def _unit(width: int, height: int) -> tuple[int, int]:
    """The even size that rungs are multiples of: the one that loses least of the source's ratio
    (counted tenfold) and size. A source that no small unit fits gets one rung, its even size."""
    best: tuple[float, int, int] | None = None
    for unit_width, unit_height in _units(width, height):
        multiple = min(width // unit_width, height // unit_height)
        error = abs(unit_width * height / (unit_height * width) - 1)
        if multiple == 0 or error > RATIO_ERROR_MAX:
            continue
        lost = 1 - multiple * min(unit_width, unit_height) / min(width, height)
        # Equal losses: the smaller unit, since it gives finer steps.
        candidate = (round(10 * error + lost, 9), unit_width, unit_height)
        best = min(best, candidate) if best is not None else candidate
    if best is None:
        return width // 2 * 2, height // 2 * 2
    return best[1], best[2]


def _units(width: int, height: int) -> Iterator[tuple[int, int]]:
    for short in range(2, UNIT_SIDE_MAX + 1, 2):
        long = round(short * max(width, height) / min(width, height) / 2) * 2
        yield (long, short) if width >= height else (short, long)
