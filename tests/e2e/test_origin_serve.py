"""`nearcast origin serve` on a socket."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from nearcast.main import main
from nearcast.manifests import HlsMaster, read_manifest
from nearcast.media import Presentation
from nearcast.messages import Catalog
from origin.assemble import Origin
from origin.config import OriginConfig
from origin.drivers.storage import LibraryFolder

WAIT_S = 30.0
EPISODE = "/media/harbour-s01e01"


@contextlib.asynccontextmanager
async def serving(library: Path) -> AsyncIterator[tuple[aiohttp.ClientSession, Origin]]:
    origin = Origin(
        OriginConfig(library=str(library), listen="127.0.0.1:0", poll_s=0.02, drain_s=5.0)
    )
    url = await origin.start()
    try:
        async with aiohttp.ClientSession(url) as session:
            yield session, origin
    finally:
        await origin.close()


async def fetch(session: aiohttp.ClientSession, path: str, **headers: str) -> tuple[int, bytes]:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    async with session.get(path, headers=fields) as answer:
        return answer.status, await answer.read()


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await condition():  # noqa: ASYNC110 - the condition is asked over the wire
            await asyncio.sleep(0.01)


def test_every_segment_of_both_manifests_arrives_whole(title_library: Path) -> None:
    async def run() -> None:
        async with serving(title_library) as (session, origin):
            _, text = await fetch(session, "/v1/catalog")
            catalog = msgspec.json.decode(text, type=Catalog)
            assert catalog.successors() == {"harbour-s01e01": "harbour-s01e02"}
            base = str(session._base_url).rstrip("/")
            entry = catalog.titles[0]
            _, mpd = await fetch(session, entry.dash)
            dash = read_manifest(mpd, base + entry.dash)
            _, m3u8 = await fetch(session, entry.hls)
            master = read_manifest(m3u8, base + entry.hls)
            assert isinstance(dash, Presentation)
            assert isinstance(master, HlsMaster)
            hls = master.assemble(
                {url: (await fetch(session, url))[1] for url in master.playlist_urls}
            )
            titles = {
                title.id: title
                for title, _ in LibraryFolder(title_library, must_exist=True).verify()
            }
            expected = {
                e.rendition.id: [e.init_size_bytes, *(s.size_bytes for s in e.segments)]
                for e in titles[entry.id].renditions
            }
            for presentation in (dash, hls):
                found = {}
                for _, representations in presentation.tracks():
                    for representation in representations:
                        assert representation.init is not None
                        urls = [representation.init.url, *(s.url for s in representation.segments)]
                        bodies = [await fetch(session, url) for url in urls]
                        assert {status for status, _ in bodies} == {200}
                        name = urls[0].split("/")[-2]
                        found[name] = [len(body) for _, body in bodies]
                assert found == expected
            assert origin.metrics.broken._value.get() == 0

    asyncio.run(run())


def test_parts_conditions_and_head_on_the_wire(title_library: Path) -> None:
    async def run() -> None:
        async with serving(title_library) as (session, _):
            path = EPISODE + "/72p/1.m4s"
            status, whole = await fetch(session, path)
            assert status == 200
            for text, part in [
                ("bytes=0-0", whole[:1]),
                ("bytes=100-", whole[100:]),
                ("bytes=-7", whole[-7:]),
                (f"bytes=5-{len(whole) * 2}", whole[5:]),
            ]:
                assert await fetch(session, path, Range=text) == (206, part)
            status, _ = await fetch(session, path, Range=f"bytes={len(whole)}-")
            assert status == 416
            async with session.head(path) as head:
                assert head.content_length == len(whole)
                assert await head.read() == b""
                etag = head.headers["etag"]
            assert await fetch(session, path, If_None_Match=etag) == (304, b"")
            async with session.options(path) as preflight:
                assert preflight.status == 204
            # Manifests, which lie in memory, take ranges too.
            _, manifest = await fetch(session, EPISODE + "/manifest.mpd")
            some = await fetch(session, EPISODE + "/manifest.mpd", Range="bytes=2-5")
            assert some == (206, manifest[2:6])

    asyncio.run(run())


def copy_title(library: LibraryFolder, title_id: str, new_id: str) -> None:
    """Add a film that has the files of another title."""
    title = library.database.title(title_id)
    assert title is not None
    with library.stage() as staged:
        shutil.copytree(library.media / title.folder, staged.folder, dirs_exist_ok=True)
        film = msgspec.structs.replace(
            title, id=new_id, series=None, season_no=None, episode_no=None
        )
        library.commit(staged, film, replace=False)


def test_titles_appear_and_go_without_a_restart(title_library: Path, tmp_path: Path) -> None:
    folder = tmp_path / "library"
    shutil.copytree(title_library, folder)

    async def run() -> None:
        library = LibraryFolder(folder, must_exist=True)
        async with serving(folder) as (session, _):
            assert (await fetch(session, "/media/new/manifest.mpd"))[0] == 404
            copy_title(library, "harbour-s01e01", "new")

            async def is_there() -> bool:
                return (await fetch(session, "/media/new/36p/1.m4s"))[0] == 200

            await eventually(is_there)
            library.remove("new")

            async def is_gone() -> bool:
                return (await fetch(session, "/media/new/36p/1.m4s"))[0] == 404

            await eventually(is_gone)
            assert (await fetch(session, EPISODE + "/36p/1.m4s"))[0] == 200
        library.close()

    asyncio.run(run())


def test_a_file_that_was_lost_is_an_error_and_not_a_crash(
    title_library: Path, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    shutil.copytree(title_library, library)
    for file in library.glob("media/harbour-s01e01.*/72p/1.m4s"):
        file.unlink()
    for file in library.glob("media/harbour-s01e01.*/72p/2.m4s"):
        file.write_bytes(file.read_bytes()[:100])

    async def run() -> None:
        async with serving(library) as (session, origin):
            assert (await fetch(session, EPISODE + "/72p/1.m4s"))[0] == 500
            with pytest.raises(aiohttp.ClientError):
                await fetch(session, EPISODE + "/72p/2.m4s")
            assert origin.metrics.broken._value.get() == 1
            assert (await fetch(session, EPISODE + "/72p/3.m4s"))[0] == 200

    asyncio.run(run())
    assert main(["origin", "verify", "--library", str(library)]) == 1


def test_health_and_metrics(title_library: Path) -> None:
    async def run() -> None:
        async with serving(title_library) as (session, _):
            await fetch(session, EPISODE + "/72p/1.m4s")
            await fetch(session, "/nothing")
            status, health = await fetch(session, "/healthz")
            assert status == 200
            assert msgspec.json.decode(health) == {"status": "ok", "titles": 2}
            _, text = await fetch(session, "/metrics")
            assert b'nearcast_origin_requests_total{status="2xx"} 1.0' in text
            assert b'nearcast_origin_requests_total{status="4xx"} 1.0' in text
            assert b"nearcast_origin_titles 2.0" in text

    asyncio.run(run())


@contextlib.contextmanager
def running(library: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "nearcast", "origin", "serve", "--library", str(library)),
            *("--listen", "127.0.0.1:0", *options),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield process, line, int(line.split()[3].rpartition(":")[2])
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_says_where_it_listens_and_ends_when_told(
    number: signal.Signals, title_library: Path
) -> None:
    with running(title_library) as (process, line, port):
        assert line == f"origin ready on http://127.0.0.1:{port} (2 titles in {title_library})\n"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
        connection.request("GET", EPISODE + "/master.m3u8")
        assert connection.getresponse().read().startswith(b"#EXTM3U")
        process.send_signal(number)  # the connection is still open, and idle
        assert process.wait(WAIT_S) == 0
        connection.close()


def test_what_was_served_is_reported_at_the_end(title_library: Path, tmp_path: Path) -> None:
    report = tmp_path / "served.json"
    with running(title_library, "--json", str(report)) as (process, _, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
        connection.request("GET", EPISODE + "/master.m3u8")
        size_bytes = len(connection.getresponse().read())
        connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
    totals = json.loads(report.read_text())["totals"]
    assert totals["nearcast_origin_requests_total/2xx"] == 1
    assert totals["nearcast_origin_sent_bytes_total"] == size_bytes


def test_a_port_in_use_and_a_missing_library_are_named(
    title_library: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with running(title_library) as (_, _, port):
        listen = f"127.0.0.1:{port}"
        serve = ["origin", "serve", "--library"]
        assert main([*serve, str(title_library), "--listen", listen]) == 2
        assert f"cannot listen on {listen}: address already in use" in capfd.readouterr().err
        assert main([*serve, str(tmp_path / "none")]) == 2
        assert "nearcast origin ingest" in capfd.readouterr().err
        assert main([*serve, str(tmp_path)]) == 2
        assert "is no library" in capfd.readouterr().err
        assert main([*serve, str(title_library), "--listen", "somewhere"]) == 2
        assert "HOST:PORT" in capfd.readouterr().err


def test_settings_are_shown_with_their_source_and_typos_refused(
    capfd: pytest.CaptureFixture[str],
) -> None:
    show = ["origin", "serve", "--print-config", "--set"]

    assert main([*show, "freshness.manifest_s=5"]) == 0
    assert "freshness.manifest_s = 5    # --set" in capfd.readouterr().out
    assert main([*show, "freshness.manifst_s=5"]) == 2
    assert "freshness.manifst_s" in capfd.readouterr().err
