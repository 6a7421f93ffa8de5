"""`nearcast play` as a process, against a plain web server with titles of a stock packager."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from nearcast.cmcd import Cmcd, from_request

pytest.importorskip("av", reason="needs the extra `media`")

from tests.abr_media import make_title

TIMEOUT_S = 60.0
TITLE_S = 3


@pytest.fixture(scope="module")
def title(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("title")
    make_title(folder, duration_s=TITLE_S)
    return folder


class Server:
    """Serves a folder, remembers what was asked for, and misbehaves where a path says so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.base = ""
        self.asked: list[tuple[str, Cmcd | None]] = []
        self.counts: Counter[str] = Counter()
        self.says_cache_status = False
        self.broken: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {}
        self.segment_asked = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        headers = [(name, value) for name, value in request.headers.items()]
        self.asked.append((path, from_request(request.path_qs, headers)))
        self.counts[path] += 1
        if "chunk" in path:
            self.segment_asked.set()
        if path in self.broken:
            return await self.broken[path](request)
        file = self.folder / path.removeprefix("/")
        if not file.is_file():
            raise web.HTTPNotFound
        extra = {}
        if self.says_cache_status:
            extra["Cache-Status"] = "edge; hit" if self.counts[path] > 1 else "edge; fwd=miss"
        return web.FileResponse(file, headers=extra)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Server]:
    server = Server(folder)
    app = web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nearcast", "play", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def play(*arguments: str) -> tuple[int, str, str]:
    process = await start(*arguments)
    out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_stock_title_plays_to_its_end_as_dash_and_as_hls(title: Path, tmp_path: Path) -> None:
    async def watch(manifest: str) -> None:
        async with serving(title) as server:
            report = tmp_path / f"{manifest}.json"
            code, out, err = await play(f"{server.base}/{manifest}", "--json", str(report))
            assert (code, err) == (0, "")
            assert "played to the end" in out
            assert max(len(line) for line in out.splitlines()) <= 80
            figures = json.loads(report.read_bytes())
            (session,) = figures["sessions"]
            assert session["ended"] == "finished"
            assert session["played_s"] == pytest.approx(TITLE_S, abs=0.1)
            assert session["segment_count"] == TITLE_S
            assert session["bitrate_kbps"] > 60
            assert session["started_from_edge"] is None
            # It climbed from the lower rung, and fetched no segment twice.
            media = [path for path, _ in server.asked if "chunk" in path]
            assert media[0].endswith("00001.m4s")
            assert len(set(media)) == len(media) == 2 * TITLE_S
            assert any("chunk-stream1" in path for path in media)
            told = [cmcd for path, cmcd in server.asked if "chunk-stream0" in path]
            assert told[0] is not None
            assert told[0].object_type == "v"
            assert told[0].stream_format == ("d" if manifest.endswith("mpd") else "h")

    async def work() -> None:
        await asyncio.gather(watch("manifest.mpd"), watch("master.m3u8"))

    run(work())


