from __future__ import annotations

import errno
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest

from edge.drivers.store.checksums import BLOCK_BYTES, BlockSums, block_count, read_block, sums_of
from edge.drivers.store.disk import DiskStore
from edge.drivers.store.types import Flushed, StoreError
from edge.effects import StoredObject
from nearcast.errors import ConfigError

ID = "ab" * 16
OTHER_ID = "cd" * 16


def described(body: bytes, object_id: str = ID, received_wall_s: float = 2.0) -> StoredObject:
    return StoredObject(
        object_id=object_id,
        url="http://origin/a.m4s",
        vary=(("accept-encoding", "gzip"),),
        status=200,
        headers=(("etag", '"a"'), ("x-note", "größer")),
        size_bytes=len(body),
        crc32c=google_crc32c.value(body),
        requested_wall_s=1.0,
        received_wall_s=received_wall_s,
    )


def stage(store: DiskStore, body: bytes, object_id: str = ID, wall_s: float = 2.0) -> StoredObject:
    stored = described(body, object_id, wall_s)
    half = len(body) // 2
    store.put(stored, [body[:half], memoryview(body)[half:]])
    return stored


def put(store: DiskStore, body: bytes, object_id: str = ID, wall_s: float = 2.0) -> StoredObject:
    stored = stage(store, body, object_id, wall_s)
    assert store.flush() == Flushed(committed=[object_id])
    return stored


def read(store: DiskStore, object_id: str = ID) -> bytes | None:
    """The body, checked; None when it is not there or damaged."""
    location = store.location(object_id)
    if location is None:
        return None
    try:
        fd = store.open_file(location.file_no)
    except StoreError:
        return None
    try:
        blocks = [
            read_block(fd, location.start, location.size_bytes, location.sums, number)
            for number in range(block_count(location.size_bytes))
        ]
        return b"".join(blocks) if all(blocks) else None
    finally:
        os.close(fd)


def used_bytes(store: DiskStore) -> int:
    """What the body files take on the disk."""
    return sum(path.stat().st_blocks * 512 for path in body_files(store))


def body_files(store: DiskStore) -> list[Path]:
    return sorted((store.folder / "bodies").iterdir())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DiskStore]:
    store = DiskStore(tmp_path / "store")
    store.open()
    assert store.scan() == ()
    yield store
    store.close()


def reopened(store: DiskStore) -> tuple[StoredObject, ...]:
    store.close()
    store.open()
    found = store.scan()
    while store.sweep():
        pass
    return found


def test_what_was_stored_is_there_after_a_restart(store: DiskStore) -> None:
    late = stage(store, b"late", ID, wall_s=9.0)
    early = stage(store, b"early" * 1000, OTHER_ID, wall_s=3.0)
    assert store.flush().committed == [ID, OTHER_ID]
    assert len(body_files(store)) == 1  # small ones share a file
    assert reopened(store) == (early, late)
    assert store.damaged_count == 0
    assert read(store) == b"late"
    assert read(store, OTHER_ID) == b"early" * 1000


def test_every_block_is_unchecked_after_a_restart_and_none_before(store: DiskStore) -> None:
    put(store, bytes(BLOCK_BYTES))
    location = store.location(ID)
    assert location is not None
    assert location.unchecked == 0
    put(store, bytes(1), OTHER_ID)
    reopened(store)
    location = store.location(ID)
    assert location is not None
    assert location.unchecked == 1


def test_an_empty_body_needs_no_file(store: DiskStore) -> None:
    stored = described(b"")
    store.put(stored, [])
    store.flush()
    assert reopened(store) == (stored,)
    assert body_files(store) == []


