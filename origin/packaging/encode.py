"""One rendition from frames: H.264 or AAC in, an init and segments out."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import msgspec
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from nearcast.errors import InputError
from origin.catalog import AUDIO_HZ, VIDEO_HZ
from origin.packaging.boxes import (
    BoxSplitter,
    FragmentTimes,
    audio_fragment,
    edit_shift,
    fragment_times,
)
from origin.packaging.files import RenditionFiles
from origin.packaging.ladder import Rung
from origin.packaging.shaping import AUDIO_TIME_BASE, VIDEO_TIME_BASE, Source

PRESETS: Final = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
)
AAC_FRAME_SAMPLES: Final = 1024
AUDIO_KBPS: Final = {1: 64.0, 2: 128.0}
# Sound that waits for the pictures it belongs to; hours of it, so only a file whose tracks lie one
# after the other gets here.
PENDING_AUDIO_BYTES_MAX: Final = 256 * 1024 * 1024

# Still pictures should not be padded up to their rate: quality is constant up to the rate the rung
# may have, which the buffer holds to within one second.
_CRF: Final = "23"
_BUFFER_S: Final = 1.0

# Pictures are coded out of order, so the first one is decoded before time 0. An edit list in the
# init (which is why it is written after the first fragment is known) says so to every player; the
# alternative in CMAF, negative composition offsets, is read by libav with all pictures 1-3 frames
# late.
_FRAGMENTS: Final = "+frag_keyframe+default_base_moof+skip_trailer"
_VIDEO_FLAGS: Final = _FRAGMENTS + "+delay_moov"
_AUDIO_FLAGS: Final = _FRAGMENTS + "+empty_moov"


class MadeSegment(msgspec.Struct, frozen=True, kw_only=True):
    """When a segment is shown, in ticks of its track, and what was written of it."""

    start: int
    end: int
    size_bytes: int
    crc32c: int


class VideoEncoder:
    """One rung. Pictures of any size go in, in order; segments are written as they are done."""

    def __init__(
        self, rung: Rung, source: Source, folder: Path, *, preset: str, thread_count: int
    ) -> None:
        self.rung = rung
        self.files = RenditionFiles(folder)
        self.fragments: list[FragmentTimes] = []
        self._color = source.color
        self._reformatter = VideoReformatter()
        self._container = _muxer(BoxSplitter(self.files.write_init, self._take), _VIDEO_FLAGS)
        rate_bps = round(rung.rate_kbps * 1000)
        stream = self._container.add_stream(
            "libx264",
            rate=Fraction(source.frame_rate).limit_denominator(1001),
            options={
                "preset": preset,
                "crf": _CRF,
                "maxrate": str(rate_bps),
                "bufsize": str(round(rate_bps * _BUFFER_S)),
                "forced-idr": "1",
                "threads": str(thread_count),
                # Key pictures only where they are asked for.
                "x264-params": "keyint=infinite:min-keyint=1:scenecut=0:open-gop=0",
            },
        )
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = rung.width, rung.height, "yuv420p"
        stream.time_base = VIDEO_TIME_BASE
        context = stream.codec_context
        context.time_base = VIDEO_TIME_BASE
        context.sample_aspect_ratio = Fraction(1)
        context.color_primaries = self._color.primaries
        context.color_trc = self._color.transfer
        context.colorspace = self._color.matrix
        context.color_range = ColorRange.MPEG
        self._stream = stream

    def encode(self, picture: VideoFrame, *, pts: int, is_start: bool) -> None:
        """`is_start`: this picture begins a segment."""
        scaled = self._reformatter.reformat(
            picture,
            width=self.rung.width,
            height=self.rung.height,
            format="yuv420p",
            interpolation=Interpolation.BICUBIC,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        # What the source's coder chose for this picture must not be taken for a wish of ours.
        scaled.pict_type = PictureType.I if is_start else PictureType.NONE
        scaled.pts = pts
        scaled.time_base = VIDEO_TIME_BASE
        self._container.mux(self._stream.encode(scaled))

    def finish(self, end: int) -> tuple[MadeSegment, ...]:
        """`end`: when the last picture has been shown, in ticks."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        # A segment ends where the next begins, so that nothing is left between them.
        starts = [fragment.presentation_start for fragment in self.fragments]
        ends = [*starts[1:], end]
        return _made(self.files, starts, ends)

    def abandon(self) -> None:
        _close_quietly(self._container)

    def _take(self, fragment: bytes) -> None:
        self.fragments.append(fragment_times(fragment, edit_shift(self.files.init)))
        self.files.write_segment(fragment)


