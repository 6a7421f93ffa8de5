"""Hits that must come from the disk, and whether the other hits notice.

The objects are larger than what is kept in RAM. Before each cold turn the kernel is told to forget
their pages; in the warm turns the same requests are answered from memory. Without root a disk
cannot be made slow, so this shows a loop that waits for the disk there is.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from nearcast.errors import NearcastError
from simulation.bench.checks import fetch
from simulation.bench.load import Ask, Generator, Job, generator
from simulation.bench.peers import Server
from simulation.bench.report import Goal, Outcome, server_rows
from simulation.bench.rounds import Sample, measure, ratios, take_turns
from simulation.bench.stage import KB, Stage, edge, origin, plain_asks

CELL = "cold"
GOAL = 1.2
"""Not moved: as far as a p99 of one run says."""
HIT_BYTES = 4 * KB
HITS_PER_S = 1000.0
HIT_CONNECTIONS = 16
LARGE_BYTES = 8192 * KB
LARGE_COUNT = 24
ROUNDS = 4
"""A p99 needs more answers than a CPU figure: a turn is so many rounds long."""
COLD_SHARE_MIN = 0.9
LOOK_S = 0.1
LOOKS_MAX = 30


def run(stage: Stage) -> Outcome:
    folder = stage.folder / CELL
    write_large(stage.root)
    shares: list[float] = []
    with (
        origin(stage, folder / "origin") as source,
        edge(folder / "store", source.port) as server,
        generator("background") as background,
    ):
        stage.warm(server, HIT_BYTES)
        for number in range(LARGE_COUNT):
            target = f"/large/{number}"
            wanted = zlib.crc32((stage.root / target.lstrip("/")).read_bytes())
            if any(zlib.crc32(fetch(server.port, target).body) != wanted for _ in range(2)):
                raise NearcastError(f"edge answered {target} with other bytes")
        files = _settled_files(folder / "store")
        if len(files) < LARGE_COUNT:
            return Outcome(notes=("cold: the store keeps no file per object; left out",))

        def cold() -> Sample:
            shares.append(forget(files))
            return _turn(stage, server, background)

        def warm() -> Sample:
            for file in files:
                file.read_bytes()
            return _turn(stage, server, background)

        seen = take_turns({"warm": warm, "cold": cold}, stage.round_count)
    p99 = {name: [one.p99_s for one in samples] for name, samples in seen.items()}
    work = "hit 4 KB beside 8 MB hits"
    notes: tuple[str, ...] = ()
    if min(shares) < COLD_SHARE_MIN:
        notes = (f"cold: only {min(shares):.0%} of the pages could be forgotten",)
    return Outcome(
        goals=(
            Goal(
                cell=CELL,
                work="hit 4 KB, cold ones beside",
                measure="p99 x warm beside",
                unit="x",
                goal=GOAL,
                value=ratios(p99["cold"], p99["warm"]),
            ),
        ),
        servers=server_rows(CELL, work, seen, "warm"),
        notes=notes,
    )


def _turn(stage: Stage, server: Server, background: Generator) -> Sample:
    """Steady small hits, and every large object once."""
    duration_s = ROUNDS * stage.round_s
    hits = msgspec.structs.replace(
        stage.job(server, plain_asks(HIT_BYTES)),
        connection_count=HIT_CONNECTIONS,
        duration_s=duration_s,
        rate_per_s=HITS_PER_S,
    )
    large = Job(
        port=server.port,
        asks=tuple(Ask(f"/large/{number}", LARGE_BYTES) for number in range(LARGE_COUNT)),
        connection_count=1,
        duration_s=duration_s,
        rate_per_s=LARGE_COUNT / duration_s,
    )
    background.connect(large)
    background.begin()
    sample = measure(stage.generator, hits, server.process)
    background.result()
    return sample


def write_large(root: Path) -> None:
    (root / "large").mkdir()
    for number in range(LARGE_COUNT):
        (root / "large" / str(number)).write_bytes(os.urandom(LARGE_BYTES))


def _settled_files(store: Path) -> tuple[Path, ...]:
    """Once the last fill has been given its name."""
    files = large_files(store)
    for _ in range(LOOKS_MAX):
        time.sleep(LOOK_S)
        before, files = files, large_files(store)
        if files == before and len(files) >= LARGE_COUNT:
            break
    return files


def large_files(store: Path) -> tuple[Path, ...]:
    """The store's files that hold one large object each."""
    return tuple(
        sorted(
            path
            for path in store.rglob("*")
            if path.is_file() and LARGE_BYTES <= path.stat().st_size < LARGE_BYTES + 64 * KB
        )
    )


def forget(files: Sequence[Path]) -> float:
    """Drop the files' pages from memory; the share that is gone, by a probe per file."""
    gone = 0
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # a page that is not written yet cannot be dropped
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            gone += not _is_resident(descriptor)
        finally:
            os.close(descriptor)
    return gone / len(files) if files else 0.0


def _is_resident(descriptor: int) -> bool:
    """Whether the middle of a file could be read without waiting."""
    try:
        return os.preadv(descriptor, [bytearray(4 * KB)], LARGE_BYTES // 2, os.RWF_NOWAIT) > 0
    except BlockingIOError:
        return False
