"""Our controller played live: through an edge and a shaped link, as DASH and as HLS, sound beside
the picture, and on a network that is remembered."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nearcast.manifests import write_master, write_media, write_mpd
from nearcast.media import Presentation, Rendition, Representation, Segment, TrackKind

if TYPE_CHECKING:
    from tests.e2e.conftest import EdgeProcess, FaultyOrigin, StartEdge

TIMEOUT_S = 60.0
LADDER_KBPS = (250.0, 600.0, 2400.0)
AUDIO_KBPS = 96.0
SEGMENT_S = 1.0
SEGMENT_COUNT = 8


def box(kind: bytes, size_bytes: int) -> bytes:
    return struct.pack(">I4s", size_bytes, kind).ljust(size_bytes, b"\x5a")


def representation(base: str, name: str, kind: TrackKind, kbps: float) -> Representation:
    size_bytes = round(kbps * 125 * SEGMENT_S)
    segments = tuple(
        Segment(
            url=f"{base}/{name}/{number}.m4s",
            start_s=(number - 1) * SEGMENT_S,
            duration_s=SEGMENT_S,
            size_bytes=size_bytes,
        )
        for number in range(1, SEGMENT_COUNT + 1)
    )
    rendition = Rendition(
        id=name,
        kind=kind,
        codecs="avc1.64001f" if kind == "video" else "mp4a.40.2",
        peak_kbps=kbps,
        average_kbps=kbps,
    )
    init = Segment(url=f"{base}/{name}/init.mp4", start_s=0.0, duration_s=0.0)
    return Representation(rendition=rendition, init=init, segments=segments)


def publish(origin: FaultyOrigin, path: str) -> None:
    """A title of constant rates below `path`, as DASH and as HLS."""
    base = origin.url + path
    video = tuple(
        representation(base, f"v{rung}", "video", kbps) for rung, kbps in enumerate(LADDER_KBPS)
    )
    audio = (representation(base, "a0", "audio", AUDIO_KBPS),)
    url = f"{base}/manifest.mpd"
    title = Presentation(url=url, duration_s=SEGMENT_COUNT * SEGMENT_S, video=video, audio=audio)
    origin.serve(f"{path}/manifest.mpd", write_mpd(title).encode())
    origin.serve(f"{path}/master.m3u8", write_master(title).encode())
    for each in (*video, *audio):
        place = f"{path}/{each.rendition.id}"
        playlist = write_media(each, url=f"{origin.url}{place}/playlist.m3u8")
        origin.serve(f"{place}/playlist.m3u8", playlist.encode())
        origin.serve(f"{place}/init.mp4", box(b"moov", 700))
        for number, segment in enumerate(each.segments, start=1):
            assert segment.size_bytes is not None
            origin.serve(f"{place}/{number}.m4s", box(b"mdat", segment.size_bytes))


@contextmanager
def shaped(edge: EdgeProcess, rate_kbps: int) -> Iterator[str]:
    """The edge behind a link; the URL to ask instead."""
    arguments = ["--rate-kbps", str(rate_kbps), "--delay-ms", "10", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "nearcast", "shape", *arguments, "--to", f"127.0.0.1:{edge.port}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        _, bound = process.stdout.readline().split()
        yield f"http://{bound.partition('=')[2]}"
    finally:
        process.terminate()
        process.wait(TIMEOUT_S)
        process.stdout.close()


def play(urls: list[str], folder: Path, *settings: str) -> list[dict[str, Any]]:
    """All at once by one process; the session of each."""
    schedule, report = folder / "schedule.json", folder / "report.json"
    plans = [{"viewer_id": f"v{index}", "items": [{"url": url}]} for index, url in enumerate(urls)]
    schedule.write_text(json.dumps({"viewers": [{"plan": plan} for plan in plans]}))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "nearcast", "play", "--controller", "nearcast"),
            *("--schedule", str(schedule), "--json", str(report), *settings),
        ],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [viewer["sessions"][0] for viewer in json.loads(report.read_bytes())["viewers"]]


def video_asked(origin: FaultyOrigin, path: str) -> list[str]:
    """What of the title's video the edge fetched, in order."""
    targets = [exchange.target for exchange in origin.seen]
    return [each for each in targets if each.startswith(f"{path}/v") and each.endswith(".m4s")]


def test_dash_and_hls_play_through_an_edge_and_a_shaped_link(
    origin: FaultyOrigin, start_edge: StartEdge, tmp_path: Path
) -> None:
    publish(origin, "/a")
    publish(origin, "/b")
    # Twice what both take at the highest rung: whoever stalls did so for no want of bandwidth.
    with start_edge(origin.url) as edge, shaped(edge, 10_000) as link:
        sessions = play([f"{link}/a/manifest.mpd", f"{link}/b/master.m3u8"], tmp_path)
    for path, session in zip(("/a", "/b"), sessions, strict=True):
        assert session["ended"] == "finished"
        assert session["played_s"] == pytest.approx(SEGMENT_COUNT * SEGMENT_S, abs=0.2)
        assert session["stalled_s"] < 0.5  # a busy machine may be late
        # It began at the bottom, and did not stay there.
        assert video_asked(origin, path)[0] == f"{path}/v0/1.m4s"
        assert session["bitrate_kbps"] > 1.2 * LADDER_KBPS[0]
        # Every segment has its sound.
        assert origin.count(f"{path}/a0/{SEGMENT_COUNT}.m4s") == 1


def test_second_session_begins_higher_where_the_network_is_remembered(
    origin: FaultyOrigin, start_edge: StartEdge, tmp_path: Path
) -> None:
    for path in ("/c", "/d"):
        publish(origin, path)
    file = tmp_path / "networks.json"
    memory = ("--set", "network_memory.is_on=true", "--set", f"network_memory.file={file}")

    def first(path: str) -> str:
        url = f"{link}{path}/manifest.mpd"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "nearcast", "play", "--controller", "nearcast", url),
                *("--duration", "2", "--network", "home", *memory),
            ],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return video_asked(origin, path)[0].split("/")[2]

    with start_edge(origin.url) as edge, shaped(edge, 16_000) as link:
        assert first("/c") == "v0"
        assert b"home" not in file.read_bytes()
        assert first("/d") == "v2"
