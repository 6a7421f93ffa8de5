from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest

from edge.drivers.disk import DiskStore, ObjectMissing, StoreError
from edge.events import StoredObject
from nearcast.errors import ConfigError, LocalProtocolError

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


def put(store: DiskStore, body: bytes, object_id: str = ID, wall_s: float = 2.0) -> StoredObject:
    stored = described(body, object_id, wall_s)
    writer = store.begin()
    half = len(body) // 2
    writer.write(body[:half])
    writer.write(memoryview(body)[half:])
    writer.finish(stored)
    return stored


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DiskStore]:
    store = DiskStore(tmp_path / "store")
    store.open()
    yield store
    store.close()


def reopened(store: DiskStore) -> DiskStore:
    store.close()
    store.open()
    return store


def files(store: DiskStore) -> list[Path]:
    return [path for path in sorted((store.folder / "objects").rglob("*")) if path.is_file()]


def file(store: DiskStore, suffix: str) -> Path:
    return next(path for path in files(store) if path.suffix == suffix)


def test_what_was_stored_is_there_after_a_restart(store: DiskStore) -> None:
    late = put(store, b"late", ID, wall_s=9.0)
    early = put(store, b"", OTHER_ID, wall_s=3.0)
    assert reopened(store).scan() == (early, late)
    assert store.damaged_count == 0
    assert store.read(ID) == b"late"
    assert store.read(OTHER_ID) == b""
    assert store.verify(ID)
    assert store.body_size(ID) == 4


def test_an_unfinished_body_is_no_object_and_goes_at_the_next_start(store: DiskStore) -> None:
    store.begin().write(b"half")
    assert store.scan() == ()
    assert len(list((store.folder / "tmp").iterdir())) == 1
    assert reopened(store).scan() == ()
    assert list((store.folder / "tmp").iterdir()) == []


def test_an_aborted_writer_leaves_nothing_and_takes_no_more(store: DiskStore) -> None:
    writer = store.begin()
    writer.write(b"x")
    writer.abort()
    writer.abort()
    assert list((store.folder / "tmp").iterdir()) == []
    with pytest.raises(LocalProtocolError):
        writer.write(b"y")
    with pytest.raises(LocalProtocolError):
        writer.finish(described(b"x"))


def test_a_body_of_another_size_than_announced_is_not_stored(store: DiskStore) -> None:
    writer = store.begin()
    writer.write(b"short")
    with pytest.raises(LocalProtocolError, match="5 bytes, not 6"):
        writer.finish(described(b"longer"))
    assert store.scan() == ()
    assert list((store.folder / "tmp").iterdir()) == []


def test_an_object_stored_again_replaces_the_older_one(store: DiskStore) -> None:
    put(store, b"old")
    new = put(store, b"newer", wall_s=5.0)
    assert store.scan() == (new,)
    assert store.read(ID) == b"newer"


def test_an_update_changes_what_is_known_and_not_the_body(store: DiskStore) -> None:
    put(store, b"body")
    fresh = described(b"body", received_wall_s=77.0)
    store.update(fresh)
    assert reopened(store).scan() == (fresh,)
    assert store.read(ID) == b"body"


def test_an_update_of_what_is_not_there_or_has_another_body_is_refused(store: DiskStore) -> None:
    with pytest.raises(ObjectMissing):
        store.update(described(b"body"))
    stored = put(store, b"body")
    with pytest.raises(ObjectMissing):
        store.update(described(b"other body"))
    assert store.scan() == (stored,)


def test_an_open_body_can_be_read_after_its_object_is_dropped(store: DiskStore) -> None:
    stored = put(store, b"body")
    body = store.open_body(ID)
    assert store.drop(ID)
    assert not store.drop(ID)
    assert files(store) == []
    assert body.stored == stored
    assert os.pread(body.fd, 100, 0) == b"body"
    os.close(body.fd)
    with pytest.raises(ObjectMissing):
        store.open_body(ID)
    with pytest.raises(ObjectMissing):
        store.read(ID)


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


@pytest.mark.parametrize("object_id", ["../../etc/passwd", "AB" * 16, "", "abc", "a" * 200])
def test_only_object_ids_become_file_names(store: DiskStore, object_id: str) -> None:
    with pytest.raises(LocalProtocolError):
        store.open_body(object_id)


def test_files_of_others_among_the_objects_are_ignored(store: DiskStore) -> None:
    stored = put(store, b"body")
    note = file(store, ".body").parent / "README.txt"
    note.write_text("hello")
    assert store.scan() == (stored,)
    assert note.exists()
    assert store.damaged_count == 0


