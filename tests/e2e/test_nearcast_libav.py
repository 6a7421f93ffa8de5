"""Manifests as a stock packager writes them: libav's dash muxer, through PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from nearcast.manifests import HlsMaster, read_manifest
from nearcast.media import Presentation, Representation, Segment

av = pytest.importorskip("av", reason="PyAV (the media extra) is not installed")

URL = "http://origin.example/title/"
FRAME_RATE = 25
FRAME_COUNT = 100
SAMPLE_RATE_HZ = 48000
SAMPLES_PER_FRAME = 1024


def package(folder: Path, **options: str) -> None:
    """Four seconds of two video rungs and one of audio."""
    container = av.open(
        str(folder / "manifest.mpd"),
        "w",
        format="dash",
        options={
            "hls_playlist": "1",
            "seg_duration": "1",
            "adaptation_sets": "id=0,streams=v id=1,streams=a",
            **options,
        },
    )
    videos = []
    for width, height, rate_bps in ((128, 72, 60_000), (256, 144, 200_000)):
        video = container.add_stream(
            "libx264",
            rate=FRAME_RATE,
            options={"preset": "ultrafast", "g": "25", "keyint_min": "25", "sc_threshold": "0"},
        )
        video.width, video.height, video.pix_fmt, video.bit_rate = (
            width,
            height,
            "yuv420p",
            rate_bps,
        )
        videos.append(video)
    audio = container.add_stream("aac", rate=SAMPLE_RATE_HZ)
    silence = np.zeros((2, SAMPLES_PER_FRAME), np.float32)
    samples = 0
    for index in range(FRAME_COUNT):
        for video in videos:
            picture = np.full((video.height, video.width, 3), 2 * index, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
            container.mux(video.encode(frame))
        while samples * FRAME_RATE < (index + 1) * SAMPLE_RATE_HZ:
            sound = av.AudioFrame.from_ndarray(silence, format="fltp", layout="stereo")
            sound.sample_rate = SAMPLE_RATE_HZ
            sound.pts, sound.time_base = samples, Fraction(1, SAMPLE_RATE_HZ)
            samples += SAMPLES_PER_FRAME
            container.mux(audio.encode(sound))
    for stream in (*videos, audio):
        container.mux(stream.encode(None))
    container.close()


def read(folder: Path, name: str) -> Presentation:
    made = read_manifest((folder / name).read_bytes(), URL + name)
    if isinstance(made, HlsMaster):
        made = made.assemble(
            {url: (folder / url.removeprefix(URL)).read_bytes() for url in made.playlist_urls}
        )
    assert isinstance(made, Presentation)
    return made


def body(folder: Path, segment: Segment) -> bytes:
    content = (folder / segment.url.removeprefix(URL)).read_bytes()
    if segment.byte_range is None:
        return content
    part = content[segment.byte_range.first : segment.byte_range.last + 1]
    assert len(part) == segment.size_bytes
    return part


def assert_playable(folder: Path, representation: Representation) -> None:
    """Every URL leads to an init or a segment, and between them they hold the whole track."""
    assert representation.init is not None
    init = body(folder, representation.init)
    assert init[4:8] == b"ftyp"
    bodies = [body(folder, segment) for segment in representation.segments]
    assert all(one[4:8] in (b"styp", b"sidx", b"moof") for one in bodies)
    whole = folder / "whole.mp4"
    whole.write_bytes(init + b"".join(bodies))
    with av.open(str(whole)) as container:
        packets = [packet for packet in container.demux() if packet.size]
    expected = FRAME_COUNT if representation.rendition.kind == "video" else 188
    assert len(packets) >= expected - 1


@pytest.mark.parametrize(
    ("options"),
    [
        pytest.param({}, id="timeline"),
        pytest.param({"use_timeline": "0"}, id="template"),
        pytest.param({"use_template": "0"}, id="list"),
        pytest.param({"single_file": "1"}, id="single file"),
    ],
)
def test_titles_of_libavs_muxer_are_read(tmp_path: Path, options: dict[str, str]) -> None:
    package(tmp_path, **options)
    dash, hls = read(tmp_path, "manifest.mpd"), read(tmp_path, "master.m3u8")
    for presentation in (dash, hls):
        assert [
            (one.rendition.width, one.rendition.height, len(one.segments))
            for one in presentation.video
        ] == [(128, 72, 4), (256, 144, 4)]
        assert len(presentation.audio) == 1
        assert presentation.duration_s == pytest.approx(4.0, abs=0.03)
        for _, representations in presentation.tracks():
            for representation in representations:
                assert_playable(tmp_path, representation)
    assert [one.rendition.frame_rate for one in dash.video] == [25.0, 25.0]
    assert [one.rendition.peak_kbps for one in dash.video] == [60.0, 200.0]
    assert dash.audio[0].rendition.sample_rate_hz == SAMPLE_RATE_HZ
    for one, two in zip(dash.video, hls.video, strict=True):
        assert one.rendition.codecs == two.rendition.codecs
        assert [(segment.url, segment.byte_range) for segment in one.segments] == [
            (segment.url, segment.byte_range) for segment in two.segments
        ]
        assert [segment.start_s for segment in one.segments] == pytest.approx(
            [segment.start_s for segment in two.segments]
        )
