"""Reading manifests in a thread: the loop goes on, and nothing that is in a text ends the node."""

from __future__ import annotations

import asyncio
import time

import pytest

from edge.drivers import manifests
from edge.drivers.manifests import ManifestReader
from edge.effects import ReadManifest
from edge.events import Event, ManifestRead
from nearcast.aio import Tasks

COUNT = 20_000
LONG = (
    b"#EXTM3U\n"
    + b"".join(b"#EXTINF:4,\n%x.ts\n" % (no * no * 7919) for no in range(COUNT))
    + b"#EXT-X-ENDLIST\n"
)


async def read(text: bytes) -> tuple[ManifestRead, float]:
    """What comes back, and the longest time that the loop stood still, as a share of all."""
    told: asyncio.Queue[Event] = asyncio.Queue()
    tasks = Tasks()
    reader = ManifestReader(told.put_nowait, lambda work, name: tasks.spawn(work, name=name))
    try:
        reader.read(ReadManifest(url="http://origin.example/a.m3u8", text=text))
        longest_s, begun_s = 0.0, time.perf_counter()
        before_s = begun_s
        while told.empty():
            await asyncio.sleep(0)
            now_s = time.perf_counter()
            longest_s, before_s = max(longest_s, now_s - before_s), now_s
        event = told.get_nowait()
    finally:
        reader.close()
        await tasks.close()
    assert isinstance(event, ManifestRead)
    return event, longest_s / (before_s - begun_s)


def test_a_long_playlist_does_not_stop_the_loop() -> None:
    # The best of several: other processes stop it too, and reading on it would each time.
    shares = []
    for _ in range(5):
        event, share = asyncio.run(read(LONG))
        assert event.manifest is not None
        shares.append(share)
    assert min(shares) < 0.4


def test_a_text_that_breaks_the_reader_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(effect: ReadManifest) -> ManifestRead:
        raise RecursionError(effect.url)

    monkeypatch.setattr(manifests, "read_manifest", broken)
    event, _ = asyncio.run(read(LONG))
    assert event == ManifestRead(url=event.url, manifest=None, detail="RecursionError")
