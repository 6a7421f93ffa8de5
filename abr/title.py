"""A presentation as the player uses it: one ladder that adapts, and at most one audio beside it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from heapq import heappop, heappush

import numpy as np

from abr.view import HORIZON, Floats, fill_sizes
from nearcast.errors import RemoteProtocolError
from nearcast.manifests.describe_dash import VIDEO_CODECS
from nearcast.media import Presentation, Representation, Segment, TrackKind
from nearcast.units import bits_from_bytes

ALIGNMENT_S_TOLERANCE = 0.05
"""Segments of different representations whose ends differ by less end at the same place; manifests
round, and the roundings add up."""

SAME_CODING = {"avc3": "avc1", "hev1": "hvc1", "dvhe": "dvh1", "dvav": "dva1"}
"""Where the parameters are, in the samples or before them, makes no other coding."""

NEW_SHARE_MIN = 0.5
"""Behind the end of a rung, a segment of another is fetched if so much of it is new: audio and
video encoders round the end of a title differently at each rung."""


class Track:
    """The representations of one kind to choose from, lowest rate first."""

    def __init__(self, kind: TrackKind, representations: Sequence[Representation]) -> None:
        by_rate = sorted(representations, key=lambda each: each.rendition.average_kbps)
        if not by_rate or not all(each.segments for each in by_rate):
            raise RemoteProtocolError(f"the manifest has a {kind} representation without segments")
        self.kind: TrackKind = kind
        self.representations = tuple(by_rate)
        self.ladder_kbps: Floats = np.array([each.rendition.average_kbps for each in by_rate])
        if self.ladder_kbps[0] <= 0:
            raise RemoteProtocolError(f"the manifest has a {kind} representation without a rate")
        # Segments are made as they are looked at, which takes its time: each is looked at once.
        told = [
            [(segment.start_s, segment.end_s, _size_bits(segment)) for segment in each.segments]
            for each in by_rate
        ]
        self._starts_s = tuple(tuple(one[0] for one in each) for each in told)
        self._ends_s = tuple(tuple(one[1] for one in each) for each in told)
        self._timeline = self._union()
        if not self._timeline:
            raise RemoteProtocolError(f"the manifest has less than a frame of {kind}")
        self._timeline_ends_s = [segment.end_s for segment in self._timeline]
        self._sizes_bits = self._sizes([[one[2] for one in each] for each in told])

    @property
    def end_s(self) -> float:
        return self._timeline_ends_s[-1]

    @property
    def rung_count(self) -> int:
        return len(self.representations)

    def segment_after(self, rung: int, end_s: float) -> Segment | None:
        """The segment that goes on where `end_s` is, or behind a hole; None at the rung's end."""
        index = self._index_after(rung, end_s)
        segments = self.representations[rung].segments
        return segments[index] if index < len(segments) else None

    def has_next(self, rung: int, end_s: float) -> bool:
        """Whether `rung` has what comes next after `end_s`: not where it has a hole or is over, and
        another rung goes on. Where all have a hole, those that go on soonest have it."""
        index = bisect_right(self._timeline_ends_s, end_s + ALIGNMENT_S_TOLERANCE)
        if index == len(self._timeline):
            return False
        start_s = max(self._timeline[index].start_s, end_s) + ALIGNMENT_S_TOLERANCE
        own = self._index_after(rung, end_s)
        starts_s = self._starts_s[rung]
        return own < len(starts_s) and starts_s[own] <= start_s

    def is_over(self, end_s: float) -> bool:
        """Whether no rung has anything worth fetching after `end_s`."""
        last = self._timeline[-1]
        rest_s = max(ALIGNMENT_S_TOLERANCE, NEW_SHARE_MIN * last.duration_s)
        return last.end_s - end_s < rest_s

    def sizes_bytes(self, end_s: float) -> Floats:
        """(rungs,): of the segment after `end_s` (there is one) at each rung, rate x duration where
        unknown."""
        _, sizes_bits, _, _ = self.upcoming(end_s, horizon=1)
        sizes: Floats = sizes_bits[0] / bits_from_bytes(1)
        return sizes

    def upcoming(self, end_s: float, *, horizon: int = HORIZON) -> tuple[Floats, Floats, int, int]:
        """What follows `end_s`: durations (horizon,), sizes in bits (horizon, rungs), the index of
        the next segment, and how many are left; NaN past the end."""
        index = bisect_right(self._timeline_ends_s, end_s + ALIGNMENT_S_TOLERANCE)
        left = len(self._timeline) - index
        durations_s = np.full(horizon, np.nan)
        sizes_bits = np.full((horizon, self.rung_count), np.nan)
        count = min(horizon, left)
        durations_s[:count] = [s.duration_s for s in self._timeline[index : index + count]]
        sizes_bits[:count] = self._sizes_bits[index : index + count]
        return durations_s, fill_sizes(sizes_bits, durations_s, self.ladder_kbps), index, left

    def _index_after(self, rung: int, end_s: float) -> int:
        return bisect_right(self._ends_s[rung], end_s + ALIGNMENT_S_TOLERANCE)

    def _union(self) -> tuple[Segment, ...]:
        """All segments that are needed to play from the beginning to the end: those of the lowest
        rung, and of others where it has none."""
        waiting = sorted(
            (start_s, rung, index)
            for rung, starts_s in enumerate(self._starts_s)
            for index, start_s in enumerate(starts_s)
        )
        waiting.reverse()  # the soonest is popped first
        ready: list[tuple[int, int]] = []  # rung and index of what has begun where we are
        made: list[Segment] = []
        end_s = 0.0
        while waiting or ready:
            while waiting and waiting[-1][0] <= end_s + ALIGNMENT_S_TOLERANCE:
                _, rung, index = waiting.pop()
                heappush(ready, (rung, index))
            if not ready:
                _, rung, index = waiting.pop()
            else:
                rung, index = heappop(ready)
            new_s = self._ends_s[rung][index] - end_s
            length_s = self._ends_s[rung][index] - self._starts_s[rung][index]
            if new_s > ALIGNMENT_S_TOLERANCE and new_s >= NEW_SHARE_MIN * length_s:
                made.append(self.representations[rung].segments[index])
                end_s = self._ends_s[rung][index]
        return tuple(made)

    def _sizes(self, told_bits: Sequence[Sequence[float]]) -> Floats:
        """(segments of the timeline, rungs) in bits, from those of each rung; NaN where unknown,
        missing or cut differently."""
        starts_s = np.array([segment.start_s for segment in self._timeline])
        ends_s = np.array(self._timeline_ends_s)
        sizes = np.full((len(ends_s), self.rung_count), np.nan)
        for rung, own_bits in enumerate(told_bits):
            own_starts_s = np.array(self._starts_s[rung])
            own_ends_s = np.array(self._ends_s[rung])
            at = np.searchsorted(own_ends_s, ends_s - ALIGNMENT_S_TOLERANCE)
            at = np.minimum(at, len(own_ends_s) - 1)
            is_same = np.abs(own_ends_s[at] - ends_s) <= ALIGNMENT_S_TOLERANCE
            is_same &= np.abs(own_starts_s[at] - starts_s) <= ALIGNMENT_S_TOLERANCE
            sizes[is_same, rung] = np.array(own_bits)[at[is_same]]
        return sizes