def test_a_large_body_has_a_file_of_its_own_and_a_sum_for_each_block(store: DiskStore) -> None:
    body = np.random.default_rng(1).bytes(2 * BLOCK_BYTES + 5)
    sums = BlockSums()
    writer = store.begin()
    for first in range(0, len(body), 700_000):
        store.write(writer, [body[first : first + 700_000]])
        sums.add(body[first : first + 700_000])
    store.finish(writer, described(body), sums.sums())
    assert store.flush().committed == [ID]
    assert sums.sums() == sums_of([body])
    assert len(sums.sums()) == 3
    assert read(store) == body
    reopened(store)
    assert read(store) == body
    store.drop(ID)
    store.free(ID)
    assert store.flush().removed_files == [1]
    assert body_files(store) == []


def test_an_unfinished_body_is_no_object_and_is_cleared_away(store: DiskStore) -> None:
    kept = put(store, b"kept", OTHER_ID)
    writer = store.begin()
    store.write(writer, [b"half"])
    stage(store, b"never flushed")
    assert reopened(store) == (kept,)
    assert len(body_files(store)) == 1


def test_what_was_written_but_not_recorded_takes_no_room_after_a_restart(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = put(store, b"kept", OTHER_ID)
    stage(store, bytes(100_000))

    def killed(*_: object) -> int:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(store._journal, "append", killed)
        with pytest.raises(Killed):
            store.flush()
    assert used_bytes(store) > 100_000
    assert reopened(store) == (kept,)
    assert used_bytes(store) <= 8192
    assert read(store, OTHER_ID) == b"kept"


def test_an_object_stored_again_replaces_the_older_one(store: DiskStore) -> None:
    put(store, b"old")
    new = put(store, b"newer", wall_s=5.0)
    assert read(store) == b"newer"
    assert reopened(store) == (new,)


def test_an_update_changes_what_is_known_and_not_the_body(store: DiskStore) -> None:
    stage(store, b"body")
    first = described(b"body", received_wall_s=50.0)
    store.update(first)  # in the same flush as the object itself
    assert store.flush().failed == []
    fresh = described(b"body", received_wall_s=77.0)
    store.update(fresh)
    assert store.flush() == Flushed()
    assert reopened(store) == (fresh,)
    assert read(store) == b"body"


def test_an_update_of_what_is_not_there_or_has_another_body_is_refused(store: DiskStore) -> None:
    store.update(described(b"body"))
    assert store.flush().failed == [(ID, "no body of 4 bytes")]
    stored = put(store, b"body")
    store.update(described(b"other body"))
    assert store.flush().failed == [(ID, "no body of 10 bytes")]
    assert reopened(store) == (stored,)


def test_a_dropped_body_can_be_read_until_it_is_freed(store: DiskStore) -> None:
    put(store, b"a" * 50_000)
    put(store, b"b" * 50_000, OTHER_ID)
    location = store.location(ID)
    assert location is not None
    fd = store.open_file(location.file_no)
    store.drop(ID)
    store.flush()
    assert store.location(ID) is None
    before = used_bytes(store)
    assert os.pread(fd, 50_000, location.start) == b"a" * 50_000
    store.free(ID)
    store.flush()
    os.close(fd)
    assert used_bytes(store) < before - 40_000
    assert read(store, OTHER_ID) == b"b" * 50_000
    store.drop(OTHER_ID)
    store.free(OTHER_ID)
    assert len(store.flush().removed_files) == 1
    assert body_files(store) == []
    assert reopened(store) == ()


def test_a_file_system_without_holes_gets_a_file_for_each_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "no holes")

    monkeypatch.setattr("edge.drivers.store.volumes._punch", unsupported)
    store = DiskStore(tmp_path / "store")
    store.open()
    stage(store, b"one")
    kept = stage(store, b"two", OTHER_ID)
    store.flush()
    assert len(body_files(store)) == 2
    store.drop(ID)
    store.free(ID)
    store.flush()
    assert len(body_files(store)) == 1
    assert reopened(store) == (kept,)
    store.close()


