"""Everything at once on a real store: what is read is right, and nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path

import numpy as np
import pytest

from edge.drivers.body import BodyMissing, next_piece
from edge.effects import DropObject, SetInMemory
from edge.events import ObjectLost
from tests.e2e.test_edge_store_faults import World
from tests.store_victim import body_of

ROUNDS = 150


def descriptor_count() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("seed", range(3))
def test_bodies_are_right_while_others_come_and_go_and_nothing_stays_behind(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.drivers.store.volumes.VOLUME_BYTES_MAX", 60_000)
    draw = np.random.default_rng(seed)

    async def send(world: World, object_id: str) -> None:
        """As the server does: from the open file if there is one, in small pieces."""
        expected = body_of(object_id)
        first = int(draw.integers(len(expected)))
        held = world.bodies.held_file(object_id)
        if held is not None and draw.integers(2):
            held.acquire()
            for at in range(first, held.size_bytes, 100_000):
                count = min(100_000, held.size_bytes - at)
                got = os.pread(held.fd, count, held.start + at)
                assert got == expected[at : at + count]
                await asyncio.sleep(0)
            held.release()
            return
        try:
            body = await world.bodies.open(object_id, first)
        except BodyMissing:
            return  # dropped while it was being opened
        while piece := await next_piece(body, 100_000):
            assert piece == expected[first : first + len(piece)]
            first += len(piece)
            await asyncio.sleep(0)
        assert first == len(expected)
        body.close()

    async def main() -> int:
        world = World(tmp_path / "store", verify_every=5)
        world.bodies.begin_upkeep(1e9)
        kept = [stored.object_id for stored in world.found]
        dropped: set[str] = set()
        sending: set[asyncio.Task[None]] = set()
        for number in range(ROUNDS):
            object_id = f"{seed:08x}{len(world.found):04x}{number:04x}"
            assert await world.fetch(object_id) is not None
            kept.append(object_id)
            for _ in range(3):
                name = kept[int(draw.integers(len(kept)))]
                sending.add(asyncio.create_task(send(world, name)))
            if len(kept) > 40:
                victim = kept.pop(int(draw.integers(len(kept))))
                dropped.add(victim)
                world.bodies.drop(DropObject(object_id=victim))
            is_hot = bool(draw.integers(2))
            world.bodies.set_in_memory(SetInMemory(object_id=kept[0], in_memory=is_hot))
            await asyncio.sleep(0)
        await asyncio.gather(*sending)
        bodies = world.bodies
        lost = {event.object_id for event in world.events if isinstance(event, ObjectLost)}
        assert lost <= dropped  # asked for too late
        assert bodies.health.damaged_count == 0
        assert bodies.queued_bytes == 0
        assert bodies.is_settled
        assert not bodies.fills
        await bodies.close()
        used = sum(path.stat().st_blocks * 512 for path in (tmp_path / "store/bodies").iterdir())
        pages = sum(-(-len(body_of(name)) // 4096) + 2 for name in kept)
        assert used <= pages * 4096  # the room of all that was dropped is given back
        return len(kept)

    asyncio.run(main())
    gc.collect()
    before = descriptor_count()
    asyncio.run(main())
    assert descriptor_count() == before