@pytest.mark.parametrize("suffix", [".body", ".meta"])
def test_a_lone_half_of_an_object_is_cleared_away(store: DiskStore, suffix: str) -> None:
    put(store, b"body")
    file(store, suffix).unlink()
    assert store.scan() == ()
    assert store.damaged_count == 1
    assert files(store) == []


def test_meta_of_another_object_does_not_count(store: DiskStore) -> None:
    put(store, b"body")
    other = put(store, b"body", OTHER_ID)
    meta = [path for path in files(store) if path.suffix == ".meta"]
    shutil.copy(meta[1], meta[0])
    assert store.scan() == (other,)


def test_random_truncations_and_bit_flips_are_found(store: DiskStore) -> None:
    random = np.random.default_rng(5)
    body = random.bytes(3000)
    for _ in range(60):
        put(store, body)
        path = file(store, str(random.choice([".body", ".meta"])))
        text = bytearray(path.read_bytes())
        if random.integers(2):
            del text[random.integers(len(text)) :]
        else:
            text[random.integers(len(text))] ^= 1 << random.integers(8)
        path.write_bytes(text)
        is_found = store.scan() == () or not store.verify(ID)
        assert is_found, path
        store.drop(ID)


def test_verify_counts_damage_and_deletes_nothing(store: DiskStore) -> None:
    stored = put(store, b"body")
    file(store, ".body").write_bytes(b"bodz")
    assert not store.verify(ID)
    assert not store.verify(OTHER_ID)
    assert store.damaged_count == 2
    assert store.scan() == (stored,)


def test_running_out_of_descriptors_is_not_taken_for_damage(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = put(store, b"body")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", refuse)
        with pytest.raises(StoreError, match="Too many open files"):
            store.scan()
    assert store.scan() == (stored,)


class Killed(BaseException):
    """The process ends here: nothing of ours runs on, so nothing is cleaned up."""


STEPS = ("open", "write", "close", "rename", "unlink", "mkdir")


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


@pytest.mark.parametrize("verb", ["store", "replace", "update", "drop"])
def test_a_node_killed_between_any_two_steps_leaves_objects_whole(
    tmp_path: Path, verb: str
) -> None:
    for step_no in range(40):
        store = DiskStore(tmp_path / str(step_no))
        store.open()
        before = put(store, b"before") if verb != "store" else None
        # Of one size, so that only the checksum can tell old from new.
        after = described(b"behind" if verb != "update" else b"before", received_wall_s=7.0)

        def work(store: DiskStore = store, after: StoredObject = after) -> None:
            if verb == "update":
                store.update(after)
            elif verb == "drop":
                store.drop(ID)
            else:
                put(store, b"behind", wall_s=7.0)

        is_killed = run_until(step_no, work)
        reopened(store)
        found = store.scan()
        assert found in ((), (before,), (after,))
        assert all(store.verify(stored.object_id) for stored in found)
        assert len(files(store)) == 2 * len(found)
        assert list((store.folder / "tmp").iterdir()) == []
        if verb == "update":
            assert found  # a revalidation never loses the object
        store.close()
        if not is_killed:
            assert step_no > 1
            assert found == (() if verb == "drop" else (after,))
            return
    pytest.fail("the work never ended")


def test_a_full_disk_is_said_to_be_full_and_leaves_nothing(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = put(store, b"kept", OTHER_ID)
    writer = store.begin()
    writer.write(b"some")

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreError, match="No space left") as caught:
        writer.write(b"more")
    assert caught.value.is_full
    with pytest.raises(StoreError) as caught:
        store.update(described(b"kept", OTHER_ID, received_wall_s=8.0))
    assert caught.value.is_full
    monkeypatch.undo()
    assert list((store.folder / "tmp").iterdir()) == []
    assert store.scan() == (kept,)


def test_a_disk_that_fills_up_while_an_object_is_finished_leaves_nothing(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, b"old")
    writer = store.begin()
    writer.write(b"new")

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreError):
        writer.finish(described(b"new"))
    monkeypatch.undo()
    assert files(store) == []
    assert list((store.folder / "tmp").iterdir()) == []


def test_a_real_size_limit_cuts_the_write_and_is_reported(store: DiskStore) -> None:
    # The kernel takes what fits before it fails: the partial write must not pass as a whole one.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    writer = store.begin()
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(StoreError) as caught:
            writer.write(bytes(50_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.is_full
    assert list((store.folder / "tmp").iterdir()) == []


def test_a_folder_that_vanished_is_an_error_and_not_an_empty_store(store: DiskStore) -> None:
    shutil.rmtree(store.folder / "objects")
    with pytest.raises(StoreError, match="cannot scan"):
        store.scan()