def test_two_nodes_cannot_share_a_store(store: DiskStore) -> None:
    second = DiskStore(store.folder)
    with pytest.raises(ConfigError, match="in use by another edge"):
        second.open()
    store.close()
    second.open()
    second.close()


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    precious = tmp_path / "tmp" / "thesis.part"
    precious.write_text("precious")
    with pytest.raises(ConfigError, match="no store of ours"):
        DiskStore(tmp_path).open()
    assert precious.read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["tmp"]


def test_a_folder_that_cannot_be_made_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot use"):
        DiskStore(tmp_path / "file" / "store").open()


def test_the_older_layout_is_cleared_and_not_mistaken_for_objects(tmp_path: Path) -> None:
    (tmp_path / "nearcast-store").touch()
    old = tmp_path / "objects" / "ab" / "cd"
    old.mkdir(parents=True)
    (old / f"{ID}.body").write_bytes(b"old")
    (tmp_path / "tmp").mkdir()
    store = DiskStore(tmp_path)
    store.open()
    assert store.scan() == ()
    store.clear_trash()
    assert sorted(os.listdir(tmp_path)) == ["bodies", "index.journal", "nearcast-store"]
    store.close()


def test_a_store_of_a_newer_version_is_refused_and_kept(store: DiskStore) -> None:
    put(store, b"body")
    store.close()
    path = store.folder / "index.journal"
    head = struct.pack(">6sH", b"NCINDX", 3)
    text = head + google_crc32c.value(head).to_bytes(4, "big") + path.read_bytes()[12:]
    path.write_bytes(text)
    with pytest.raises(ConfigError, match="format 3"):
        store.open()
    assert path.read_bytes() == text


def test_files_of_others_among_the_bodies_are_ignored(store: DiskStore) -> None:
    stored = put(store, b"body")
    note = store.folder / "bodies" / "README.txt"
    note.write_text("hello")
    assert reopened(store) == (stored,)
    assert note.exists()


def test_a_file_that_is_gone_or_too_short_takes_its_objects_along(store: DiskStore) -> None:
    put(store, b"x" * 10_000)
    (path,) = body_files(store)
    put(store, b"y" * 10_000, OTHER_ID)
    os.truncate(path, 15_000)
    assert [stored.object_id for stored in reopened(store)] == [ID]
    assert store.damaged_count == 1
    path.unlink()
    assert reopened(store) == ()
    assert store.damaged_count == 2


def test_damage_in_the_index_is_said(store: DiskStore, caplog: pytest.LogCaptureFixture) -> None:
    path = store.folder / "index.journal"
    first = path.stat().st_size
    put(store, b"one")
    damaged_bytes = path.stat().st_size - first
    kept = put(store, b"two", OTHER_ID)
    text = bytearray(path.read_bytes())
    text[first + 40] ^= 1
    path.write_bytes(text)
    assert reopened(store) == (kept,)
    assert f"store.index_damaged skipped_bytes={damaged_bytes}" in caplog.text


def test_numbers_of_deleted_files_are_not_used_again(store: DiskStore) -> None:
    put(store, b"old")
    (path,) = body_files(store)
    path.unlink()
    store.close()
    store.open()
    store.scan()
    put(store, b"new", OTHER_ID)
    assert body_files(store) != [path]


class Killed(BaseException):
    """The process ends here: nothing of ours runs on, so nothing is cleaned up."""


STEPS = ("open", "pwritev", "pwrite", "close", "rename", "ftruncate", "unlink")