class AudioEncoder:
    """The sound. Its segments follow the video's to the nearest AAC frame (21 ms)."""

    def __init__(self, channel_count: int, folder: Path) -> None:
        self.channel_count = channel_count
        self.files = RenditionFiles(folder)
        self._container = _muxer(
            BoxSplitter(self.files.write_init, lambda fragment: None), _AUDIO_FLAGS
        )
        layout = "mono" if channel_count == 1 else "stereo"
        stream = self._container.add_stream("aac", rate=AUDIO_HZ, layout=layout)
        assert isinstance(stream, AudioStream)
        stream.codec_context.bit_rate = round(AUDIO_KBPS[channel_count] * 1000)
        self._stream = stream
        # The muxer only describes the track; the fragments are ours (see origin.packaging.boxes).
        self._container.start_encoding()
        self._layout = layout
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._sample_count = 0
        self._frame_count = 0  # frames written, before the pending ones
        self._starts: list[int] = []

    @property
    def end_s(self) -> float:
        return self._sample_count / AUDIO_HZ

    def encode(self, sound: AudioFrame) -> None:
        self._sample_count += sound.samples
        self._keep(sound)

    def cut(self, boundary: int) -> None:
        """Write what lies before a video segment's start (video ticks)."""
        self._write_up_to(_frames_before(boundary))

    def can_cut(self, boundary: int) -> bool:
        return _frames_before(boundary) <= self._frame_count + len(self._pending)

    def finish(self, boundaries: list[int], end: int) -> tuple[MadeSegment, ...]:
        """Cut at the boundaries that are left, and end with the video at `end` (video ticks):
        silence is added, or sound beyond it dropped."""
        missing = -(-end * AUDIO_HZ // VIDEO_HZ) - self._sample_count
        while missing > 0:
            silence = _silence(min(missing, AUDIO_HZ), self._layout, self._sample_count)
            self.encode(silence)
            missing -= silence.samples
        self._keep(None)
        for boundary in boundaries:
            self.cut(boundary)
        # Sound never outlasts the pictures, so that they alone say how long the title is.
        self._write_up_to(max(1, end * AUDIO_HZ // (VIDEO_HZ * AAC_FRAME_SAMPLES)))
        _close_quietly(self._container)
        ends = [*self._starts[1:], self._frame_count * AAC_FRAME_SAMPLES]
        return _made(self.files, self._starts, ends)

    def abandon(self) -> None:
        _close_quietly(self._container)

    def _keep(self, sound: AudioFrame | None) -> None:
        for packet in self._stream.encode(sound):
            # The first frame only primes the decoder. Without it the sound needs no edit list to
            # be in time; its first 21 ms fade in, as after every seek.
            if packet.pts is not None and packet.pts < 0:
                continue
            data = bytes(packet)
            self._pending.append(data)
            self._pending_bytes += len(data)
        if self._pending_bytes > PENDING_AUDIO_BYTES_MAX:
            raise InputError(
                "the sound lies hours apart from its pictures in this file; remux it first"
            )

    def _write_up_to(self, frame_count: int) -> None:
        """Make one segment of the pending frames before this one, if there are any."""
        count = min(frame_count - self._frame_count, len(self._pending))
        if count <= 0:
            return
        samples, self._pending = self._pending[:count], self._pending[count:]
        self._pending_bytes -= sum(map(len, samples))
        start = self._frame_count * AAC_FRAME_SAMPLES
        self._starts.append(start)
        self._frame_count += count
        self.files.write_segment(
            audio_fragment(
                samples,
                sequence_no=len(self._starts),
                decode_time=start,
                sample_ticks=AAC_FRAME_SAMPLES,
            )
        )


def _frames_before(boundary: int) -> int:
    """How many AAC frames lie before a time in video ticks, to the nearest."""
    return round(Fraction(boundary * AUDIO_HZ, VIDEO_HZ * AAC_FRAME_SAMPLES))


def _made(files: RenditionFiles, starts: list[int], ends: list[int]) -> tuple[MadeSegment, ...]:
    return tuple(
        MadeSegment(start=start, end=end, size_bytes=size_bytes, crc32c=crc32c)
        for start, end, size_bytes, crc32c in zip(
            starts, ends, files.sizes_bytes, files.crc32cs, strict=True
        )
    )


def _muxer(splitter: BoxSplitter, flags: str) -> OutputContainer:
    return av.open(splitter, mode="w", format="mp4", options={"movflags": flags})


def _close_quietly(container: OutputContainer) -> None:
    """Let go of a muxer whose output no longer matters."""
    try:
        container.close()
    except (av.error.FFmpegError, OSError):
        return


def _silence(sample_count: int, layout: str, at: int) -> AudioFrame:
    frame = AudioFrame(format="fltp", layout=layout, samples=sample_count)
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    frame.sample_rate = AUDIO_HZ
    frame.pts = at
    frame.time_base = AUDIO_TIME_BASE
    return frame
