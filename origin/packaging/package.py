"""From one video file to the renditions of a title, in one pass over its pictures."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from nearcast.errors import LocalProtocolError
from nearcast.media import Rendition
from nearcast.units import kbps
from origin.catalog import AUDIO_HZ, VIDEO_HZ, RenditionEntry, SegmentEntry
from origin.packaging.boxes import avc_codecs
from origin.packaging.decode import probe, read_frames
from origin.packaging.encode import AudioEncoder, MadeSegment, VideoEncoder
from origin.packaging.files import RenditionFiles
from origin.packaging.ladder import Rung, make_ladder
from origin.packaging.shaping import Source
from origin.packaging.timing import Boundaries, Placed

AUDIO_ID: Final = "audio"
AAC_LC: Final = "mp4a.40.2"

# Sound that goes on for longer than this after the last picture is kept, and the picture held.
_AUDIO_TAIL_S: Final = 1.0
# A last segment shorter than this says nothing about the rate (RFC 8216bis, 4.4.6.2).
_PEAK_SEGMENT_RATIO_MIN: Final = 0.5
_PROGRESS_EVERY_FRAMES: Final = 12


class PackageOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What to make of which file, and how. `thread_count` 0 lets x264 choose."""

    source: str
    folder: str
    rungs: tuple[str, ...] | None = None
    segment_duration_s: float = 2.0
    preset: str = "veryfast"
    thread_count: int = 0


class Packaged(msgspec.Struct, frozen=True, kw_only=True):
    duration_s: float
    renditions: tuple[RenditionEntry, ...]
    frame_count: int


