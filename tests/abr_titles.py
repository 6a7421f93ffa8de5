"""Titles of the shapes that packagers make beside segment files: one file per rendition with its
index inside, byte ranges in playlists, and parts joined one behind the other."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

FRAME_RATE = 12
SAMPLE_RATE_HZ = 48_000
RUNGS = (("v0", (96, 54), 60_000), ("v1", (160, 90), 200_000))
INDEXED = {"movflags": "+frag_keyframe+dash+global_sidx"}
MANY_INDEXES = {"movflags": "+frag_keyframe+dash"}


def make_file(
    path: Path,
    form: str,
    options: dict[str, str],
    *,
    size: tuple[int, int] | None = None,
    rate_bps: int = 60_000,
    has_audio: bool = False,
    duration_s: int = 3,
    segment_s: int = 1,
) -> None:
    """One rendition: video of this size, or audio, or both together."""
    noise = np.random.default_rng(1)
    with av.open(str(path), "w", format=form, options=options) as output:
        video = None
        if size is not None:
            video = output.add_stream(
                "libx264",
                rate=FRAME_RATE,
                options={"preset": "ultrafast", "threads": "1", "sc_threshold": "0"},
            )
            video.width, video.height = size
            video.pix_fmt, video.bit_rate = "yuv420p", rate_bps
            video.gop_size = FRAME_RATE * segment_s
        sound = output.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono") if has_audio else None
        sample = 0
        for index in range(duration_s * FRAME_RATE):
            if video is not None:
                shape = (video.height, video.width, 3)
                picture = noise.integers(0, 255, shape, dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
                output.mux(video.encode(frame))
            while sound is not None and sample * FRAME_RATE < (index + 1) * SAMPLE_RATE_HZ:
                wave = np.sin(np.arange(sample, sample + 1024) * 0.05).astype(np.float32)[None]
                block = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
                block.sample_rate, block.pts = SAMPLE_RATE_HZ, sample
                block.time_base = Fraction(1, SAMPLE_RATE_HZ)
                output.mux(sound.encode(block))
                sample += 1024
        for stream in (video, sound):
            if stream is not None:
                output.mux(stream.encode(None))


def boxes(data: bytes) -> list[tuple[str, int, int]]:
    """(kind, first byte, size) of the boxes of a file, as the test reads them itself."""
    found, at = [], 0
    while at < len(data):
        size_bytes = int.from_bytes(data[at : at + 4], "big")
        found.append((data[at + 4 : at + 8].decode("latin-1"), at, size_bytes))
        at += size_bytes
    return found


def make_indexed(
    folder: Path, *, duration_s: int = 3, name: str = "", with_ranges: bool = True
) -> str:
    """Two rungs and audio, each one file with a sidx, and the Period that lists them. The audio's
    fragments are twice as long as the video's. `with_ranges`: it says where the indexes are."""
    lines = [f'<Period duration="PT{duration_s}S">']
    for rung, size, rate_bps in RUNGS:
        make_file(
            folder / f"{name}{rung}.mp4",
            "mp4",
            INDEXED,
            size=size,
            rate_bps=rate_bps,
            duration_s=duration_s,
        )
        lines.append('<AdaptationSet contentType="video">' if rung == "v0" else "")
        lines.append(_representation(folder, f"{name}{rung}", rate_bps, with_ranges))
    make_file(
        folder / f"{name}a.mp4",
        "mp4",
        {"movflags": "+dash+global_sidx", "frag_duration": "2000000"},
        has_audio=True,
        duration_s=duration_s,
    )
    lines.append('</AdaptationSet><AdaptationSet contentType="audio">')
    lines.append(_representation(folder, f"{name}a", 32_000, with_ranges))
    return "".join([*lines, "</AdaptationSet></Period>"])


def mpd(*periods: str) -> str:
    """A manifest of these Periods."""
    inside = "".join(periods)
    return f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">{inside}</MPD>'


def _representation(folder: Path, name: str, rate_bps: int, with_ranges: bool) -> str:
    base = ""
    if with_ranges:
        places = {kind: (at, at + size - 1) for kind, at, size in reversed(boxes_of(folder, name))}
        (first, last), (_, init_last) = places["sidx"], places["moov"]
        base = (
            f'<SegmentBase indexRange="{first}-{last}">'
            f'<Initialization range="0-{init_last}"/></SegmentBase>'
        )
    return (
        f'<Representation id="{name}" bandwidth="{rate_bps}"><BaseURL>{name}.mp4</BaseURL>'
        f"{base}</Representation>"
    )


