"""Reading any video file: what it is, and its frames in one shape, in order, in our time.

Video frames come upright, deinterlaced, in square or stated pixels, with `pts` in ticks of
1/90000 s from 0 at the first picture; variable frame rates stay variable. Audio frames come as
48 kHz float, mono or stereo, gap-free from 0: silence is put where the source has none.

A file that ends early or has a hole is refused, with the time at which that happens: half a title
that looks whole is worse than no title.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
import av.error
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from nearcast.errors import InputError
from origin.packaging.shaping import (
    AUDIO_TIME_BASE,
    VIDEO_TIME_BASE,
    Color,
    PictureClock,
    Sound,
    Source,
    Upright,
)

__all__ = ["AUDIO_TIME_BASE", "VIDEO_TIME_BASE", "Frame", "Source", "probe", "read_frames"]

FRAME_RATE_DEFAULT: Final = 25.0
FRAME_RATE_MAX: Final = 240.0

# Containers whose header says how long the media is; others guess, so nothing follows from them.
_KNOWS_DURATION: Final = frozenset(("mov", "mp4", "matroska", "webm", "avi", "asf", "flv", "nut"))
# libav plays text as a terminal would show it, pictures as videos of one frame, and playlists by
# opening what they name. None of these is a video file.
_NOT_VIDEO: Final = frozenset(
    ("tty", "image2", "bin", "xbin", "adf", "idf", "hls", "concat", "dash", "sdp", "imf")
)
_SHORT_S_MAX: Final = 0.5  # less missing than this is rounding, or an edit list
_SHORT_RATIO_MAX: Final = 0.005


Frame = VideoFrame | AudioFrame


def probe(path: Path) -> Source:
    """What `path` holds. Decodes its first picture. Raises InputError when there is none."""
    with _opened(path) as container:
        stream = _video_stream(container, path)
        first = _first_frame(container, stream, path)
        ratio = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
        width = round(first.width * ratio) if ratio else first.width
        height = first.height
        rotation_deg = round(first.rotation / 90) * 90 % 360
        if rotation_deg % 180:
            width, height = height, width
        frame_rate = float(stream.average_rate or stream.guessed_rate or FRAME_RATE_DEFAULT)
        return Source(
            width=width,
            height=height,
            frame_rate=min(frame_rate, FRAME_RATE_MAX) if frame_rate > 0 else FRAME_RATE_DEFAULT,
            start_s=first.time or 0.0,
            duration_s=_declared_s(container, stream, first.time or 0.0),
            is_duration_certain=not _KNOWS_DURATION.isdisjoint(container.format.name.split(",")),
            rotation_deg=rotation_deg,
            is_interlaced=first.interlaced_frame,
            audio_channels=_audio_channels(container),
            color=_color(first),
        )


def read_frames(path: Path, source: Source) -> Iterator[Frame]:
    """All frames, video and audio as they come in the file, each kind in order.

    Raises InputError, naming the time, where the file is damaged or ends before its header says.
    """
    with _opened(path) as container:
        video = _video_stream(container, path)
        audio = container.streams.best("audio") if source.audio_channels else None
        video.thread_type = "AUTO"
        upright = Upright(source)
        sound = Sound(source)
        clock = PictureClock(source)
        streams = [stream for stream in (video, audio) if stream is not None]
        try:
            for packet in container.demux(streams):
                if packet.is_corrupt:
                    raise InputError(f"{path}: cut off or damaged after {clock.text()}")
                for frame in packet.decode():
                    if isinstance(frame, VideoFrame):
                        if frame.is_corrupt and clock.end_s > 0:
                            raise InputError(f"{path}: damaged after {clock.text()}")
                        for picture in upright.turn(frame):
                            if clock.stamp(picture):
                                yield picture
                    elif isinstance(frame, AudioFrame):
                        yield from sound.convert(frame)
        except av.error.FFmpegError as error:
            if error.errno in (errno.ENOSPC, errno.EPIPE):
                raise
            raise InputError(
                f"{path}: cut off or damaged after {clock.text()}: {_reason(error)}"
            ) from error
        for picture in upright.flush():
            if clock.stamp(picture):
                yield picture
        yield from sound.flush()
    if clock.end_s == 0:
        raise InputError(f"{path}: it holds no picture")
    _check_whole(path, source, max(clock.end_s, sound.end_s))


def _opened(path: Path) -> InputContainer:
    if path.is_dir():
        raise InputError(f"{path} is a folder; name the video files in it")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        # Absolute, and as a file: a name such as `concat:x` must not be taken for a protocol.
        container = av.open(
            f"file:{path.resolve()}",
            mode="r",
            metadata_errors="replace",
            options={"protocol_whitelist": "file"},
        )
    except av.error.FFmpegError as error:
        raise InputError(
            f"{path}: not a video that can be read, or cut off so early that nothing of it can be "
            f"({_reason(error)})"
        ) from error
    names = container.format.name.split(",")
    if not _NOT_VIDEO.isdisjoint(names) or names[0].endswith("_pipe"):
        container.close()
        raise InputError(f"{path}: not a video that can be packaged ({names[0]})")
    return container


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    pictured = [
        stream
        for stream in container.streams.video
        if not stream.disposition & type(stream.disposition).attached_pic
    ]
    if not pictured:
        kinds = sorted({stream.type for stream in container.streams})
        held = f"it holds {' and '.join(kinds)} alone" if kinds else "it holds no streams"
        raise InputError(f"{path}: no video stream; {held}")
    best = container.streams.best("video")
    return next((stream for stream in pictured if stream is best), pictured[0])


def _first_frame(container: InputContainer, stream: VideoStream, path: Path) -> VideoFrame:
    reason = "it ends before the first one"
    packets = container.demux(stream)
    while True:
        try:
            for packet in packets:
                for frame in packet.decode():
                    if isinstance(frame, VideoFrame):
                        return frame
            break
        except av.error.FFmpegError as error:
            reason = _reason(error)
            if not isinstance(error, av.error.InvalidDataError):
                break
            packets = container.demux(stream)
    raise InputError(f"{path}: it holds no picture that can be decoded ({reason})")


def _audio_channels(container: InputContainer) -> int:
    """1 or 2 channels to make; 0 without sound."""
    stream = container.streams.best("audio")
    if not isinstance(stream, AudioStream) or not stream.codec_context.sample_rate:
        return 0
    return 1 if stream.codec_context.layout.nb_channels == 1 else 2


def _declared_s(container: InputContainer, stream: VideoStream, start_s: float) -> float | None:
    """How long it goes on after the first picture, by the header."""
    claims = []
    if stream.duration and stream.time_base:
        claims.append(float(stream.duration * stream.time_base))
    if container.duration:
        # Some containers count it from time 0 and some from their first packet; taking the
        # smaller of both misses a cut now and then, and never refuses a whole file.
        claims.append(container.duration / av.time_base - max(0.0, start_s))
    return min(claims) if claims else None


def _check_whole(path: Path, source: Source, end_s: float) -> None:
    if source.duration_s is None or not source.is_duration_certain:
        return
    short_s = source.duration_s - end_s
    if short_s > max(_SHORT_S_MAX, _SHORT_RATIO_MAX * source.duration_s, 3 / source.frame_rate):
        raise InputError(
            f"{path}: it ends after {end_s:.2f} s, but its header says {source.duration_s:.2f} s: "
            "cut off"
        )


def _color(frame: VideoFrame) -> Color:
    """What the source says; where it says nothing, what players assume for its size."""
    unspecified = 2
    assumed = 1 if max(frame.width, frame.height) >= 1280 else 6  # BT.709, else SMPTE 170M

    def known(value: int) -> int:
        return assumed if value in (0, unspecified) else value

    return Color(
        primaries=known(int(frame.color_primaries)),
        transfer=known(int(frame.color_trc)),
        matrix=known(int(frame.colorspace)),
    )


def _reason(error: av.error.FFmpegError) -> str:
    return (error.strerror or type(error).__name__).lower()
