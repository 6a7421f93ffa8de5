"""Conversions between the units of the wire and ours: seconds, bytes, kbit/s (1000 bits)."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from nearcast.errors import ConfigError

BITS_PER_BYTE: Final = 8
BITS_PER_KBIT: Final = 1000
KBPS_PER_MBPS: Final = 1000
MS_PER_S: Final = 1000
HOUR_S: Final = 3_600
DAY_S: Final = 86_400

SIZE_TEXT_LENGTH_MAX: Final = 24
"""Enough for any disk to the byte, and within the 28 digits that decimals keep exactly."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|[kKMGT]i?B?)?")
_SIZE_FACTORS = {
    prefix + infix: base**power
    for power, prefix in enumerate(("", "k", "m", "g", "t"))
    for infix, base in (("", 1000), ("i", 1024))
    if prefix or not infix
}


def bits_from_bytes(size_bytes: float) -> float:
    return size_bytes * BITS_PER_BYTE


def bytes_per_s_from_kbps(bitrate_kbps: float) -> float:
    return bitrate_kbps * BITS_PER_KBIT / BITS_PER_BYTE


def kbps_from_bytes_per_s(rate_bytes_per_s: float) -> float:
    return rate_bytes_per_s * BITS_PER_BYTE / BITS_PER_KBIT


def kbps(size_bytes: float, duration_s: float) -> float:
    """The mean rate of `size_bytes` sent in `duration_s` (> 0)."""
    return kbps_from_bytes_per_s(size_bytes / duration_s)


def bps_from_kbps(bitrate_kbps: float) -> int:
    return round(bitrate_kbps * BITS_PER_KBIT)


def kbps_from_bps(bitrate_bps: float) -> float:
    return bitrate_bps / BITS_PER_KBIT


def s_from_ms(time_ms: float) -> float:
    return time_ms / MS_PER_S


def ms_from_s(time_s: float) -> float:
    return time_s * MS_PER_S


def parse_size(text: str) -> int:
    """Bytes meant by `10GB`, `512MiB` or `4096`. Decimal prefixes are powers of 1000, as on disks.

    Raises ConfigError when the text is not a size.
    """
    match = _SIZE.fullmatch(text.strip()) if len(text) <= SIZE_TEXT_LENGTH_MAX else None
    if match is None:
        raise ConfigError(f"{text!r} is not a size; write for example 10GB, 512MiB or 4096")
    unit = (match[2] or "").lower().removesuffix("b")
    return int(Decimal(match[1]) * _SIZE_FACTORS[unit])


def format_size(size_bytes: float) -> str:
    """A size for people: `1.4 GB`."""
    if abs(size_bytes) < 999.5:
        return f"{size_bytes:.0f} B"
    value = size_bytes / 1000
    for unit in ("kB", "MB", "GB"):
        if abs(value) < 999.95:  # above, it would be shown as 1000.0
            return f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
