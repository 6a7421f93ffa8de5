"""What a manifest says, whichever format it came in.

A *presentation* is one title: *representations* of its video (lowest rung first) and its audio,
each a *rendition* (how it is coded) and its *segments* (where the bytes are). DASH and HLS are
read into this (`nearcast.manifests`), the player plays it, the edge maps URLs to segments with
it, and the origin writes manifests from it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Literal

import msgspec

TrackKind = Literal["video", "audio"]


class ByteRange(msgspec.Struct, frozen=True):
    """Bytes `first` to `last` of a resource, both included, as in a Range header."""

    first: int
    last: int

    @property
    def size_bytes(self) -> int:
        return self.last - self.first + 1

    def header(self) -> str:
        return f"bytes={self.first}-{self.last}"


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One separately fetchable piece of media. `url` is absolute; `size_bytes` is None when
    unknown."""

    url: str
    start_s: float
    duration_s: float
    byte_range: ByteRange | None = None
    size_bytes: int | None = None

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s


class Rendition(msgspec.Struct, frozen=True, kw_only=True):
    """How one version of a track is coded.

    `peak_kbps` is what manifests call BANDWIDTH; `average_kbps` is AVERAGE-BANDWIDTH, or the peak
    where a manifest does not say.
    """

    id: str
    kind: TrackKind
    codecs: str
    peak_kbps: float
    average_kbps: float
    width: int | None = None
    height: int | None = None
    frame_rate: float | None = None
    sample_rate_hz: int | None = None
    channel_count: int | None = None
    language: str | None = None


class InitChange(msgspec.Struct, frozen=True, kw_only=True):
    """Another init is in force from the segment on that starts at `start_s`."""

    start_s: float
    init: Segment | None


class Representation(msgspec.Struct, frozen=True, kw_only=True):
    """A rendition and where its bytes are. `init` is None for self-initialising segments (MPEG-
    TS). What is read from manifests makes its segments as they are looked at.

    Where an advertisement or another part is spliced in, segments may need another init:
    `init_of` tells. Segments rise in time, with a hole where this rendition has nothing to play.
    """

    rendition: Rendition
    init: Segment | None
    segments: Sequence[Segment]
    later_inits: tuple[InitChange, ...] = ()
    """In order of time; `init` holds until the first of them."""

    @property
    def duration_s(self) -> float:
        return self.segments[-1].end_s if self.segments else 0.0

    @property
    def inits(self) -> tuple[Segment, ...]:
        """All there are, in the order in which they are needed."""
        every = (self.init, *(change.init for change in self.later_inits))
        return tuple(dict.fromkeys(init for init in every if init is not None))

    def init_of(self, segment: Segment) -> Segment | None:
        """What a decoder must have been given before this segment."""
        at = bisect_right(self.later_inits, segment.start_s, key=lambda one: one.start_s)
        return self.later_inits[at - 1].init if at else self.init


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """A place where bytes are. Lower `priority` comes first; among equals, `weight` says how
    often. `pathway` is what content steering calls it, empty where it has no name; `stable_id` the
    name of a playlist in all pathways (HLS)."""

    url: str
    priority: int = 1
    weight: float = 1.0
    pathway: str = ""
    stable_id: str = ""


class Presentation(msgspec.Struct, frozen=True, kw_only=True):
    """One title. `video` is sorted by rising rate; at least one of `video` and `audio` is not
    empty.

    Where video and audio are multiplexed (HLS with MPEG-TS), they count as video.
    """

    url: str
    duration_s: float
    video: tuple[Representation, ...]
    audio: tuple[Representation, ...] = ()

    def tracks(self) -> tuple[tuple[TrackKind, tuple[Representation, ...]], ...]:
        """The kinds that are there, video first."""
        both: tuple[tuple[TrackKind, tuple[Representation, ...]], ...] = (
            ("video", self.video),
            ("audio", self.audio),
        )
        return tuple((kind, representations) for kind, representations in both if representations)