def test_second_title_is_a_next_episode_and_edge_hits_are_seen(title: Path, tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(title) as server:
            server.says_cache_status = True
            url = f"{server.base}/manifest.mpd"
            report = tmp_path / "report.json"
            code, _, _ = await play(
                url, url, "--duration", "1.5", "--cmcd", "headers", "--json", str(report)
            )
            assert code == 0
            first, second = json.loads(report.read_bytes())["sessions"]
            assert (first["is_next_episode"], second["is_next_episode"]) == (False, True)
            assert (first["started_from_edge"], second["ended"]) == (False, "left")
            assert second["played_s"] == pytest.approx(1.5)
            assert second["edge_hit_count"] > 0
            assert "CMCD" not in str([path for path, _ in server.asked])
            sessions = {cmcd.session_id for _, cmcd in server.asked if cmcd is not None}
            assert len(sessions) == 2

    run(work())


def test_what_was_played_can_be_drawn(title: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra `sim`")

    async def work() -> None:
        async with serving(title) as server:
            picture = tmp_path / "session.svg"
            url = f"{server.base}/manifest.mpd"
            code, _, err = await play(url, "--duration", "1", "--plot", str(picture))
            assert (code, err) == (0, "")
            assert b"<svg" in picture.read_bytes()
            picture.unlink()
            code, _, err = await play(f"{server.base}/none.mpd", "--plot", str(picture))
            assert code == 2
            assert f"nothing was played, so {picture} is not drawn" in err
            code, _, err = await play(url, "--plot", str(tmp_path / "session.gif"))
            assert code == 2
            assert "must end in .svg" in err
            assert not picture.exists()

    run(work())


def test_schedule_of_several_viewers_reports_each(title: Path, tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(title) as server:
            viewers = [
                {
                    "start_s": 0.2 * number,
                    "plan": {
                        "viewer_id": f"viewer-{number}",
                        "items": [{"url": f"{server.base}/master.m3u8", "watch_s": 1.0}] * 2,
                    },
                }
                for number in range(4)
            ]
            file, report = tmp_path / "schedule.json", tmp_path / "report.json"
            file.write_text(json.dumps({"viewers": viewers}))
            code, out, err = await play("--schedule", str(file), "--json", str(report))
            assert (code, err) == (0, "")
            figures = json.loads(report.read_bytes())["viewers"]
            assert [each["viewer_id"] for each in figures] == [f"viewer-{n}" for n in range(4)]
            assert all(each["played_s"] == pytest.approx(2.0) for each in figures)
            assert len(out.splitlines()) == 5

    run(work())


def test_interrupt_reports_what_was_played(title: Path, tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(title) as server:
            report = tmp_path / "report.json"
            process = await start(f"{server.base}/manifest.mpd", "--json", str(report))
            await asyncio.wait_for(server.segment_asked.wait(), TIMEOUT_S)
            process.send_signal(signal.SIGINT)
            out, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
            assert process.returncode == 130
            assert "left after" in out.decode()
            assert json.loads(report.read_bytes())["sessions"][0]["ended"] == "left"

    run(work())


async def _huge(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"<MPD>")
    try:
        for _ in range(100):
            await response.write(b" " * 1_000_000)
    except ConnectionError:
        pass  # the player has seen enough
    return response


async def _cut_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "50000"})
    await response.prepare(request)
    await response.write(b"x" * 1000)
    assert request.transport is not None
    request.transport.close()
    return response


def _text(body: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text=body)

    return answer


FOREIGN = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\nhttp://other.test/a.m3u8\n"
BAD_MANIFESTS: dict[str, tuple[Callable[[web.Request], Awaitable[web.StreamResponse]], str]] = {
    "/garbage": (_text("this is no manifest"), "neither a DASH nor an HLS manifest"),
    "/broken-xml": (_text("<MPD"), "/broken-xml: "),
    "/live": (_text("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.ts\n"), "live"),
    "/huge": (_huge, "larger than 4 MiB"),
    "/cut-off": (_cut_off, "/cut-off: "),
    "/foreign": (_text(FOREIGN), "outside its own origin"),
    "/missing": (_text(""), "the answer is empty"),
}


def test_bad_manifests_are_refused_each_with_its_reason(title: Path, tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(title) as server:
            server.broken = {path: answer for path, (answer, _) in BAD_MANIFESTS.items()}
            viewers = [
                {"plan": {"viewer_id": path, "items": [{"url": server.base + path}]}}
                for path in BAD_MANIFESTS
            ]
            file = tmp_path / "schedule.json"
            file.write_text(json.dumps({"viewers": viewers}))
            code, out, err = await play("--schedule", str(file), "--set", "retry.base_s=0.01")
            assert code == 2
            assert out.count("failed") == len(BAD_MANIFESTS)
            lines = [line for line in err.splitlines() if line.startswith("nearcast play: ")]
            assert len(lines) == len(err.splitlines()) == len(BAD_MANIFESTS)
            for line, (_, message) in zip(lines, BAD_MANIFESTS.values(), strict=True):
                assert message in line

    run(work())


def test_segment_cut_off_once_is_fetched_again(title: Path) -> None:
    async def work() -> None:
        async with serving(title) as server:

            async def first_cut(request: web.Request) -> web.StreamResponse:
                del server.broken["/chunk-stream0-00001.m4s"]
                return await _cut_off(request)

            server.broken["/chunk-stream0-00001.m4s"] = first_cut
            code, _, err = await play(f"{server.base}/manifest.mpd", "--duration", "1")
            assert (code, err) == (0, "")
            assert server.counts["/chunk-stream0-00001.m4s"] == 2

    run(work())


def test_segments_that_vanish_midway_end_with_status_1(title: Path) -> None:
    async def work() -> None:
        async with serving(title) as server:

            async def gone(request: web.Request) -> web.StreamResponse:
                raise web.HTTPGone

            for rung in (0, 1):
                for number in (2, 3):
                    server.broken[f"/chunk-stream{rung}-0000{number}.m4s"] = gone
            code, out, err = await play(
                f"{server.base}/manifest.mpd",
                *("--set", "retry.base_s=0.05", "--set", "retry.wait_s_max=0.1"),
                *("--set", "startup_buffer_s=0"),
            )
            assert code == 1
            assert "FAILED after 0:01" in out
            assert "HTTP 410" in err

    run(work())


def test_server_that_is_not_there_is_bad_input() -> None:
    async def work() -> None:
        url = "http://127.0.0.1:1/manifest.mpd"
        code, out, err = await play(url, "--set", "retry.base_s=0.01")
        assert code == 2
        assert "cannot connect to 127.0.0.1:1" in err
        assert "never" in out

    run(work())
