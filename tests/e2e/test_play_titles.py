"""`nearcast play` on titles of a stock encoder that are not cut into files: from a plain web server
that answers ranges, and through an edge."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from aiohttp import web

pytest.importorskip("av", reason="needs the extra `media`")

import av

from nearcast.manifests import FoundIndex, IndexedMpd, IndexReader, read_manifest
from nearcast.media import Presentation, Representation, Segment
from tests.abr_titles import (
    FRAME_RATE,
    MANY_INDEXES,
    RUNGS,
    boxes_of,
    make_file,
    make_indexed,
    make_pieced_hls,
    make_ranged_hls,
    mpd,
)

if TYPE_CHECKING:
    from tests.e2e.conftest import StartEdge

TIMEOUT_S = 60.0
TITLE_S = 3
HOME = "http://origin.test/"
MEDIA = (".mp4", ".m4s", ".ts")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("titles")
    main = make_indexed(made, duration_s=TITLE_S)
    (made / "indexed.mpd").write_text(mpd(main))
    (made / "probed.mpd").write_text(
        mpd(make_indexed(made, duration_s=TITLE_S, name="p", with_ranges=False))
    )
    spot = make_indexed(made, duration_s=1, name="spot")
    (made / "periods.mpd").write_text(mpd(spot, main))
    make_ranged_hls(made, duration_s=TITLE_S)
    make_pieced_hls(made)
    make_file(made / "many.mp4", "mp4", MANY_INDEXES, size=RUNGS[0][1], duration_s=TITLE_S)
    return made


class Ask(NamedTuple):
    path: str
    byte_range: str | None


class Server:
    """Answers ranges of the files of a folder, which it has under any first part of a path, and
    remembers what was asked for under each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.base = ""
        self.asked: dict[str, list[Ask]] = {}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        place, _, name = request.path.removeprefix("/").partition("/")
        self.asked.setdefault(place, []).append(Ask(name, request.headers.get("Range")))
        file = self.folder / name
        if not file.is_file():
            raise web.HTTPNotFound
        return web.FileResponse(file, headers={"Cache-Control": "max-age=60"})


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Server]:
    server = Server(folder)
    app = web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