class Title:
    """What is played of a presentation: `main` adapts, `audio` is chosen once."""

    def __init__(self, presentation: Presentation) -> None:
        tracks = dict(presentation.tracks())
        if not tracks:
            raise RemoteProtocolError("the manifest has neither video nor audio")
        video, audio = tracks.get("video"), tracks.get("audio")
        self.main = Track("video", _one_coding(video)) if video else Track("audio", audio or ())
        self.audio_choices = Track("audio", _one_language(audio)) if video and audio else None
        ends = [track.end_s for track in (self.main, self.audio_choices) if track is not None]
        self.end_s = max(ends)

    def choose_audio(self, estimate_kbps: float | None, audio_share: float) -> int:
        """The rung of the audio: the best that takes no more than its share."""
        assert self.audio_choices is not None
        if estimate_kbps is None:
            return 0
        within = self.audio_choices.ladder_kbps <= audio_share * estimate_kbps
        return max(0, int(within.sum()) - 1)


def _one_coding(video: Sequence[Representation]) -> tuple[Representation, ...]:
    """Those in the coding that has the most rungs. Players do not switch between codings, which
    are ladders of their own, offered to different devices."""
    kinds = [_coding(each.rendition.codecs) for each in video]
    if "" in kinds:
        return tuple(video)  # whose coding is not told may be any
    chosen = max(kinds, key=kinds.count)  # the first of those with as many
    return tuple(each for each, kind in zip(video, kinds, strict=True) if kind == chosen)


def _coding(codecs: str) -> str:
    """Of the picture, where there is sound beside it; whatever its profile."""
    for text in codecs.split(","):
        name = text.strip().partition(".")[0].lower()
        if name.startswith(VIDEO_CODECS):
            return SAME_CODING.get(name, name)
    return ""


def _one_language(audio: Sequence[Representation]) -> tuple[Representation, ...]:
    """Those in the language that comes first."""
    return tuple(a for a in audio if a.rendition.language == audio[0].rendition.language)


def _size_bits(segment: Segment) -> float:
    if segment.size_bytes is not None:
        return bits_from_bytes(segment.size_bytes)
    if segment.byte_range is not None:
        return bits_from_bytes(segment.byte_range.size_bytes)
    return float("nan")