def run_until(step_no: int, work: Callable[[], object]) -> bool:
    """Do `work`, but be killed before system call `step_no`. Whether it came that far."""
    step = 0

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal step
            step += 1
            if step > step_no and name != "close":  # the kernel closes what is open
                raise Killed
            return real(*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in STEPS:
            patch.setattr(os, name, counted(name, getattr(os, name)))
        try:
            work()
        except Killed:
            return True
    return False


@pytest.mark.parametrize("verb", ["store", "replace", "update", "drop", "compact"])
def test_a_node_killed_between_any_two_steps_leaves_objects_whole(
    tmp_path: Path, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_update = verb in ("update", "compact")
    for step_no in range(40):
        store = DiskStore(tmp_path / str(step_no))
        store.open()
        store.scan()
        before = put(store, b"before") if verb != "store" else None
        # Of one size, so that only the checksum can tell old from new.
        after = described(b"before" if is_update else b"behind", received_wall_s=7.0)
        if verb == "compact":
            monkeypatch.setattr("edge.drivers.store.journal.COMPACT_BYTES_MIN", 0)

        def work(store: DiskStore = store, after: StoredObject = after) -> None:
            if is_update:
                store.update(after)
            elif verb == "drop":
                store.drop(ID)
                store.free(ID)
            else:
                stage(store, b"behind", wall_s=7.0)
            store.flush()

        is_killed = run_until(step_no, work)
        found = reopened(store)
        assert found in ((), (before,), (after,))
        for stored in found:
            content = read(store)
            assert content is not None
            assert google_crc32c.value(content) == stored.crc32c
        assert len(body_files(store)) <= len(found)
        if is_update:
            assert found  # a revalidation never loses the object
        store.close()
        if not is_killed:
            assert step_no >= 1
            assert found == (() if verb == "drop" else (after,))
            return
    pytest.fail("the work never ended")


def fail(code: int) -> Callable[..., int]:
    def failing(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    return failing


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_bodies_that_the_disk_does_not_take_fail_and_leave_nothing(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    kept = put(store, b"kept", OTHER_ID)
    stage(store, b"body")
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", fail(code))
        flushed = store.flush()
    assert [object_id for object_id, _ in flushed.failed] == [ID]
    assert flushed.error is not None
    assert flushed.error.code == code
    assert flushed.error.is_full is (code == errno.ENOSPC)
    assert store.location(ID) is None
    again = put(store, b"body")  # there is room again
    assert set(reopened(store)) == {kept, again}


def test_an_index_that_takes_nothing_loses_new_objects_and_no_drop(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, b"old")
    store.drop(ID)
    stage(store, b"new", OTHER_ID)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", fail(errno.ENOSPC))
        flushed = store.flush()
    assert [object_id for object_id, _ in flushed.failed] == [OTHER_ID]
    assert store.location(ID) is None
    assert store.location(OTHER_ID) is None
    assert store.flush().error is None  # the drop is recorded now
    assert reopened(store) == ()


def test_a_vanished_folder_is_an_error_and_not_an_empty_store(store: DiskStore) -> None:
    shutil.rmtree(store.folder / "bodies")
    with pytest.raises(StoreError, match="cannot read the index"):
        store.scan()


def test_bodies_of_any_pieces_are_written_in_parts_of_bounded_size(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(3)
    real = os.pwritev
    sizes: list[int] = []

    def watched(fd: int, buffers: list[bytes], offset: int) -> int:
        sizes.append(sum(map(len, buffers)))
        assert len(buffers) <= 1000
        if len(sizes) % 3 == 0:  # the kernel may take less
            return real(fd, [b"".join(buffers)[: int(draw.integers(sizes[-1])) + 1]], offset)
        return real(fd, buffers, offset)

    monkeypatch.setattr(os, "pwritev", watched)
    bodies = {}
    for number in range(40):
        body = draw.bytes(int(draw.integers(200_000)) + 1)
        step = int(draw.integers(1, 100_000)) if number else 5  # the first in many tiny pieces
        object_id = f"{number:016x}"
        pieces = [body[at : at + step] for at in range(0, len(body), step)]
        store.put(described(body, object_id), pieces)
        bodies[object_id] = body
    assert len(store.flush().committed) == 40
    assert max(sizes) == 64 * 1024
    assert all(read(store, object_id) == body for object_id, body in bodies.items())
