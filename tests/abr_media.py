"""A title made by a stock packager: libavformat's own DASH muxer, which writes HLS beside it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

FRAME_RATE = 12
SAMPLE_RATE_HZ = 48_000
SIZES = ((96, 54), (160, 90))
RATES_BPS = (60_000, 200_000)


def make_title(folder: Path, *, duration_s: int = 4, segment_s: int = 1) -> None:
    """`manifest.mpd` and `master.m3u8` with two rungs and one audio."""
    options = {
        "seg_duration": str(segment_s),
        "use_template": "1",
        "use_timeline": "1",
        "hls_playlist": "1",
        "adaptation_sets": "id=0,streams=v id=1,streams=a",
    }
    with av.open(str(folder / "manifest.mpd"), "w", format="dash", options=options) as output:
        videos = []
        for (width, height), rate_bps in zip(SIZES, RATES_BPS, strict=True):
            stream = output.add_stream(
                "libx264", rate=FRAME_RATE, options={"preset": "ultrafast", "threads": "1"}
            )
            stream.width, stream.height = width, height
            stream.pix_fmt = "yuv420p"
            stream.bit_rate = rate_bps
            stream.gop_size = FRAME_RATE * segment_s
            videos.append(stream)
        sound = output.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
        sound.bit_rate = 32_000
        noise = np.random.default_rng(1)
        for index in range(duration_s * FRAME_RATE):
            for stream in videos:
                picture = noise.integers(0, 255, (stream.height, stream.width, 3), dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
                output.mux(stream.encode(frame))
        step = 1024
        for start in range(0, duration_s * SAMPLE_RATE_HZ, step):
            wave = np.sin(np.arange(start, start + step) * 0.05).astype(np.float32)[None]
            block = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            block.sample_rate, block.pts = SAMPLE_RATE_HZ, start
            block.time_base = Fraction(1, SAMPLE_RATE_HZ)
            output.mux(sound.encode(block))
        for stream in videos:
            output.mux(stream.encode(None))
        output.mux(sound.encode(None))