def boxes_of(folder: Path, name: str) -> list[tuple[str, int, int]]:
    return boxes((folder / f"{name}.mp4").read_bytes())


def make_ranged_hls(folder: Path, *, duration_s: int = 3) -> None:
    """`ranged.m3u8`: two rungs of byte ranges in fMP4 with the audio apart; `muxed.m3u8`: one file
    of MPEG-TS with the audio inside."""
    ranged = {"hls_flags": "single_file", "hls_time": "1", "hls_playlist_type": "vod"}
    fragmented = {**ranged, "hls_segment_type": "fmp4"}
    lines = ["#EXTM3U", '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="one",URI="ha.m3u8"']
    for rung, size, rate_bps in RUNGS:
        make_file(
            folder / f"h{rung}.m3u8",
            "hls",
            fragmented,
            size=size,
            rate_bps=rate_bps,
            duration_s=duration_s,
        )
        lines.append(f'#EXT-X-STREAM-INF:BANDWIDTH={rate_bps + 40_000},AUDIO="a"')
        lines.append(f"h{rung}.m3u8")
    audio = {**fragmented, "hls_time": "2"}
    make_file(folder / "ha.m3u8", "hls", audio, has_audio=True, duration_s=duration_s)
    (folder / "ranged.m3u8").write_text("\n".join([*lines, ""]))
    make_file(
        folder / "muxed.m3u8",
        "hls",
        ranged,
        size=RUNGS[0][1],
        has_audio=True,
        duration_s=duration_s,
    )


def make_pieced_hls(folder: Path) -> None:
    """From what `make_ranged_hls` made: `holes.m3u8`, of whose rungs one has a gap as its second
    segment and one is not there; `spliced.m3u8`, with a second of something else after its first;
    `longer.m3u8` and `shorter.m3u8`, whose audio is longer or shorter than the video by 2 s."""
    low, high = (_segments(folder / f"h{rung}.m3u8") for rung, _, _ in RUNGS)
    holed = [*high[:1], ["#EXT-X-GAP", *high[1]], *high[2:]]
    _write_media(folder / "holed.m3u8", holed, _map(folder / "hv1.m3u8"))
    (folder / "holes.m3u8").write_text(
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=60000\nhv0.m3u8\n"
        "#EXT-X-STREAM-INF:BANDWIDTH=200000\nholed.m3u8\n"
        "#EXT-X-STREAM-INF:BANDWIDTH=900000\ngone.m3u8\n"
    )
    own = _map(folder / "hv0.m3u8")
    other = ["#EXT-X-DISCONTINUITY", _map(folder / "hv1.m3u8"), *high[2]]
    back = ["#EXT-X-DISCONTINUITY", own, *low[1]]
    _write_media(folder / "spliced.m3u8", [low[0], other, back, *low[2:]], own)
    options = {"hls_flags": "single_file", "hls_segment_type": "fmp4", "hls_time": "1"}
    for name, duration_s in (("longer", 5), ("shorter", 1)):
        kind = {**options, "hls_playlist_type": "vod"}
        make_file(folder / f"{name}a.m3u8", "hls", kind, has_audio=True, duration_s=duration_s)
        (folder / f"{name}.m3u8").write_text(
            f'#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="one",URI="{name}a.m3u8"\n'
            '#EXT-X-STREAM-INF:BANDWIDTH=60000,AUDIO="a"\nhv0.m3u8\n'
        )


def _segments(playlist: Path) -> list[list[str]]:
    """The lines of each segment."""
    made: list[list[str]] = [[]]
    for line in playlist.read_text().splitlines():
        if line.startswith(("#EXTINF", "#EXT-X-BYTERANGE")):
            made[-1].append(line)
        elif line and not line.startswith("#"):
            made[-1].append(line)
            made.append([])
    return made[:-1]


def _map(playlist: Path) -> str:
    lines = playlist.read_text().splitlines()
    return next(line for line in lines if line.startswith("#EXT-X-MAP"))


def _write_media(path: Path, segments: list[list[str]], first_map: str) -> None:
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", first_map]
    lines += [line for segment in segments for line in segment]
    path.write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]))
