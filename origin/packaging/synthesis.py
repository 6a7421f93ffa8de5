"""Short source clips out of nothing, for the demo and the tests.

The pictures are made to cost bits as footage does: a scene of drifting layers of smooth noise
(what a camera pan does to a coder), a few things that move across it, grain that is new in every
picture, and cuts between scenes. A clock in the corner shows seconds and tenths, so that eyes and
tests can tell which moment they see. The sound is a chord of its own per seed.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from nearcast.seeds import Seeds
from origin.catalog import AUDIO_HZ
from origin.packaging.shaping import AUDIO_TIME_BASE

Plane = NDArray[np.uint8]  # (height, width)

_SCENE_S: Final = 5.0
_GRAIN_COUNT: Final = 7
_GRAIN: Final = 4.0  # standard deviation in code values: a phone camera indoors
_AUDIO_FRAME: Final = 1152
# Coders that are quick to write and to read: 1.5 CPU s per 24 s of 768x432, where x264 ultrafast
# with AAC took 2.7. Quantiser 3 keeps the grain, so that the ladder has something to code.
_VIDEO_OPTIONS: Final = {"qmin": "3", "qmax": "3", "b": "80000000", "bf": "0", "g": "50"}
_DIGIT_ROWS: Final = {
    "0": "111101101101111",
    "1": "010110010010111",
    "2": "111001111100111",
    "3": "111001111001111",
    "4": "101101111001001",
    "5": "111100111001111",
    "6": "111100111101111",
    "7": "111001010010010",
    "8": "111101111101111",
    "9": "111101111001111",
    ".": "000000000000010",
}


def write_clip(
    path: Path,
    *,
    seed: int,
    duration_s: float,
    width: int = 768,
    height: int = 432,
    frame_rate: Fraction | float = 25,
    audio: bool = True,
) -> None:
    """Write an MP4 whose content depends on `seed` alone. `width` and `height` must be even."""
    rate = Fraction(frame_rate).limit_denominator(1001)
    scenes = _Scenes(Seeds(seed), width, height)
    with av.open(str(path), mode="w", format="mp4") as container:
        video = container.add_stream("mpeg4", rate=rate, options=_VIDEO_OPTIONS)
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.time_base = video.codec_context.time_base = 1 / rate
        sound = None
        if audio:
            sound = container.add_stream("mp2", rate=AUDIO_HZ, layout="mono")
            assert isinstance(sound, AudioStream)
        tone = _Tone(seed)
        heard_s = 0.0
        for index in range(round(duration_s * rate)):
            time_s = float(index / rate)
            frame = VideoFrame.from_ndarray(scenes.picture(index, time_s), format="yuv420p")
            frame.pts = index
            frame.time_base = 1 / rate
            container.mux(video.encode(frame))
            while sound is not None and heard_s < min(time_s + 0.5, duration_s):
                container.mux(sound.encode(tone.next(duration_s)))
                heard_s = tone.end_s
        container.mux(video.encode(None))
        if sound is not None:
            container.mux(sound.encode(None))


class _Scenes:
    """The pictures, as yuv420p arrays (height * 3 / 2, width)."""

    def __init__(self, seeds: Seeds, width: int, height: int) -> None:
        assert width % 2 == 0
        assert height % 2 == 0
        self._seeds = seeds
        self._width = width
        self._height = height
        grain = seeds.stream("synthesis/grain")
        self._grain = [
            grain.normal(0.0, _GRAIN, (height, width)).astype(np.int16) for _ in range(_GRAIN_COUNT)
        ]
        self._scene_no = -1
        self._scene: _Scene | None = None

    def picture(self, index: int, time_s: float) -> Plane:
        scene_no = int(time_s / _SCENE_S)
        if self._scene is None or scene_no != self._scene_no:
            rng = self._seeds.stream(f"synthesis/scene{scene_no}")
            self._scene_no, self._scene = scene_no, _Scene(rng, self._width, self._height)
        picture = np.empty((self._height * 3 // 2, self._width), dtype=np.uint8)
        luma = self._scene.luma(time_s) + self._grain[index % _GRAIN_COUNT]
        picture[: self._height] = np.clip(luma, 16, 235)
        picture[self._height :] = self._scene.chroma(time_s)
        _draw_clock(picture[: self._height], f"{time_s:.1f}")
        return picture


class _Scene:
    """Layers of noise that drift at their own speed, and discs that cross them."""

    def __init__(self, rng: np.random.Generator, width: int, height: int) -> None:
        self._width = width
        self._height = height
        # (rows, columns) of random values; the picture is a moving window into each.
        self._layers = [
            _smooth_noise(rng, width * 2, height * 2, cells, depth)
            for cells, depth in ((4, 80.0), (16, 45.0), (70, 25.0))
        ]
        self._speeds = rng.uniform(-60, 60, (len(self._layers), 2))  # pixels per second (x, y)
        self._starts = rng.uniform(0, 1, (len(self._layers), 2)) * (width, height)
        self._colors = _smooth_noise(rng, width, height, 3, 40.0)
        self._disc_count = 4
        self._discs = rng.uniform(0, 1, (self._disc_count, 6))

    def luma(self, time_s: float) -> NDArray[np.int16]:
        picture = np.full((self._height, self._width), 110, dtype=np.int16)
        for layer, speed, start in zip(self._layers, self._speeds, self._starts, strict=True):
            x = _bounce(start[0] + speed[0] * time_s, self._width)
            y = _bounce(start[1] + speed[1] * time_s, self._height)
            picture += layer[y : y + self._height, x : x + self._width]
        for disc in self._discs:
            self._draw_disc(picture, disc, time_s)
        return picture

    def chroma(self, time_s: float) -> Plane:
        """Both colour planes as yuv420p has them below the luma."""
        half_width, half_height = self._width // 2, self._height // 2
        x = _bounce(20 * time_s, half_width)
        planes = np.empty((2, half_height, half_width), dtype=np.uint8)
        window = self._colors[:half_height, x : x + half_width]
        planes[0] = 128 + window
        planes[1] = 128 - self._colors[half_height : 2 * half_height, x : x + half_width]
        return planes.reshape(half_height, self._width)

    def _draw_disc(self, picture: NDArray[np.int16], disc: NDArray[np.float64], t: float) -> None:
        radius = int((0.04 + 0.1 * disc[0]) * self._height)
        x = int((disc[1] + (disc[2] - 0.5) * 0.4 * t) % 1.0 * self._width)
        y = int((0.5 + 0.4 * np.sin(disc[3] * 6.3 + t * (0.5 + disc[4]))) * self._height)
        top, left = max(0, y - radius), max(0, x - radius)
        part = picture[top : y + radius, left : x + radius]
        rows, columns = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
        inside = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
        part[inside] = int(40 + 180 * disc[5])


class _Tone:
    """Three sine waves that swell and fade, as mono frames."""

    def __init__(self, seed: int) -> None:
        base_hz = 110.0 * 2 ** ((seed % 24) / 12)
        self._frequencies = np.array([base_hz, base_hz * 1.25, base_hz * 1.5])
        self._position = 0

    @property
    def end_s(self) -> float:
        return self._position / AUDIO_HZ

    def next(self, duration_s: float) -> AudioFrame:
        count = max(1, min(_AUDIO_FRAME, round(duration_s * AUDIO_HZ) - self._position))
        times_s = np.arange(self._position, self._position + count) / AUDIO_HZ
        waves = np.sin(2 * np.pi * self._frequencies[:, None] * times_s)
        swell = 0.5 + 0.5 * np.sin(2 * np.pi * np.array([[0.2], [0.31], [0.43]]) * times_s)
        mono = (0.2 * waves * swell).sum(axis=0).astype(np.float32)
        frame = AudioFrame.from_ndarray(mono[None, :], format="fltp", layout="mono")
        frame.sample_rate = AUDIO_HZ
        frame.pts = self._position
        frame.time_base = AUDIO_TIME_BASE
        self._position += count
        return frame


def _smooth_noise(
    rng: np.random.Generator, width: int, height: int, cells: int, depth: float
) -> NDArray[np.int16]:
    """Noise (height, width) of about `cells` hills a side, linear between them, +-depth."""
    grid = rng.uniform(-depth, depth, (cells + 1, cells + 1))
    columns = np.linspace(0, cells, width)
    rows = np.linspace(0, cells, height)
    wide = np.empty((cells + 1, width))
    for index, line in enumerate(grid):
        wide[index] = np.interp(columns, np.arange(cells + 1), line)
    lower = np.minimum(rows.astype(int), cells - 1)
    part = (rows - lower)[:, None]
    noise: NDArray[np.int16] = ((1 - part) * wide[lower] + part * wide[lower + 1]).astype(np.int16)
    return noise


def _bounce(position: float, span: int) -> int:
    """A position that goes to and fro within [0, span)."""
    turned = position % (2 * span)
    return int(min(turned, 2 * span - 1 - turned))


def _draw_clock(luma: Plane, text: str) -> None:
    """White digits on black, upper left; dots are a 40th of the picture's height."""
    dot = max(1, luma.shape[0] // 40)
    x = dot * 2
    for character in text:
        bits = np.array([int(bit) for bit in _DIGIT_ROWS[character]], dtype=np.uint8).reshape(5, 3)
        block = np.kron(bits * 219 + 16, np.ones((dot, dot), dtype=np.uint8))
        room = luma[dot * 2 : dot * 2 + block.shape[0], x : x + block.shape[1]]
        room[:] = block[: room.shape[0], : room.shape[1]]
        x += dot * 4
