"""What sessions expect of their next request, by one of two rules.

published   as in dash.js and Sabre, and so in the public reference results: every whole transfer
            alike, wherever it came from, weighed by how long it took
player      as our own player (abr.throughput): what an edge had apart from what it had to fetch,
            weighed by bytes too, and those that were given up counted

They differ much where an edge has some of the segments: by the first rule a quick hit raises what a
miss is expected to bring.
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np

from abr.throughput import (
    BYTES_PER_WEIGHT_S,
    HALF_LIFE_FAST_S,
    HALF_LIFE_SLOW_S,
    HITS_IN_ROW_TRUSTED,
    MISS_DOUBT_FACTOR,
    SAMPLE_BYTES_MIN,
    SAMPLE_DURATION_S_MIN,
    WEIGHT_S_MAX,
)
from abr.view import Flags, Floats, Rungs
from nearcast.units import BITS_PER_KBIT, bits_from_bytes

EstimateRule = Literal["published", "player"]

HALF_LIVES_S = np.array([HALF_LIFE_FAST_S, HALF_LIFE_SLOW_S])
DOUBT_COUNT_MAX = 100
"""Hits in a row beyond which the estimate of a miss rises no more, as the player's."""


class Estimate(Protocol):
    """Of `n` sessions; `rows` are some of them."""

    def add(
        self,
        rows: Rungs,
        *,
        size_bits: Floats,
        duration_s: Floats,
        ttfb_s: Floats,
        is_hit: Flags,
        is_whole: Flags,
    ) -> None:
        """A transfer has ended in each of them; one that was given up is not whole."""

    def kbps(self, rows: Rungs) -> Floats:
        """(rows,): NaN before the first sample."""

    def ttfb_s(self, rows: Rungs) -> Floats:
        """(rows,): 0 before the first sample."""


def make_estimate(rule: EstimateRule, session_count: int, segment_s: float) -> Estimate:
    if rule == "player":
        return PlayerEstimate(session_count)
    return PublishedEstimate(session_count, segment_s)


class PublishedEstimate:
    """The lower of two weighted means, of half-lives 3 and 8 s of transfer; the wait for the first
    byte is the higher of two over 3 and 8 s of media."""

    def __init__(self, session_count: int, segment_s: float) -> None:
        self._half_lives_s = HALF_LIVES_S[:, None]
        self._ttfb_keep = (0.5 ** (segment_s / HALF_LIVES_S))[:, None]
        self._kbps = np.zeros((2, session_count))
        self._weight_s = np.zeros(session_count)
        self._ttfb_s = np.zeros((2, session_count))
        self._ttfb_count = np.zeros(session_count)

    def add(
        self,
        rows: Rungs,
        *,
        size_bits: Floats,
        duration_s: Floats,
        ttfb_s: Floats,
        is_hit: Flags,
        is_whole: Flags,
    ) -> None:
        del is_hit
        weight_s = np.where(is_whole, duration_s, 0.0)
        keep = np.exp2(-weight_s / self._half_lives_s)
        kbps = kbps_of(size_bits, duration_s)
        self._kbps[:, rows] = keep * self._kbps[:, rows] + (1.0 - keep) * kbps
        self._weight_s[rows] += weight_s
        keep = np.where(is_whole, self._ttfb_keep, 1.0)
        self._ttfb_s[:, rows] = keep * self._ttfb_s[:, rows] + (1.0 - keep) * ttfb_s
        self._ttfb_count[rows] += is_whole

    def kbps(self, rows: Rungs) -> Floats:
        known = 1.0 - np.exp2(-self._weight_s[rows] / self._half_lives_s)
        with np.errstate(invalid="ignore", divide="ignore"):
            estimate: Floats = (self._kbps[:, rows] / known).min(axis=0)
        return estimate

    def ttfb_s(self, rows: Rungs) -> Floats:
        known = 1.0 - self._ttfb_keep ** self._ttfb_count[rows]
        with np.errstate(invalid="ignore", divide="ignore"):
            waits_s: Floats = (self._ttfb_s[:, rows] / known).max(axis=0)
        return np.nan_to_num(waits_s, nan=0.0)