async def play(
    base: str, names: Iterable[str], folder: Path
) -> tuple[int, str, dict[str, dict[str, Any]]]:
    """Exit status, stderr, and the session of each title, all played at once."""
    plans = [{"viewer_id": name, "items": [{"url": f"{base}/{name}/{name}"}]} for name in names]
    schedule, report = folder / "schedule.json", folder / "report.json"
    text = json.dumps({"viewers": [{"plan": plan} for plan in plans]})
    await asyncio.to_thread(schedule.write_text, text)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nearcast", "play"),
        *("--schedule", str(schedule), "--json", str(report)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode is not None
    viewers = json.loads(await asyncio.to_thread(report.read_bytes))["viewers"]
    sessions = {viewer["viewer_id"]: viewer["sessions"][0] for viewer in viewers}
    return process.returncode, err.decode(), sessions


def assert_played(session: dict[str, Any], duration_s: float) -> None:
    assert session["ended"] == "finished", session
    assert session["played_s"] == pytest.approx(duration_s, abs=0.15)


IN_ONE_FILE = {
    "indexed.mpd": TITLE_S,
    "probed.mpd": TITLE_S,
    "periods.mpd": TITLE_S + 1,
    "ranged.m3u8": TITLE_S,
    "muxed.m3u8": TITLE_S,
}
PIECED = {"holes.m3u8": TITLE_S, "spliced.m3u8": TITLE_S + 1, "longer.m3u8": 5, "shorter.m3u8": 3}


def test_titles_in_one_file_play_from_a_plain_server(folder: Path, tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(folder) as server:
            code, err, sessions = await play(server.base, IN_ONE_FILE, tmp_path)
        assert (code, err) == (0, "")
        for name, session in sessions.items():
            assert_played(session, IN_ONE_FILE[name])
            assert session["segment_count"] == IN_ONE_FILE[name]
            assert session["bitrate_kbps"] > 50
            media = [ask for ask in server.asked[name] if ask.path.endswith(MEDIA)]
            assert len(set(media)) == len(media)
            assert all(ask.byte_range for ask in media)
        inits = [ask for ask in server.asked["periods.mpd"] if "bytes=0-" in (ask.byte_range or "")]
        assert {"spota.mp4", "a.mp4"} <= {ask.path for ask in inits}

    asyncio.run(work())


def test_titles_with_holes_splices_and_uneven_tracks_play_to_their_end(
    folder: Path, tmp_path: Path
) -> None:
    async def work() -> None:
        async with serving(folder) as server:
            code, err, sessions = await play(server.base, PIECED, tmp_path)
        assert (code, err) == (0, "")
        for name, session in sessions.items():
            assert_played(session, PIECED[name])
        video = {
            name: [ask for ask in asked if ask.path in ("hv0.m4s", "hv1.m4s")]
            for name, asked in server.asked.items()
        }
        inits = {name: {ask for ask in asked if is_init(ask)} for name, asked in video.items()}
        # The gap was not asked for, another rung went on, and the rung that is gone was let go.
        lines = (folder / "holed.m3u8").read_text().splitlines()
        gap = next(line for line in lines[lines.index("#EXT-X-GAP") :] if "BYTERANGE" in line)
        first = gap.rpartition("@")[2]
        assert not any(f"bytes={first}-" in (ask.byte_range or "") for ask in video["holes.m3u8"])
        assert len(set(video["holes.m3u8"]) - inits["holes.m3u8"]) == TITLE_S
        assert [ask.path for ask in server.asked["holes.m3u8"]].count("gone.m3u8") == 1
        # Each part was begun with its own init, the first one once.
        assert len(inits["spliced.m3u8"]) == 2
        assert len(video["spliced.m3u8"]) == 2 + TITLE_S + 1

    asyncio.run(work())


def is_init(ask: Ask) -> bool:
    return (ask.byte_range or "").startswith("bytes=0-")


def test_titles_in_one_file_play_through_an_edge(
    folder: Path, tmp_path: Path, start_edge: StartEdge
) -> None:
    names = ("indexed.mpd", "periods.mpd", "ranged.m3u8")

    async def work() -> None:
        async with serving(folder) as server:
            with await asyncio.to_thread(start_edge, server.base) as edge:
                for _ in range(2):
                    code, err, sessions = await play(edge.url, names, tmp_path)
                    assert (code, err) == (0, "")
                    for name, session in sessions.items():
                        assert_played(session, IN_ONE_FILE[name])
                for name in names:
                    asked = server.asked[name]
                    assert len(set(asked)) == len(asked), "each file was fetched once"
                    assert sessions[name]["edge_hit_count"] > IN_ONE_FILE[name]
                status = await asyncio.to_thread(edge.status)
                # Those with an index in the media are served, and are not on the edge's map.
                assert status["manifests_ignored"] == 2
                assert status["title_count"] == 1

    asyncio.run(work())


def test_index_that_is_not_to_be_had_or_read_is_bad_input(folder: Path, tmp_path: Path) -> None:
    one = '<AdaptationSet contentType="video"><Representation bandwidth="1">'
    two = "</Representation></AdaptationSet>"
    ranged = '<SegmentBase indexRange="0-99"/>'
    period = f'<Period duration="PT{TITLE_S}S">{one}<BaseURL>%s</BaseURL>%s{two}</Period>'
    bad = {
        "fragments.mpd": (("many.mp4", ""), "/many.mp4: .* lists 1 s of 3 s: .* fragment only"),
        "text.mpd": (("ranged.m3u8", ranged), r"/ranged\.m3u8: not an MP4 box"),
        "gone.mpd": (("gone.mp4", ranged), r"/gone\.mp4: .*404"),
        "cut.mpd": (("cut.mp4", ""), r"/cut\.mp4: .*cut off"),
        "past.mpd": (("v0.mp4", '<SegmentBase indexRange="999999-1000000"/>'), "HTTP 416"),
    }
    (folder / "cut.mp4").write_bytes((folder / "v0.mp4").read_bytes()[:800])
    for name, (inside, _) in bad.items():
        (folder / name).write_text(mpd(period % inside))

    async def work() -> None:
        async with serving(folder) as server:
            code, err, sessions = await play(server.base, bad, tmp_path)
        assert code == 2
        assert all(session["ended"] == "failed" for session in sessions.values())
        lines = err.splitlines()
        assert len(lines) == len(bad)
        for line, (_, message) in zip(lines, bad.values(), strict=True):
            assert re.search(message, line), line

    asyncio.run(work())


def fetched(folder: Path, reader: IndexReader) -> FoundIndex:
    content = (folder / reader.place.url.removeprefix(HOME)).read_bytes()
    while reader.wanted is not None:
        reader.feed(content[reader.wanted.first : reader.wanted.last + 1])
    assert reader.found is not None
    return reader.found


def opened(folder: Path, name: str) -> Presentation:
    made = read_manifest((folder / name).read_bytes(), HOME + name)
    assert isinstance(made, IndexedMpd)
    return made.assemble({reader.place: fetched(folder, reader) for reader in made.readers()})


@pytest.mark.parametrize("name", ["indexed.mpd", "probed.mpd"])
def test_init_and_segments_of_an_index_decode_as_the_whole_file(folder: Path, name: str) -> None:
    title = opened(folder, name)
    assert [len(one.segments) for one in (*title.video, *title.audio)] == [TITLE_S, TITLE_S, 2]
    for representation in (*title.video, *title.audio):
        assert representation.init is not None
        content = (folder / representation.init.url.removeprefix(HOME)).read_bytes()
        whole = folder / "whole.mp4"
        whole.write_bytes(
            b"".join(_body(content, one) for one in (representation.init, *representation.segments))
        )
        with av.open(str(whole)) as made, av.open(content_file(folder, representation)) as wanted:
            packets = [packet.size for packet in made.demux() if packet.size]
            assert packets == [packet.size for packet in wanted.demux() if packet.size]
        if representation.rendition.kind == "video":
            assert len(packets) == TITLE_S * FRAME_RATE
        # Each segment begins with a fragment, and they follow each other without a gap.
        starts = {
            at for kind, at, _ in boxes_of(folder, content_name(representation)) if kind == "moof"
        }
        ranges = [one.byte_range for one in representation.segments]
        assert all(one is not None and one.first in starts for one in ranges)
        for one, two in pairwise(representation.segments):
            assert one.byte_range is not None
            assert two.byte_range is not None
            assert two.byte_range.first == one.byte_range.last + 1
            assert two.start_s == pytest.approx(one.end_s)


def content_name(representation: Representation) -> str:
    return representation.segments[0].url.removeprefix(HOME).removesuffix(".mp4")


def content_file(folder: Path, representation: Representation) -> str:
    return str(folder / f"{content_name(representation)}.mp4")


def _body(content: bytes, segment: Segment) -> bytes:
    assert segment.byte_range is not None
    return content[segment.byte_range.first : segment.byte_range.last + 1]
