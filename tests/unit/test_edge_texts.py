"""Manifests wait for their reading: one at a time, each URL once, in bounded memory."""

from __future__ import annotations

import pytest

from edge import texts
from edge.effects import Effect, ReadManifest, StartFill
from edge.events import FillEnded, FillHeaders, ManifestRead
from edge.texts import read_manifest
from tests.edge_bench import MAX_AGE, UPSTREAM, Bench

PLAYLIST = b"#EXTM3U\n#EXTINF:4,\n%s.ts\n#EXT-X-ENDLIST\n"


def fetch(world: Bench, path: str, text: bytes) -> list[ReadManifest]:
    """A client asks for a manifest; what is to be read because of it."""
    (started,) = (one for one in world.ask(path) if isinstance(one, StartFill))
    world.feed(FillHeaders(fill_id=started.fill_id, status=200, headers=MAX_AGE))
    return reads(
        world.feed(
            FillEnded(fill_id=started.fill_id, size_bytes=len(text), crc32c=0, text=text),
        )
    )


def reads(effects: list[Effect]) -> list[ReadManifest]:
    return [one for one in effects if isinstance(one, ReadManifest)]


def test_one_text_is_read_at_a_time() -> None:
    world = Bench()
    (first,) = fetch(world, "/a.m3u8", PLAYLIST % b"a")
    assert first.url == f"{UPSTREAM}/a.m3u8"
    assert fetch(world, "/b.m3u8", PLAYLIST % b"b") == []
    assert world.core.status(0.0).title_count == 0
    (second,) = reads(world.feed(read_manifest(first)))
    assert second.url == f"{UPSTREAM}/b.m3u8"
    assert world.core.status(0.0).title_count == 1
    assert reads(world.feed(read_manifest(second))) == []
    status = world.core.status(0.0)
    assert (status.title_count, status.manifests_dropped) == (2, 0)
    assert status.titles_bytes > 0


def test_only_the_newest_text_of_a_url_waits() -> None:
    world = Bench()
    (first,) = fetch(world, "/a.m3u8", PLAYLIST % b"a")
    for name in (b"old", b"new"):
        world.now_s += 100.0
        fetch(world, "/b.m3u8", PLAYLIST % name)
    (second,) = reads(world.feed(read_manifest(first)))
    assert second.text == PLAYLIST % b"new"
    assert reads(world.feed(read_manifest(second))) == []


def test_what_finds_no_room_is_counted_and_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    text = PLAYLIST % b"a"
    monkeypatch.setattr(texts, "WAITING_BYTES_MAX", 2 * len(text))
    world = Bench()
    (first,) = fetch(world, "/1.m3u8", text)
    for no in (2, 3, 4):
        fetch(world, f"/{no}.m3u8", text)
    (second,) = reads(world.feed(read_manifest(first)))
    assert second.url == f"{UPSTREAM}/2.m3u8"
    assert reads(world.feed(read_manifest(second))) == []
    assert world.core.status(0.0).manifests_dropped == 2


def test_what_cannot_be_read_is_ignored_and_the_next_is_read() -> None:
    world = Bench()
    (first,) = fetch(world, "/a.m3u8", b"no manifest")
    fetch(world, "/b.m3u8", PLAYLIST % b"b")
    read = read_manifest(first)
    assert read == ManifestRead(
        url=first.url, manifest=None, detail="neither a DASH nor an HLS manifest"
    )
    (second,) = reads(world.feed(read))
    world.feed(read_manifest(second))
    status = world.core.status(0.0)
    assert (status.title_count, status.manifests_ignored) == (1, 1)