class PlayerEstimate:
    """What abr.throughput.ThroughputMeter says, for many at once: a test holds the two together."""

    def __init__(self, session_count: int) -> None:
        # A path is 0 for what an edge had to fetch, 1 for what it had.
        of_path = (2, session_count)
        self._half_lives_s = HALF_LIVES_S[:, None]
        self._kbps = np.zeros((2, *of_path))
        self._weight_s = np.zeros(of_path)
        self._ttfb_keep = 0.5 ** (1.0 / HALF_LIFE_FAST_S)
        self._ttfb_s = np.zeros(of_path)
        self._ttfb_count = np.zeros(of_path)
        self._pooled_bits = np.zeros(of_path)
        self._pooled_s = np.zeros(of_path)
        self._hits_in_row = np.zeros(session_count, dtype=np.int64)

    def add(
        self,
        rows: Rungs,
        *,
        size_bits: Floats,
        duration_s: Floats,
        ttfb_s: Floats,
        is_hit: Flags,
        is_whole: Flags,
    ) -> None:
        del is_whole
        path = is_hit.astype(np.int64)
        keep = self._ttfb_keep
        self._ttfb_s[path, rows] = keep * self._ttfb_s[path, rows] + (1.0 - keep) * ttfb_s
        self._ttfb_count[path, rows] += 1
        self._hits_in_row[rows] = np.where(is_hit, self._hits_in_row[rows] + 1, 0)

        bits = self._pooled_bits[path, rows] + size_bits
        spent_s = self._pooled_s[path, rows] + duration_s
        is_sample = (bits >= bits_from_bytes(SAMPLE_BYTES_MIN)) & (spent_s >= SAMPLE_DURATION_S_MIN)
        by_bytes_s = np.minimum(bits / bits_from_bytes(BYTES_PER_WEIGHT_S), WEIGHT_S_MAX)
        weight_s = np.where(is_sample, np.maximum(spent_s, by_bytes_s), 0.0)
        kept = np.exp2(-weight_s / self._half_lives_s)
        kbps = kbps_of(bits, spent_s)
        self._kbps[:, path, rows] = kept * self._kbps[:, path, rows] + (1.0 - kept) * kbps
        self._weight_s[path, rows] += weight_s
        self._pooled_bits[path, rows] = np.where(is_sample, 0.0, bits)
        self._pooled_s[path, rows] = np.where(is_sample, 0.0, spent_s)

    def kbps(self, rows: Rungs) -> Floats:
        known = 1.0 - np.exp2(-self._weight_s[:, rows] / self._half_lives_s[:, :, None])
        with np.errstate(invalid="ignore", divide="ignore"):
            miss_kbps, hit_kbps = (self._kbps[:, :, rows] / known).min(axis=0)
        doubted = np.clip(self._hits_in_row[rows] - HITS_IN_ROW_TRUSTED, 0, DOUBT_COUNT_MAX)
        either = np.fmin(hit_kbps, miss_kbps * MISS_DOUBT_FACTOR**doubted)
        estimate: Floats = np.where(np.isnan(hit_kbps), miss_kbps, either)
        return estimate

    def ttfb_s(self, rows: Rungs) -> Floats:
        path = (self._hits_in_row[rows] > 0).astype(np.int64)
        known = 1.0 - self._ttfb_keep ** self._ttfb_count[path, rows]
        sums_s: Floats = self._ttfb_s[path, rows]
        waits_s: Floats = np.divide(sums_s, known, out=np.zeros_like(sums_s), where=known > 0)
        return waits_s


def kbps_of(size_bits: Floats, duration_s: Floats) -> Floats:
    """(n,)"""
    return size_bits / duration_s / BITS_PER_KBIT
