"""A process that works on a store until it kills itself, for tests/e2e/test_edge_store.py.

Reads lines `seed step_no` and forks a child for each: it works with that seed and sends itself
SIGKILL before, or in the middle of, its file operation number `step_no`. The child writes a line
before it drops something and one for everything the store has acknowledged; the parent then writes
an empty line.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from edge.drivers.store import journal, volumes
from edge.drivers.store.checksums import BlockSums
from edge.drivers.store.disk import DiskStore
from edge.effects import StoredObject

STEPS = ("open", "pwritev", "pwrite", "rename", "ftruncate", "unlink")
LARGE_BYTES = 1_500_000
OBJECTS_MAX = 60


def body_of(object_id: str) -> bytes:
    """The bytes of an object follow from its name."""
    draw = np.random.default_rng(int(object_id, 16))
    is_large = draw.integers(40) == 0
    return draw.bytes(int(draw.integers(LARGE_BYTES if is_large else 20_000)) + 1)


def described(object_id: str, body: bytes, received_wall_s: float = 0.0) -> StoredObject:
    return StoredObject(
        object_id=object_id,
        url=f"http://origin/{object_id}",
        status=200,
        headers=(),
        size_bytes=len(body),
        crc32c=google_crc32c.value(body),
        requested_wall_s=0.0,
        received_wall_s=received_wall_s,
    )


def be_killed_at(step_no: int, draw: np.random.Generator) -> None:
    step = 0

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal step
            step += 1
            if step < step_no:
                return real(*args, **kwargs)
            if name in ("pwrite", "pwritev") and draw.integers(2):  # in the middle of it
                text = args[1] if name == "pwrite" else b"".join(args[1])
                real_pwrite(args[0], text[: int(draw.integers(len(text) + 1))], args[2])
            die()
            return None

        return call

    real_pwrite = os.pwrite
    for name in STEPS:
        setattr(os, name, counted(name, getattr(os, name)))


def work(folder: Path, seed: int, step_no: int) -> None:
    draw = np.random.default_rng(seed)
    volumes.VOLUME_BYTES_MAX = 200_000  # type: ignore[misc]
    journal.COMPACT_BYTES_MIN = 20_000  # type: ignore[misc]
    be_killed_at(step_no, draw)
    store = DiskStore(folder)
    store.open()
    held = [stored.object_id for stored in store.scan()]
    for batch in range(1000):
        said: list[str] = []
        for number in range(int(draw.integers(1, 6))):
            kind = draw.integers(10)
            if (kind < 6 and len(held) < OBJECTS_MAX) or not held:
                object_id = f"{seed:08x}{batch:04x}{number:04x}"
                body = body_of(object_id)
                if len(body) > 100_000:
                    writer, sums = store.begin(), BlockSums()
                    store.write(writer, [body])
                    sums.add(body)
                    store.finish(writer, described(object_id, body), sums.sums())
                else:
                    store.put(described(object_id, body), [body])
                held.append(object_id)
                said.append(f"put {object_id}")
            elif kind < 8:
                object_id = held[int(draw.integers(len(held)))]
                store.update(described(object_id, body_of(object_id), float(batch)))
            else:
                object_id = held.pop(int(draw.integers(len(held))))
                store.drop(object_id)
                store.free(object_id)
                said.append(f"dropped {object_id}")
                os.write(1, f"drop {object_id}\n".encode())
        if batch % 3 == 0:
            store.sweep()
        store.flush()
        os.write(1, "".join(f"{line}\n" for line in said).encode())


def main() -> None:
    folder = Path(sys.argv[1])
    for line in sys.stdin:
        seed, step_no = map(int, line.split())
        child = os.fork()
        if child == 0:
            work(folder, seed, step_no)
            os._exit(3)
        os.waitpid(child, 0)
        os.write(1, b"\n")


if __name__ == "__main__":
    main()
