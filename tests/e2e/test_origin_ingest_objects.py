"""`nearcast origin ingest --objects`: files are in the store before the catalogue names them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

pytest.importorskip("av", reason="PyAV is not installed")

from nearcast.main import main
from origin.config import ObjectsConfig
from origin.drivers.objects import ObjectInfo, ObjectStore
from origin.drivers.outbox import Outbox, UploadInterrupted
from origin.drivers.storage import LibraryFolder
from tests.servers import S3Server

FILES = 8
"""Of a title as made here: a rung and sound, each of init.mp4 and three segments."""
MakeClip = Callable[..., Path]
Put = Callable[[ObjectStore, str, Path | bytes], Awaitable[None]]


def ingest(clip: Path, library: Path, url: str, *more: str) -> int:
    return main(
        [
            *("origin", "ingest", str(clip), "--library", str(library), "--objects", url),
            *("--id", "clip", "--rungs", "36p", "--segment-duration", "1", *more),
        ]
    )


def titles(library: Path, tmp_path: Path) -> list[tuple[str, int]]:
    out = tmp_path / "list.json"
    assert main(["origin", "list", "--library", str(library), "--json", str(out)]) == 0
    return [(each["id"], each["edition_no"]) for each in json.loads(out.read_bytes())["titles"]]


def listed(url: str) -> tuple[ObjectInfo, ...]:
    async def work() -> tuple[ObjectInfo, ...]:
        return await ObjectStore.of_config(ObjectsConfig(url=url)).list()

    return asyncio.run(work())


def left_here(library: Path) -> list[str]:
    """Files of titles, parcels, marks and locks; whatever is not the catalogue's."""
    places = ("media", "staging", "outgoing")
    return sorted(
        str(path.relative_to(library)) for at in places for path in (library / at).rglob("*")
    )


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys in the order in which they were put."""
    keys: list[str] = []
    put: Put = ObjectStore.put

    async def counting(self: ObjectStore, key: str, data: Path | bytes) -> None:
        await put(self, key, data)
        keys.append(key)

    monkeypatch.setattr(ObjectStore, "put", counting)
    return keys


def test_a_title_goes_to_the_store_and_is_removed_from_it(
    make_clip: MakeClip, tmp_path: Path, s3_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    library = tmp_path / "library"

    assert ingest(make_clip(), library, s3_url) == 0

    assert titles(library, tmp_path) == [("clip", 1)]
    first = {info.key for info in listed(s3_url)}
    assert len(first) == FILES
    assert left_here(library) == []
    assert main(["origin", "verify", "--library", str(library), "--objects", s3_url]) == 0
    assert main(["origin", "verify", "--library", str(library)]) == 1
    # Another edition takes the place of the first, and of its objects.
    assert ingest(make_clip(), library, s3_url) == 2
    assert "--replace" in capfd.readouterr().err
    assert ingest(make_clip(), library, s3_url, "--replace") == 0
    assert titles(library, tmp_path) == [("clip", 2)]
    second = {info.key for info in listed(s3_url)}
    assert len(second) == FILES
    assert not first & second
    assert main(["origin", "verify", "--library", str(library), "--objects", s3_url]) == 0
    assert main(["origin", "remove", "clip", "--library", str(library), "--objects", s3_url]) == 0
    assert titles(library, tmp_path) == []
    assert listed(s3_url) == ()
    assert left_here(library) == []


def test_while_the_store_is_down_nothing_is_named_and_the_next_ingest_goes_on(
    make_clip: MakeClip,
    tmp_path: Path,
    s3_url: str,
    s3_server: S3Server,
    counted: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    library = tmp_path / "library"
    put: Put = ObjectStore.put

    async def fails_after_three(self: ObjectStore, key: str, data: Path | bytes) -> None:
        if len(counted) == 3:
            await asyncio.to_thread(s3_server.stop)
        await put(self, key, data)

    with monkeypatch.context() as context:
        context.setattr("origin.drivers.outbox.UPLOADS_AT_ONCE", 1)
        context.setattr(ObjectStore, "put", fails_after_three)
        try:
            assert ingest(make_clip(), library, s3_url) == 2
        finally:
            s3_server.start()
    assert "packaged but not uploaded" in capfd.readouterr().err
    assert titles(library, tmp_path) == []
    assert len(listed(s3_url)) == 3

    assert ingest(make_clip(), library, s3_url) == 0

    assert "clip: packaged before, uploaded now" in capfd.readouterr().out
    assert titles(library, tmp_path) == [("clip", 1)]
    assert len(counted) == len(set(counted)) == FILES  # nothing was sent twice
    assert left_here(library) == []
    assert main(["origin", "verify", "--library", str(library), "--objects", s3_url]) == 0


def test_an_interrupted_upload_of_a_file_that_has_changed_starts_anew(
    make_clip: MakeClip,
    tmp_path: Path,
    s3_url: str,
    counted: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library, clip = tmp_path / "library", tmp_path / "clip.mp4"
    clip.write_bytes(make_clip(seed=1).read_bytes())
    put: Put = ObjectStore.put

    async def interrupted_after_two(self: ObjectStore, key: str, data: Path | bytes) -> None:
        await put(self, key, data)
        if len(counted) == 2:
            raise UploadInterrupted("somebody pressed Ctrl-C")

    with monkeypatch.context() as context:
        context.setattr("origin.drivers.outbox.UPLOADS_AT_ONCE", 1)
        context.setattr(ObjectStore, "put", interrupted_after_two)
        assert ingest(clip, library, s3_url) == 2
    assert titles(library, tmp_path) == []
    (old,) = {info.key.split("/")[1] for info in listed(s3_url)}
    clip.write_bytes(make_clip(seed=2).read_bytes())

    assert ingest(clip, library, s3_url) == 0

    assert titles(library, tmp_path) == [("clip", 1)]
    (new,) = {info.key.split("/")[1] for info in listed(s3_url)}
    assert new != old
    assert left_here(library) == []
    assert main(["origin", "verify", "--library", str(library), "--objects", s3_url]) == 0


def test_a_process_that_dies_around_the_naming_leaves_a_title_or_none(
    make_clip: MakeClip, tmp_path: Path, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "library"
    name = Outbox._name

    class Died(BaseException):
        pass

    def dies_before(self: Outbox, parcel: object) -> None:
        raise Died

    def dies_after(self: Outbox, parcel: object) -> None:
        name(self, parcel)  # type: ignore[arg-type]
        raise Died

    with monkeypatch.context() as context:
        context.setattr(Outbox, "_name", dies_before)
        with pytest.raises(Died):
            ingest(make_clip(), library, s3_url)
    assert titles(library, tmp_path) == []
    folder = LibraryFolder(library, must_exist=True)
    outbox = Outbox(folder, ObjectsConfig(url=s3_url), threading.Event())
    (parcel,) = outbox.waiting()
    with outbox._locked(parcel.title.folder):  # as an ingest that uploads it does
        assert outbox.waiting() == ()
        assert outbox.resume(parcel) is None
    with monkeypatch.context() as context:
        context.setattr(Outbox, "_name", dies_after)
        with pytest.raises(Died):
            outbox.resume(parcel)
    assert titles(library, tmp_path) == [("clip", 1)]

    assert outbox.resume(parcel) is not None  # only the parcel was left to be cleared away

    folder.close()
    assert outbox.waiting() == ()
    assert outbox.resume(parcel) is None
    assert titles(library, tmp_path) == [("clip", 1)]
    assert left_here(library) == []
    assert len(listed(s3_url)) == FILES


def test_objects_that_cannot_be_deleted_now_are_deleted_later(
    make_clip: MakeClip,
    tmp_path: Path,
    s3_url: str,
    s3_server: S3Server,
    capfd: pytest.CaptureFixture[str],
) -> None:
    library = tmp_path / "library"
    assert ingest(make_clip(), library, s3_url) == 0
    s3_server.stop()
    try:
        arguments = ["origin", "remove", "clip", "--library", str(library), "--objects", s3_url]
        assert main(arguments) == 0
    finally:
        s3_server.start()
    assert "could not be deleted now" in capfd.readouterr().out
    assert titles(library, tmp_path) == []
    assert len(listed(s3_url)) == FILES

    folder = LibraryFolder(library, must_exist=True)
    Outbox(folder, ObjectsConfig(url=s3_url), threading.Event()).sweep()  # as every ingest does

    folder.close()
    assert listed(s3_url) == ()
    assert left_here(library) == []
