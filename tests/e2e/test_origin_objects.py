"""An origin whose media are in S3."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from origin.assemble import Origin
from origin.config import ControlConfig, ObjectsConfig, OriginConfig
from origin.drivers.objects import ObjectStore
from tests.servers import S3Server

EPISODE = "/media/harbour-s01e01"


@contextlib.asynccontextmanager
async def serving(library: Path, url: str) -> AsyncIterator[aiohttp.ClientSession]:
    config = OriginConfig(
        library=str(library),
        listen="127.0.0.1:0",
        objects=ObjectsConfig(url=url),
        control=ControlConfig(enabled=False),
    )
    origin = Origin(config)
    try:
        async with aiohttp.ClientSession(await origin.start()) as session:
            yield session
    finally:
        await origin.close()


async def fetch(
    session: aiohttp.ClientSession, path: str, **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    async with session.get(path, headers=headers) as answer:
        body = await answer.read()
        return answer.status, body, {name.lower(): value for name, value in answer.headers.items()}


@pytest.fixture
def moved(title_library: Path, tmp_path: Path, s3_url: str) -> Path:
    """A library whose media were moved to the bucket, all but those of the second episode."""
    library = tmp_path / "library"
    shutil.copytree(title_library, library)

    async def move() -> None:
        store = ObjectStore.of_config(ObjectsConfig(url=s3_url))
        for folder in (library / "media").glob("harbour-s01e01.*"):
            for file in sorted(folder.rglob("*.m*")):
                await store.put(str(file.relative_to(library)), file)
            shutil.rmtree(folder)

    asyncio.run(move())
    return library


def segments(library: Path) -> dict[str, bytes]:
    """What the first episode's paths should give."""
    (folder,) = (library / "media").glob("harbour-s01e01.*")
    return {
        f"{EPISODE}/{file.relative_to(folder)}": file.read_bytes()
        for file in sorted(folder.rglob("*.m*"))
    }


def test_segments_and_ranges_come_from_the_bucket_and_the_folder(
    moved: Path, title_library: Path, s3_url: str
) -> None:
    async def run() -> None:
        async with serving(moved, s3_url) as session:
            expected = segments(title_library)
            assert len(expected) >= 12
            for path, body in expected.items():
                assert (await fetch(session, path))[:2] == (200, body)
                other = path.replace("e01", "e02")
                assert (await fetch(session, other))[0] == 200  # still in the folder
            path, body = max(expected.items(), key=lambda item: len(item[1]))
            status, part, headers = await fetch(session, path, Range="bytes=10-99")
            assert (status, part) == (206, body[10:100])
            assert headers["content-range"] == f"bytes 10-99/{len(body)}"
            status, part, headers = await fetch(session, path, Range="bytes=-7")
            assert (status, part) == (206, body[-7:])
            etag = headers["etag"]
            assert (await fetch(session, path, **{"If-None-Match": etag}))[0] == 304
            past = f"bytes={len(body)}-"
            assert (await fetch(session, path, Range=past))[0] == 416
            async with session.head(path) as answer:
                assert answer.headers["content-length"] == str(len(body))

    asyncio.run(run())


def test_an_object_that_is_missing_or_of_another_size_is_an_error_of_ours(
    moved: Path, title_library: Path, s3_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = [path for path in segments(title_library) if path.endswith("/1.m4s")][:2]

    async def run() -> None:
        store = ObjectStore.of_config(ObjectsConfig(url=s3_url))
        keys = {info.key.partition("/")[2].partition("/")[2]: info for info in await store.list()}
        names = [path.removeprefix(f"{EPISODE}/") for path in (first, second)]
        await store.delete([keys[names[0]].key])
        await store.put(keys[names[1]].key, b"short")
        async with serving(moved, s3_url) as session:
            for path in (first, second):
                status, body, headers = await fetch(session, path)
                assert (status, body) == (500, b"this file is missing\n")
                assert "max-age" not in headers.get("cache-control", "")
            assert (await fetch(session, first.replace("1.m4s", "2.m4s")))[0] == 200

    asyncio.run(run())
    assert "there is no such object" in caplog.text
    assert "has 5 bytes instead of" in caplog.text


def test_while_the_store_is_down_clients_are_told_to_come_back(
    moved: Path, title_library: Path, s3_url: str, s3_server: S3Server
) -> None:
    path, body = next(iter(segments(title_library).items()))

    async def run() -> None:
        async with serving(moved, s3_url) as session:
            await asyncio.to_thread(s3_server.stop)
            try:
                status, text, headers = await fetch(session, path)
                assert (status, text) == (503, b"this file cannot be read now\n")
                assert int(headers["retry-after"]) >= 1
                # What needs no store is served meanwhile.
                assert (await fetch(session, f"{EPISODE}/manifest.mpd"))[0] == 200
                assert (await fetch(session, path.replace("e01", "e02")))[0] == 200
                _, metrics, _ = await fetch(session, "/metrics")
                assert b'requests_total{status="5xx"} 1.0' in metrics
                assert b'object_reads_total{outcome="unavailable"} 1.0' in metrics
            finally:
                await asyncio.to_thread(s3_server.start)
            assert (await fetch(session, path))[:2] == (200, body)

    asyncio.run(run())
