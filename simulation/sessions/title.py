"""A title as sessions play it: one ladder, and the size of every segment at every rung."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np

from abr.view import HORIZON, Floats, Rungs
from nearcast.errors import InputError
from nearcast.units import s_from_ms


class SessionTitle:
    """`sizes_bits` (segments, rungs); every segment lasts `segment_s`."""

    def __init__(self, ladder_kbps: Floats, segment_s: float, sizes_bits: Floats) -> None:
        self.ladder_kbps = ladder_kbps
        self.segment_s = segment_s
        self.sizes_bits = sizes_bits
        count, rungs = sizes_bits.shape
        padding = np.full((HORIZON, rungs), np.nan)
        self._padded = np.concatenate([sizes_bits, padding])
        self._durations_s = np.concatenate([np.full(count, segment_s), padding[:, 0]])
        ahead = np.arange(count)[:, None] + np.arange(HORIZON)
        self._sizes_ahead = self._padded[ahead]
        self._durations_ahead_s = self._durations_s[ahead]

    @property
    def segment_count(self) -> int:
        return int(self.sizes_bits.shape[0])

    @property
    def rung_count(self) -> int:
        return int(self.sizes_bits.shape[1])

    @property
    def duration_s(self) -> float:
        return self.segment_count * self.segment_s

    def upcoming(self, segment_index: int) -> tuple[Floats, Floats]:
        """Durations (horizon,) and sizes in bits (horizon, rungs) from this segment on; NaN past
        the end."""
        ahead = slice(segment_index, segment_index + HORIZON)
        return self._durations_s[ahead], self._padded[ahead]

    def upcoming_of(self, segment_index: Rungs) -> tuple[Floats, Floats]:
        """The same for many: (n, horizon) and (n, horizon, rungs), not to be written to."""
        first = int(segment_index[0])
        if (segment_index == first).all():
            durations_s, sizes_bits = self.upcoming(first)
            count = segment_index.size
            return (
                np.broadcast_to(durations_s, (count, *durations_s.shape)),
                np.broadcast_to(sizes_bits, (count, *sizes_bits.shape)),
            )
        return self._durations_ahead_s[segment_index], self._sizes_ahead[segment_index]


class _TitleFile(msgspec.Struct, frozen=True, kw_only=True):
    segment_duration_ms: float
    bitrates_kbps: list[float]
    segment_sizes_bits: list[list[float]]


def read_title(path: Path) -> SessionTitle:
    """A title in the JSON form of Sabre: `segment_duration_ms`, `bitrates_kbps` and
    `segment_sizes_bits[segment][rung]`.

    Raises InputError that names the file and what is wrong in it.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    try:
        found = msgspec.json.decode(text, type=_TitleFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}{_where(text)} is not a title: {error}") from error
    ladder_kbps = np.array(found.bitrates_kbps, dtype=np.float64)
    if ladder_kbps.size == 0 or not np.isfinite(ladder_kbps).all() or ladder_kbps[0] <= 0:
        raise InputError(f"{path}: bitrates_kbps needs rates above 0")
    if (np.diff(ladder_kbps) <= 0).any():
        raise InputError(f"{path}: bitrates_kbps must rise")
    if not 0 < found.segment_duration_ms < float("inf"):
        raise InputError(f"{path}: segment_duration_ms must be above 0")
    if not found.segment_sizes_bits:
        raise InputError(f"{path}: segment_sizes_bits is empty")
    for index, row in enumerate(found.segment_sizes_bits):
        if len(row) != ladder_kbps.size:
            raise InputError(
                f"{path}: segment_sizes_bits[{index}] has {len(row)} sizes for "
                f"{ladder_kbps.size} rates"
            )
        if not all(0 < size < float("inf") for size in row):
            raise InputError(f"{path}: segment_sizes_bits[{index}] needs sizes above 0")
    sizes_bits = np.array(found.segment_sizes_bits, dtype=np.float64)
    return SessionTitle(ladder_kbps, s_from_ms(found.segment_duration_ms), sizes_bits)


def _where(text: bytes) -> str:
    """The line on which it stops to be JSON, which msgspec does not tell; none if it is JSON."""
    try:
        json.loads(text.decode())
    except json.JSONDecodeError as error:
        return f", line {error.lineno},"
    except UnicodeDecodeError as error:
        line_no = text.count(b"\n", 0, error.start) + 1
        return f", line {line_no},"
    except RecursionError:
        return ""
    return ""
