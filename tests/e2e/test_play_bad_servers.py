"""`nearcast play` as a process against servers that lie, break off, vanish and come back."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gzip
import json
import signal
import struct
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

TIMEOUT_S = 60.0
COUNT = 4
DURATION_S = 0.5
SIZES_BYTES = (40_000, 90_000)
FAST = (
    *("--set", "retry.base_s=0.05", "--set", "retry.wait_s_max=0.2"),
    *("--set", "retry.host_base_s=0.2", "--set", "retry.failover_s=0.5"),
    *("--set", "startup_buffer_s=0.5", "--set", "start_rung=highest", "--quiet"),
)

Fields = Sequence[tuple[str, str]]


def media(size_bytes: int) -> bytes:
    """A segment as far as its boxes tell."""
    moof = struct.pack(">I4s", 100, b"moof") + bytes(92)
    return moof + struct.pack(">I4s", size_bytes - 100, b"mdat") + bytes(size_bytes - 108)


def mpd(bases: str = "", attributes: str = "") -> bytes:
    representations = "".join(
        f'<Representation id="v{rung}" bandwidth="{size * 8 * 2}" codecs="avc1.42c00d"/>'
        for rung, size in enumerate(SIZES_BYTES)
    )
    return f"""<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"
    {attributes} mediaPresentationDuration="PT{COUNT * DURATION_S}S" profiles="x"
    minBufferTime="PT1S">{bases}<Period><AdaptationSet contentType="video" mimeType="video/mp4">
    <SegmentTemplate timescale="10" duration="{int(DURATION_S * 10)}" startNumber="1"
    media="$RepresentationID$/$Number$.m4s"/>{representations}</AdaptationSet></Period>
    </MPD>""".encode()


def files(manifest: bytes | None = None) -> dict[str, bytes]:
    made = {"/m.mpd": manifest or mpd()}
    for rung, size in enumerate(SIZES_BYTES):
        made |= {f"/v{rung}/{number}.m4s": media(size) for number in range(1, COUNT + 1)}
    return made


class Exchange:
    """One request, and the bare connection to answer it on, in whichever way."""

    def __init__(
        self,
        path: str,
        fields: dict[str, str],
        body: bytes | None,
        writer: asyncio.StreamWriter,
        attempt: int,
    ) -> None:
        self.path = path
        self.fields = fields
        self.body = body
        self.writer = writer
        self.attempt = attempt
        """Of this path, from 1."""

    def send(self, status: int, fields: Fields, body: bytes) -> None:
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in fields)]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)

    def plain(self) -> None:
        body = self.body
        if body is None:
            self.send(404, [("Content-Length", "0")], b"")
        else:
            self.send(200, [("Content-Length", str(len(body)))], body)

    def reset(self) -> None:
        transport = self.writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


Script = Callable[[Exchange], Awaitable[None] | None]


class Server:
    """Answers with files, or as the script has it. No web library: it has to be able to lie."""

    def __init__(self, held: dict[str, bytes], script: Script | None) -> None:
        self.held = held
        self.script = script
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.base = ""
        self.port = 0
        self.media_asked = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def counts(self) -> Counter[str]:
        return Counter(path for path, _ in self.asked)

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]
        self.base = f"http://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            transport = writer.transport
            assert isinstance(transport, asyncio.Transport)
            transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                path = head[0].split(" ")[1].partition("?")[0]
                fields = {}
                for line in head[1:]:
                    name, _, value = line.partition(":")
                    fields[name.strip().lower()] = value.strip()
                self.asked.append((path, fields))
                if path.endswith(".m4s"):
                    self.media_asked.set()
                made = Exchange(path, fields, self.held.get(path), writer, self.counts[path])
                if self.script is None:
                    made.plain()
                else:
                    done = self.script(made)
                    if done is not None:
                        await done
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


@asynccontextmanager
async def serving(
    script: Script | None = None, held: dict[str, bytes] | None = None
) -> AsyncIterator[Server]:
    server = Server(files() if held is None else held, script)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nearcast", "play", *FAST, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


class Played:
    def __init__(self, code: int, out: str, err: str, session: dict[str, Any]) -> None:
        self.code, self.out, self.err, self.session = code, out, err, session

    def was_whole(self) -> None:
        assert (self.code, self.err) == (0, ""), self.out + self.err
        assert self.session["ended"] == "finished"
        assert self.session["played_s"] == pytest.approx(COUNT * DURATION_S, abs=0.05)


async def finish(process: asyncio.subprocess.Process, report: Path) -> Played:
    out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode is not None
    figures = await asyncio.to_thread(report.read_bytes)
    (session,) = json.loads(figures)["sessions"]
    return Played(process.returncode, out.decode(), err.decode(), session)


async def play(report: Path, *arguments: str) -> Played:
    return await finish(await start(*arguments, "--json", str(report)), report)


async def play_each(
    folder: Path, scripts: Sequence[Script], held: dict[str, bytes]
) -> AsyncIterator[tuple[str, dict[str, Any], Server]]:
    """All in one process, each viewer from a server of its own; what became of each."""
    async with contextlib.AsyncExitStack() as stack:
        servers = {
            str(script.__name__): await stack.enter_async_context(serving(script, held))
            for script in scripts
        }
        viewers = [
            {"plan": {"viewer_id": name, "items": [{"url": f"{server.base}/m.mpd"}]}}
            for name, server in servers.items()
        ]
        file, report = folder / "schedule.json", folder / "report.json"
        await asyncio.to_thread(file.write_text, json.dumps({"viewers": viewers}))
        process = await start("--schedule", str(file), "--json", str(report))
        out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
        assert (process.returncode, err) == (0, b""), out
        figures = json.loads(await asyncio.to_thread(report.read_bytes))["viewers"]
        for viewer in figures:
            (session,) = viewer["sessions"]
            yield viewer["viewer_id"], session, servers[viewer["viewer_id"]]


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def once(number: int, lie: Script) -> Script:
    """Lie about the first try for one segment, at whichever rung; else answer plainly."""
    told: list[str] = []

    @functools.wraps(lie)
    def script(made: Exchange) -> Awaitable[None] | None:
        if made.path.endswith(f"/{number}.m4s") and not told:
            told.append(made.path)
            return lie(made)
        made.plain()
        return None

    return script


def body_of(made: Exchange) -> bytes:
    assert made.body is not None
    return made.body


def shorter(made: Exchange) -> None:
    body = body_of(made)
    made.send(200, [("Content-Length", str(len(body)))], body[:-1000])
    made.writer.close()


def longer(made: Exchange) -> None:
    body = body_of(made)
    made.send(200, [("Content-Length", str(len(body) - 1000))], body)


def cut_without_length(made: Exchange) -> None:
    made.send(200, [("Connection", "close")], body_of(made)[:-1000])
    made.writer.close()


def cut_chunked(made: Exchange) -> None:
    body = body_of(made)
    chunk = f"{len(body):x}\r\n".encode() + body
    made.send(200, [("Transfer-Encoding", "chunked")], chunk[:-1000])
    made.writer.close()


def bad_chunk(made: Exchange) -> None:
    made.send(200, [("Transfer-Encoding", "chunked")], b"what\r\n" + body_of(made))


def page(made: Exchange) -> None:
    text = b"<!DOCTYPE html><title>Log in</title>" * 20
    made.send(200, [("Content-Type", "text/html"), ("Content-Length", str(len(text)))], text)


def page_as_media(made: Exchange) -> None:
    text = b"<!DOCTYPE html><title>Log in</title>" * 20
    made.send(200, [("Content-Type", "video/mp4"), ("Content-Length", str(len(text)))], text)


def empty(made: Exchange) -> None:
    made.send(200, [("Content-Length", "0")], b"")


def nothing(made: Exchange) -> None:
    made.send(204, [], b"")


def unasked_part(made: Exchange) -> None:
    body = body_of(made)[:500]
    fields = [("Content-Length", "500"), ("Content-Range", "bytes 0-499/9000")]
    made.send(206, fields, body)


def cut_gzip(made: Exchange) -> None:
    coded = gzip.compress(body_of(made))[:-9]
    fields = [("Content-Encoding", "gzip"), ("Content-Length", str(len(coded)))]
    made.send(200, fields, coded)


def brotli(made: Exchange) -> None:
    made.send(200, [("Content-Encoding", "br"), ("Content-Length", "9")], b"not media")


def no_http(made: Exchange) -> None:
    made.writer.write(b"SSH-2.0-OpenSSH_9.6\r\n" * 3)
    made.writer.close()


def loop(made: Exchange) -> None:
    made.send(302, [("Location", made.path), ("Content-Length", "0")], b"")


LIES = (
    shorter,
    longer,
    cut_without_length,
    cut_chunked,
    bad_chunk,
    page,
    page_as_media,
    empty,
    nothing,
    unasked_part,
    cut_gzip,
    brotli,
    no_http,
)


def test_damaged_answers_are_no_segments_and_fetched_again(tmp_path: Path) -> None:
    """One process, a viewer for each kind of damage to the first answer for segment 3."""

    async def work() -> None:
        scripts = [once(3, lie) for lie in LIES]
        seen = []
        async for name, session, server in play_each(tmp_path, scripts, files()):
            seen.append(name)
            assert session["ended"] == "finished", name
            assert session["played_s"] == pytest.approx(COUNT * DURATION_S, abs=0.05), name
            assert session["failure_count"] >= 1, name
            assert session["segment_count"] == COUNT, name
            thirds = sum(n for path, n in server.counts.items() if path.endswith("/3.m4s"))
            assert thirds == 2, name
            # Whole segments only: any other mean would have some of the damaged bytes in it.
            rates = [size * 8 / DURATION_S / 1000 for size in SIZES_BYTES]
            share = (session["bitrate_kbps"] - rates[0]) / (rates[1] - rates[0]) * COUNT
            assert share == pytest.approx(round(share), abs=1e-6), name
        assert len(seen) == len(LIES)

    run(work())


def chunked(made: Exchange) -> None:
    body = body_of(made)
    parts = [body[at : at + 7000] for at in range(0, len(body), 7000)]
    made.send(
        200,
        [("Transfer-Encoding", "chunked")],
        b"".join(f"{len(p):x}\r\n".encode() + p + b"\r\n" for p in [*parts, b""]),
    )


def without_length(made: Exchange) -> None:
    made.send(200, [("Connection", "close")], body_of(made))
    made.writer.close()


def zipped(made: Exchange) -> None:
    coded = gzip.compress(body_of(made))
    fields = [("Content-Encoding", "gzip"), ("Content-Length", str(len(coded)))]
    made.send(200, fields, coded)


ABSURD = [
    ("Date", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ("Expires", "Sat, 01 Jan 2222 00:00:00 GMT"),
    ("Last-Modified", "Sat, 01 Jan 2222 00:00:00 GMT"),
    ("Age", "99999999999999999999"),
    ("Cache-Control", "max-age=-5, no-store"),
]


def absurd_dates(made: Exchange) -> None:
    body = body_of(made)
    made.send(200, [*ABSURD, ("Content-Length", str(len(body)))], body)


def test_unusual_ways_to_send_the_right_bytes_are_taken(tmp_path: Path) -> None:
    async def work() -> None:
        future = 'publishTime="2222-01-01T00:00:00Z" availabilityStartTime="2222-01-01T00:00:00Z"'
        held = files(mpd(attributes=future))
        ways = (chunked, without_length, zipped, absurd_dates)
        seen = []
        async for name, session, server in play_each(tmp_path, ways, held):
            seen.append(name)
            assert (session["ended"], session["failure_count"]) == ("finished", 0), name
            assert max(server.counts.values()) == 1, name
        assert len(seen) == len(ways)

    run(work())


def test_download_that_breaks_is_gone_on_from_there(tmp_path: Path) -> None:
    """Each connection brings 30 kB and is reset: with an ETag, that still makes a title."""

    def script(made: Exchange) -> None:
        if not made.path.endswith(".m4s"):
            made.plain()
            return
        body, first = body_of(made), 0
        fields = [("ETag", '"v1"'), ("Accept-Ranges", "bytes")]
        status = 200
        if "range" in made.fields:
            assert made.fields["if-range"] == '"v1"'
            first = int(made.fields["range"].removeprefix("bytes=").split("-")[0])
            fields.append(("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}"))
            status = 206
        rest = body[first:]
        fields.append(("Content-Length", str(len(rest))))
        made.send(status, fields, rest[:30_000])
        if len(rest) > 30_000:
            made.writer.close()

    async def work() -> None:
        async with serving(script) as server:
            played = await play(tmp_path / "report.json", f"{server.base}/m.mpd")
            played.was_whole()
            assert played.session["stalled_s"] < 0.1
            assert played.session["received_bytes"] < COUNT * max(SIZES_BYTES) + 20_000
            assert any("range" in fields for _, fields in server.asked)

    run(work())


def test_file_that_changed_meanwhile_is_fetched_from_its_beginning(tmp_path: Path) -> None:
    def script(made: Exchange) -> None:
        if not made.path.endswith("/3.m4s"):
            made.plain()
            return
        body = body_of(made)
        fields = [("ETag", f'"v{made.attempt}"'), ("Accept-Ranges", "bytes")]
        fields.append(("Content-Length", str(len(body))))
        made.send(200, fields, body[:30_000] if made.attempt == 1 else body)
        if made.attempt == 1:
            made.writer.close()

    async def work() -> None:
        async with serving(script) as server:
            played = await play(tmp_path / "report.json", f"{server.base}/m.mpd")
            played.was_whole()
            tries = [fields for path, fields in server.asked if path.endswith("/3.m4s")]
            assert len(tries) == 2
            assert tries[1]["if-range"] == '"v1"'

    run(work())


def test_host_that_dies_and_comes_back_is_left_and_preferred_again(tmp_path: Path) -> None:
    """By BaseURL elements, the better one by priority although it is listed last."""

    async def work() -> None:
        async with serving() as spare, serving() as best:
            bases = (
                f"<BaseURL>{spare.base}/</BaseURL>"
                f'<BaseURL xmlns:dvb="urn:dvb:dash:dash-extensions:2014-1">{best.base}/</BaseURL>'
            ).replace("<BaseURL>", '<BaseURL dvb:priority="2">', 1)
            bases = bases.replace(
                "<BaseURL ", '<BaseURL xmlns:dvb="urn:dvb:dash:dash-extensions:2014-1" ', 1
            )
            count = 12
            text = mpd(bases).replace(b"PT2.0S", b"PT6.0S")
            for server in (spare, best):
                server.held = files(text) | {
                    f"/v{rung}/{n}.m4s": media(size)
                    for rung, size in enumerate(SIZES_BYTES)
                    for n in range(1, count + 1)
                }
            report = tmp_path / "report.json"
            process = await start(
                f"{spare.base}/m.mpd",
                *("--json", str(report), "--buffer", "2", "--set", "allow_hosts=127.0.0.1"),
                *("--set", "retry.failover_s=0.2"),
            )
            await asyncio.wait_for(best.media_asked.wait(), TIMEOUT_S)
            port = best.port
            await best.stop()
            spare.media_asked.clear()
            await asyncio.wait_for(spare.media_asked.wait(), TIMEOUT_S)
            best.asked.clear()
            best.media_asked.clear()
            await best.start(port)
            await asyncio.wait_for(best.media_asked.wait(), TIMEOUT_S)
            played = await finish(process, report)
            assert (played.code, played.err) == (0, "")
            session = played.session
            assert session["ended"] == "finished"
            assert session["stalled_s"] < 0.1
            assert session["failover_count"] >= 1
            assert [use["host"] for use in session["hosts"]] == [
                f"127.0.0.1:{spare.port}",
                f"127.0.0.1:{port}",
            ]
            assert "at another host" in played.out

    run(work())


def test_fallback_host_serves_all_when_the_first_is_not_there(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving() as spare:
            played = await play(
                tmp_path / "report.json",
                "http://127.0.0.1:1/m.mpd",
                *("--set", f"fallback_hosts=127.0.0.1:{spare.port}"),
            )
            played.was_whole()
            assert played.session["startup_s"] < 3.0

    run(work())


def test_overloaded_host_is_left_alone_for_as_long_as_it_asks(tmp_path: Path) -> None:
    def script(made: Exchange) -> None:
        if made.path.endswith(".m4s"):
            made.send(503, [("Retry-After", "3600"), ("Content-Length", "0")], b"")
        else:
            made.plain()

    async def work() -> None:
        async with serving(script) as busy, serving() as spare:
            played = await play(
                tmp_path / "report.json",
                f"{busy.base}/m.mpd",
                *("--set", f"fallback_hosts=127.0.0.1:{spare.port}"),
            )
            played.was_whole()
            assert sum(n for path, n in busy.counts.items() if path.endswith(".m4s")) == 1

    run(work())


def test_redundant_hls_variants_are_fallen_back_to(tmp_path: Path) -> None:
    lines = [f"#EXTINF:{DURATION_S},\n{number}.m4s" for number in range(1, COUNT + 1)]
    playlist = "\n".join(["#EXTM3U", "#EXT-X-TARGETDURATION:1", *lines, "#EXT-X-ENDLIST"])

    def dead(made: Exchange) -> None:
        if made.path == "/master.m3u8":
            made.plain()
        else:
            made.reset()

    async def work() -> None:
        async with serving(dead) as first, serving() as spare:
            entries = [
                f"#EXT-X-STREAM-INF:BANDWIDTH={size * 16}\n{server.base}/v{rung}/p.m3u8"
                for rung, size in enumerate(SIZES_BYTES)
                for server in (first, spare)
            ]
            first.held["/master.m3u8"] = "\n".join(["#EXTM3U", *entries]).encode()
            spare.held |= {f"/v{rung}/p.m3u8": playlist.encode() for rung in (0, 1)}
            played = await play(
                tmp_path / "report.json",
                f"{first.base}/master.m3u8",
                *("--set", "allow_hosts=127.0.0.1"),
            )
            played.was_whole()
            assert played.session["failover_count"] >= 1

    run(work())


def test_alternatives_elsewhere_are_not_asked_unless_allowed(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving() as foreign, serving() as home:
            bases = f"<BaseURL>{home.base}/</BaseURL><BaseURL>http://localhost:{foreign.port}/</BaseURL>"
            home.held = files(mpd(bases))
            home.script = once(3, empty)
            played = await play(tmp_path / "report.json", f"{home.base}/m.mpd")
            played.was_whole()
            assert not foreign.asked

    run(work())


def test_hole_in_the_title_is_jumped_over_and_reported(tmp_path: Path) -> None:
    async def work() -> None:
        held = files()
        for rung in (0, 1):
            del held[f"/v{rung}/3.m4s"]
        async with serving(held=held) as server:
            played = await play(tmp_path / "report.json", f"{server.base}/m.mpd")
            assert (played.code, played.err) == (0, "")
            session = played.session
            assert (session["ended"], session["skipped_count"]) == ("finished", 1)
            assert session["played_s"] == pytest.approx((COUNT - 1) * DURATION_S, abs=0.05)
            assert "skipped    1 missing segments, 0.50 s" in played.out
            assert sum(n for p, n in server.counts.items() if p.endswith("/3.m4s")) <= 4

    run(work())


def test_redirects_in_a_circle_end(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(lambda made: loop(made)) as server:
            played = await play(tmp_path / "report.json", f"{server.base}/m.mpd")
            assert played.code == 2
            assert "redirected more than 5 times" in played.err
            assert len(server.asked) <= 3 * 7

    run(work())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_amid_failures_ends_with_a_report(number: signal.Signals, tmp_path: Path) -> None:
    def script(made: Exchange) -> None:
        if made.path.endswith(".m4s"):
            made.reset()
        else:
            made.plain()

    async def work() -> None:
        async with serving(script) as server:
            report = tmp_path / "report.json"
            process = await start(
                f"{server.base}/m.mpd", "--json", str(report), "--set", "retry.count_max=100"
            )
            await asyncio.wait_for(server.media_asked.wait(), TIMEOUT_S)
            process.send_signal(number)
            played = await finish(process, report)
            assert played.code == 130
            assert played.session["ended"] == "left"

    run(work())
