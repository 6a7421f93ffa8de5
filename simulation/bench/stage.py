"""What all cells share: the files that are served, who serves them, and how long to measure."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from nearcast.errors import NearcastError
from simulation.bench.checks import fetch
from simulation.bench.load import Ask, Generator, Job
from simulation.bench.peers import Server, binary, nginx_origin
from simulation.bench.processes import LOAD_CORE, SERVER_CORE, process
from simulation.bench.rounds import LoadSource

FILE_COUNT = 32
CONNECTION_COUNT = 32
KB = 1 << 10
SIZES_BYTES = (4 * KB, 64 * KB, 512 * KB, 2048 * KB)

_READY = re.compile(r"https?://127\.0\.0\.1:(\d+)")


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the bench. `root` holds FILE_COUNT files of each size, named by number."""

    folder: Path
    root: Path
    generator: Generator
    hit_generator: LoadSource
    """Of the closed loops on hits, where another one may take over."""
    peers: tuple[str, ...]
    round_count: int
    round_s: float

    def job(
        self, server: Server, asks: Sequence[Ask], *, status: int = 200, is_tls: bool = False
    ) -> Job:
        """A closed loop over these requests, for one round."""
        return Job(
            port=server.port,
            asks=tuple(asks),
            connection_count=CONNECTION_COUNT,
            duration_s=self.round_s,
            status=status,
            is_tls=is_tls,
        )

    def warm(self, server: Server, size_bytes: int, *, is_tls: bool = False) -> None:
        """Ask for every object twice and compare every byte with the file: what is measured
        afterwards is known to be right, and to be a hit. Raises NearcastError."""
        for number in range(2 * FILE_COUNT):
            target = f"/{size_bytes}/{number % FILE_COUNT}"
            answer = fetch(server.port, target, is_tls=is_tls)
            wanted = zlib.crc32((self.root / target.lstrip("/")).read_bytes())
            if answer.status != 200 or zlib.crc32(answer.body) != wanted:
                raise NearcastError(
                    f"{server.name} answered {target} with status {answer.status} and other bytes"
                )


def write_files(root: Path, sizes_bytes: Sequence[int] = SIZES_BYTES) -> None:
    for size_bytes in sizes_bytes:
        (root / str(size_bytes)).mkdir(parents=True)
        for number in range(FILE_COUNT):
            (root / str(size_bytes) / str(number)).write_bytes(os.urandom(size_bytes))


def plain_asks(size_bytes: int, headers: str = "", query: str = "") -> tuple[Ask, ...]:
    """Every object of a size, in turn."""
    return tuple(
        Ask(f"/{size_bytes}/{number}{query}", size_bytes, headers) for number in range(FILE_COUNT)
    )


def size_text(size_bytes: int) -> str:
    """4 KB, 2 MB."""
    kb = size_bytes // KB
    return f"{kb} KB" if kb < KB else f"{kb // KB} MB"


@contextlib.contextmanager
def origin(stage: Stage, folder: Path) -> Iterator[Server]:
    """A fast origin on the load core: nginx where it is installed, else ours."""
    if binary("nginx") is not None:
        with nginx_origin(folder, stage.root) as server:
            yield server
    else:
        with own_origin(stage.root) as server:
            yield server


@contextlib.contextmanager
def own_origin(root: Path) -> Iterator[Server]:
    """Ours, on the load core; it also has slow bodies."""
    arguments = [sys.executable, "-m", "simulation.bench.origin", str(root)]
    with process("origin", arguments, core=LOAD_CORE) as child:
        yield Server("origin", child, int(child.first_line()))


@contextlib.contextmanager
def edge(
    folder: Path, origin_port: int, settings: Sequence[str] = (), *, capacity: str = "2GB"
) -> Iterator[Server]:
    """`nearcast edge` as an operator runs it, with a store on disk and its default settings.

    When it has ended, its status is in `folder` with the suffix .json.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    arguments = [sys.executable, "-m", "nearcast", "edge"]
    arguments += ["--upstream", f"http://127.0.0.1:{origin_port}", "--listen", "127.0.0.1:0"]
    arguments += ["--store", str(folder), "--capacity", capacity]
    arguments += ["--json", str(folder.with_suffix(".json"))]
    for setting in settings:
        arguments += ["--set", setting]
    with process("edge", arguments, core=SERVER_CORE) as child:
        found = _READY.search(child.first_line())
        assert found is not None
        yield Server("edge", child, int(found[1]))