def package(
    order: PackageOrder,
    *,
    on_source: Callable[[Source, Sequence[Rung]], None] | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Packaged:
    """Encode and cut `order.source` into folders below `order.folder` (which exists).

    `on_progress` gets the seconds of the source that are done. Raises InputError for a source that
    cannot be packaged, OSError where a file cannot be written.
    """
    source = probe(Path(order.source))
    ladder = make_ladder(source.width, source.height, source.frame_rate, order.rungs)
    if on_source is not None:
        on_source(source, ladder)
    folder = Path(order.folder)
    with contextlib.ExitStack() as stack:
        videos = []
        for rung in ladder:
            video = VideoEncoder(
                rung,
                source,
                folder / rung.id,
                preset=order.preset,
                thread_count=order.thread_count,
            )
            stack.callback(video.abandon)
            videos.append(video)
        audio = None
        if source.audio_channels:
            audio = AudioEncoder(source.audio_channels, folder / AUDIO_ID)
            stack.callback(audio.abandon)
        run = _Run(order, source, videos, audio)
        for count, frame in enumerate(read_frames(Path(order.source), source)):
            run.take(frame)
            if on_progress is not None and count % _PROGRESS_EVERY_FRAMES == 0:
                on_progress(run.done_s)
        return run.finish()


class _Run:
    """Feeds all encoders from one series of frames and keeps their cuts together."""

    def __init__(
        self,
        order: PackageOrder,
        source: Source,
        videos: Sequence[VideoEncoder],
        audio: AudioEncoder | None,
    ) -> None:
        self._segment_duration_s = order.segment_duration_s
        self._source = source
        self._videos = videos
        self._audio = audio
        self._boundaries = Boundaries(order.segment_duration_s)
        self._picture: VideoFrame | None = None
        self._last_pts = 0
        self._frame_count = 0
        self._audio_cut_count = 1  # the first segment starts at 0, where there is nothing to cut

    @property
    def done_s(self) -> float:
        return self._last_pts / VIDEO_HZ

    def take(self, frame: VideoFrame | AudioFrame) -> None:
        if isinstance(frame, AudioFrame):
            assert self._audio is not None
            self._audio.encode(frame)
        else:
            assert frame.pts is not None
            for placed in self._boundaries.place(frame.pts):
                self._encode(self._picture if placed.is_repeat else frame, placed)
            self._picture = frame
        self._cut_audio()

    def finish(self) -> Packaged:
        interval = round(VIDEO_HZ / self._source.frame_rate)
        end = self._last_pts + interval
        if self._audio is not None and self._audio.end_s > end / VIDEO_HZ + _AUDIO_TAIL_S:
            end = round(self._audio.end_s * VIDEO_HZ)
            for placed in self._boundaries.hold(self._last_pts, end, interval):
                self._encode(self._picture, placed)
        end = self._last_pts + interval
        made = [video.finish(end) for video in self._videos]
        self._check(made)
        renditions = [
            self._video_entry(video, segments)
            for video, segments in zip(self._videos, made, strict=True)
        ]
        renditions.sort(key=lambda entry: entry.rendition.peak_kbps)
        if self._audio is not None:
            segments = self._audio.finish(self._boundaries.starts[self._audio_cut_count :], end)
            renditions.append(self._audio_entry(self._audio, segments))
        return Packaged(
            duration_s=end / VIDEO_HZ,
            renditions=tuple(renditions),
            frame_count=self._frame_count,
        )

    def _encode(self, picture: VideoFrame | None, placed: Placed) -> None:
        assert picture is not None
        for video in self._videos:
            video.encode(picture, pts=placed.pts, is_start=placed.is_start)
        self._last_pts = placed.pts
        self._frame_count += 1

    def _cut_audio(self) -> None:
        if self._audio is None:
            return
        starts = self._boundaries.starts
        while self._audio_cut_count < len(starts):
            boundary = starts[self._audio_cut_count]
            if not self._audio.can_cut(boundary):
                return
            self._audio.cut(boundary)
            self._audio_cut_count += 1

    def _check(self, made: Sequence[Sequence[MadeSegment]]) -> None:
        """What players rely on when they switch; if it fails, the encoder did not do as told."""
        starts = self._boundaries.starts
        for video, segments in zip(self._videos, made, strict=True):
            rung_id = video.rung.id
            if [segment.start for segment in segments] != starts:
                raise LocalProtocolError(f"rung {rung_id}: segments do not start where asked")
            for number, fragment in enumerate(video.fragments, start=1):
                if fragment.sync_indices != (0,):
                    raise LocalProtocolError(
                        f"rung {rung_id}, segment {number}: not one key picture at its start"
                    )

    def _video_entry(self, video: VideoEncoder, segments: Sequence[MadeSegment]) -> RenditionEntry:
        rung = video.rung
        average_rate = self._frame_count * VIDEO_HZ / segments[-1].end
        declared = self._source.frame_rate
        is_as_declared = abs(average_rate - declared) < 0.02 * declared
        return self._entry(
            Rendition(
                id=rung.id,
                kind="video",
                codecs=avc_codecs(video.files.init),
                peak_kbps=self._peak_kbps(segments, VIDEO_HZ),
                average_kbps=_average_kbps(segments, VIDEO_HZ),
                width=rung.width,
                height=rung.height,
                frame_rate=round(declared if is_as_declared else average_rate, 3),
            ),
            video.files,
            segments,
            VIDEO_HZ,
        )

    def _audio_entry(self, audio: AudioEncoder, segments: Sequence[MadeSegment]) -> RenditionEntry:
        return self._entry(
            Rendition(
                id=AUDIO_ID,
                kind="audio",
                codecs=AAC_LC,
                peak_kbps=self._peak_kbps(segments, AUDIO_HZ),
                average_kbps=_average_kbps(segments, AUDIO_HZ),
                sample_rate_hz=AUDIO_HZ,
                channel_count=audio.channel_count,
            ),
            audio.files,
            segments,
            AUDIO_HZ,
        )

    def _entry(
        self,
        rendition: Rendition,
        files: RenditionFiles,
        segments: Sequence[MadeSegment],
        timescale: int,
    ) -> RenditionEntry:
        return RenditionEntry(
            rendition=rendition,
            init_size_bytes=len(files.init),
            init_crc32c=files.init_crc32c,
            segments=tuple(
                SegmentEntry(
                    start_s=segment.start / timescale,
                    duration_s=(segment.end - segment.start) / timescale,
                    size_bytes=segment.size_bytes,
                    crc32c=segment.crc32c,
                )
                for segment in segments
            ),
        )

    def _peak_kbps(self, segments: Sequence[MadeSegment], timescale: int) -> float:
        shortest = self._segment_duration_s * _PEAK_SEGMENT_RATIO_MIN * timescale
        counted = [s for s in segments if s.end - s.start >= shortest] or list(segments)
        return max(round(kbps(s.size_bytes, (s.end - s.start) / timescale), 3) for s in counted)


def _average_kbps(segments: Sequence[MadeSegment], timescale: int) -> float:
    size_bytes = sum(segment.size_bytes for segment in segments)
    return round(kbps(size_bytes, (segments[-1].end - segments[0].start) / timescale), 3)
