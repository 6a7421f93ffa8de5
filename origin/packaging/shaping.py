"""What a source is, and how its frames are brought into one shape and our time."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import av
import av.error
import av.filter
import msgspec
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from origin.catalog import AUDIO_HZ, VIDEO_HZ

VIDEO_TIME_BASE: Final = Fraction(1, VIDEO_HZ)
AUDIO_TIME_BASE: Final = Fraction(1, AUDIO_HZ)

_AUDIO_GAP_S: Final = 0.1  # aresample closes larger gaps with silence


class Color(msgspec.Struct, frozen=True, kw_only=True):
    """How pictures are to be shown, in the code points of ITU-T H.273."""

    primaries: int
    transfer: int
    matrix: int


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds. `width` x `height` is how it is meant to be shown, in square pixels and
    upright; `duration_s` is what its header claims, None where it does not."""

    width: int
    height: int
    frame_rate: float
    start_s: float
    duration_s: float | None
    is_duration_certain: bool
    rotation_deg: int
    is_interlaced: bool
    audio_channels: int
    color: Color


class PictureClock:
    """Gives pictures their time: rising ticks from 0, made up where the file has none."""

    def __init__(self, source: Source) -> None:
        self._start_s = source.start_s
        self._interval = max(1, round(VIDEO_HZ / source.frame_rate))
        self._last: int | None = None

    @property
    def end_s(self) -> float:
        return 0.0 if self._last is None else (self._last + self._interval) / VIDEO_HZ

    def text(self) -> str:
        return f"{self.end_s:.2f} s"

    def stamp(self, picture: VideoFrame) -> bool:
        """Set `pts`; False for a picture that is not later than the one before."""
        if picture.pts is not None and picture.time_base:
            seconds = picture.pts * picture.time_base - Fraction(self._start_s)
            ticks = round(seconds * VIDEO_HZ)
        else:
            ticks = 0 if self._last is None else self._last + self._interval
        if ticks < 0 or (self._last is not None and ticks <= self._last):
            return False
        self._last = ticks
        picture.pts = ticks
        picture.time_base = VIDEO_TIME_BASE
        picture.duration = self._interval
        return True


class Upright:
    """Turns pictures upright and joins their fields, where a source needs it."""

    def __init__(self, source: Source) -> None:
        steps = []
        if source.is_interlaced:
            steps.append(("yadif", "mode=send_frame:deint=interlaced"))
        # A rotation of 90 means "turn counter-clockwise by 90 degrees before showing".
        steps += {
            90: [("transpose", "cclock")],
            180: [("hflip", ""), ("vflip", "")],
            270: [("transpose", "clock")],
        }.get(source.rotation_deg, [])
        self._steps = steps
        self._graph: av.filter.Graph | None = None
        self._shape: tuple[object, ...] = ()

    def turn(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        if not self._steps:
            yield frame
            return
        shape = (frame.width, frame.height, frame.format.name)
        if self._graph is None or shape != self._shape:
            yield from self.flush()
            self._graph, self._shape = self._build(frame), shape
        self._graph.vpush(frame)
        yield from self._pull()

    def flush(self) -> Iterator[VideoFrame]:
        if self._graph is not None:
            self._graph.vpush(None)
            yield from self._pull()
            self._graph = None

    def _build(self, frame: VideoFrame) -> av.filter.Graph:
        graph = av.filter.Graph()
        nodes = [
            graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                time_base=frame.time_base,
            ),
            *(graph.add(name, options) for name, options in self._steps),
            graph.add("buffersink"),
        ]
        graph.link_nodes(*nodes)
        graph.configure()
        return graph

    def _pull(self) -> Iterator[VideoFrame]:
        assert self._graph is not None
        while True:
            try:
                yield self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return


class Sound:
    """Any audio as 48 kHz float from time 0, without gaps."""

    def __init__(self, source: Source) -> None:
        self._start_s = source.start_s
        self._layout = "mono" if source.audio_channels == 1 else "stereo"
        self._graph: av.filter.Graph | None = None
        self._shape: tuple[object, ...] = ()
        self._next_pts = 0

    @property
    def end_s(self) -> float:
        return self._next_pts / AUDIO_HZ

    def convert(self, frame: AudioFrame) -> Iterator[AudioFrame]:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._graph is None or shape != self._shape:
            yield from self.flush()
            self._graph, self._shape = self._build(frame), shape
        rate_hz = frame.sample_rate
        if frame.pts is not None and frame.time_base:
            seconds = frame.pts * frame.time_base - Fraction(self._start_s)
            frame.pts = round(seconds * rate_hz)
        else:
            frame.pts = round(Fraction(self._next_pts, AUDIO_HZ) * rate_hz)
        frame.time_base = Fraction(1, rate_hz)
        if frame.pts + frame.samples <= 0:
            return  # all of it lies before the first picture
        self._graph.push(frame)
        yield from self._pull()

    def flush(self) -> Iterator[AudioFrame]:
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pull()
            self._graph = None

    def _build(self, frame: AudioFrame) -> av.filter.Graph:
        graph = av.filter.Graph()
        resample = f"{AUDIO_HZ}:async=1:first_pts={self._next_pts}:min_hard_comp={_AUDIO_GAP_S}"
        nodes = [
            graph.add_abuffer(
                sample_rate=frame.sample_rate,
                format=frame.format,
                layout=frame.layout,
                time_base=Fraction(1, frame.sample_rate),
            ),
            graph.add("aresample", resample),
            graph.add("aformat", f"sample_fmts=fltp:channel_layouts={self._layout}"),
            graph.add("abuffersink"),
        ]
        graph.link_nodes(*nodes)
        graph.configure()
        return graph

    def _pull(self) -> Iterator[AudioFrame]:
        assert self._graph is not None
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(frame, AudioFrame)
            frame.pts = self._next_pts
            frame.time_base = AUDIO_TIME_BASE
            self._next_pts += frame.samples
            yield frame
