"""Nothing damaged, nothing lost: the store under kill -9 and under rot."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.drivers.bodies import Bodies
from edge.drivers.body import BodyBroken, BodyMissing, next_piece
from edge.drivers.store.checksums import BLOCK_BYTES, block_count, read_block
from edge.drivers.store.disk import DiskStore
from edge.effects import DropObject, StoredObject
from edge.events import Event, ObjectLost
from tests.store_victim import body_of, described

LIMIT_S = 60.0
KILLS = 200


def is_whole(store: DiskStore, stored: StoredObject) -> bool:
    """Whether the object can be served; what it would serve must then be right."""
    location = store.location(stored.object_id)
    if location is None:
        return False
    fd = store.open_file(location.file_no)
    try:
        blocks = [
            read_block(fd, location.start, location.size_bytes, location.sums, number)
            for number in range(block_count(location.size_bytes))
        ]
    finally:
        os.close(fd)
    if not all(blocks):
        return False
    assert b"".join(blocks) == body_of(stored.object_id)
    return True


def test_killed_at_200_points_no_object_is_partial_and_none_that_was_acknowledged_is_lost(
    tmp_path: Path,
) -> None:
    draw = np.random.default_rng(20)
    folder = tmp_path / "store"
    said: dict[str, set[str]] = {"put": set(), "drop": set(), "dropped": set()}
    checked_count = 0
    command = [sys.executable, "-m", "tests.store_victim", str(folder)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as victim:
        assert victim.stdin is not None
        assert victim.stdout is not None
        for kill_no in range(1, KILLS + 1):
            victim.stdin.write(f"{kill_no} {int(draw.integers(1, 120))}\n")
            victim.stdin.flush()
            while line := victim.stdout.readline().strip():
                verb, object_id = line.split()
                said[verb].add(object_id)
            store = DiskStore(folder)
            store.open()
            whole = {stored.object_id for stored in store.scan() if is_whole(store, stored)}
            store.close()
            # What it was about to drop when it was killed may be gone or not.
            assert said["put"] - said["drop"] <= whole, f"killed {kill_no} times"
            assert not said["dropped"] & whole
            checked_count += len(whole)
            said["put"] &= whole
        victim.stdin.close()
        assert victim.wait(LIMIT_S) == 0
    assert checked_count > 5000


def fill(folder: Path, seed: int, count: int) -> list[StoredObject]:
    store = DiskStore(folder)
    store.open()
    store.scan()
    kept = []
    for number in range(count):
        object_id = f"{seed:08x}{number:08x}"
        body = body_of(object_id)
        stored = described(object_id, body, float(number))
        if len(body) > BLOCK_BYTES:
            writer = store.begin()
            store.write(writer, [body])
            blocks = [body[at : at + BLOCK_BYTES] for at in range(0, len(body), BLOCK_BYTES)]
            store.finish(writer, stored, tuple(described("", one).crc32c for one in blocks))
        else:
            store.put(stored, [body])
        kept.append(stored)
        if number % 7 == 6:
            store.flush()
    store.flush()
    store.close()
    return kept


def damage(folder: Path, draw: np.random.Generator) -> None:
    """One bit flipped, one end cut off or one file deleted; seldom the latter."""
    paths = [folder / "index.journal", *sorted((folder / "bodies").iterdir())]
    sizes = np.array([path.stat().st_size if path.exists() else 0 for path in paths])
    path = paths[int(draw.choice(len(paths), p=sizes / sizes.sum()))]
    kind = draw.integers(100)
    with path.open("r+b") as file:
        if kind < 93:
            place = int(draw.integers(path.stat().st_size))
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 1 << int(draw.integers(8))]))
        elif kind < 98:
            file.truncate(int(draw.integers(path.stat().st_size) * 0.2 + file.seek(0, 2) * 0.8))
        elif path.suffix == ".body":
            path.unlink()


def intact(before: Path, after: Path) -> set[str]:
    """Objects of which neither the record nor a byte of the body was touched."""
    old = DiskStore(before)
    old.open()
    found = old.scan()
    index = (before / "index.journal").read_bytes()
    index_now = (after / "index.journal").read_bytes()
    names = set()
    for stored in found:
        location = old.location(stored.object_id)
        assert location is not None
        record = slice(location.record_offset, location.record_offset + location.record_bytes)
        path = after / "bodies" / f"{location.file_no:010d}.body"
        if index[record] == index_now[record] and path.exists():
            with path.open("rb") as file:
                file.seek(location.start)
                if file.read(location.size_bytes) == body_of(stored.object_id):
                    names.add(stored.object_id)
    old.close()
    return names


async def served(folder: Path) -> tuple[set[str], int]:
    """The objects a node gives out whole after its start, and how many it found lost."""
    events: list[Event] = []
    store = DiskStore(folder)
    store.open()
    bodies = Bodies(store, events.append, memory_object_bytes_max=0, verify_every=0)
    found = bodies.restore()
    bodies.begin_upkeep()
    whole = set()
    for stored in found:
        expected = body_of(stored.object_id)
        got = b""
        try:
            body = await bodies.open(stored.object_id)
            try:
                while piece := await next_piece(body, 100_000):
                    got += piece
            finally:
                body.close()
        except (BodyMissing, BodyBroken):
            assert expected.startswith(got)  # not one damaged byte
            assert bodies.held_file(stored.object_id) is None
            bodies.drop(DropObject(object_id=stored.object_id))
        else:
            assert got == expected
            assert bodies.held_file(stored.object_id) is not None
            whole.add(stored.object_id)
    lost_count = sum(isinstance(event, ObjectLost) for event in events)
    assert bodies.health.damaged_count >= lost_count
    await bodies.close()
    return whole, lost_count


@pytest.mark.parametrize("seed", range(20))
def test_of_a_store_with_50_random_damages_every_good_byte_is_served_and_no_bad_one(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.drivers.store.volumes.VOLUME_BYTES_MAX", 100_000)
    draw = np.random.default_rng(seed)
    folder = tmp_path / "store"
    fill(folder, seed + 1, 150)
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", folder, copy], check=True)
    for _ in range(50):
        damage(folder, draw)
    readable = intact(copy, folder)

    async def main() -> None:
        async with asyncio.timeout(LIMIT_S):
            whole, lost_count = await served(folder)
            assert whole == readable
            assert lost_count > 0 or len(whole) == 150
            again, lost_count = await served(folder)  # what was lost is gone for good
            assert again == readable
            assert lost_count == 0

    asyncio.run(main())
