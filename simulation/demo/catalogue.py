"""The demo's titles: made once by `nearcast origin ingest`, kept for the next run."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import groupby
from pathlib import Path

from nearcast.errors import InputError
from simulation.demo import footage
from simulation.demo.plan import (
    FRAME_RATE,
    PICTURE,
    PRESET,
    RUNGS,
    DemoPlan,
    DemoTitle,
)
from simulation.demo.processes import Processes

# Raise it when what is made from the same plan changes.
EDITION = 1
INGEST_S_MAX = 600.0


def cache_folder() -> Path:
    """Where things that can be made again are kept: $XDG_CACHE_HOME/nearcast."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "nearcast"


def library_of(plan: DemoPlan, media: Sequence[Path], folder: Path) -> Path:
    """The folder of the library for this plan and these files; another plan gets another one."""
    parts = [str(EDITION), repr(plan.titles), repr((PICTURE, FRAME_RATE, RUNGS, PRESET))]
    for file in media:
        try:
            stat = file.stat()
        except OSError as error:
            raise InputError(f"cannot read {file}: {error.strerror}") from error
        parts.append(f"{file.resolve()} {stat.st_size} {stat.st_mtime_ns}")
    return folder / f"demo-{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:12]}"


def make_library(
    plan: DemoPlan, media: Sequence[Path], library: Path, say: Callable[[str], None]
) -> bool:
    """Make the titles unless they are there; True if they had to be made.

    A library becomes visible under its name only once it is whole, so an interrupted run leaves
    nothing that the next one would trust.
    """
    if library.is_dir():
        return False
    work = library.with_name(library.name + ".making")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    say(f"making {len(plan.titles)} titles (kept in {library})")
    clips = {title.id: work / f"{title.id}.mp4" for title in plan.titles}
    with ProcessPoolExecutor() as pool:
        if media:
            pieces = footage.cut_list(media, plan.titles)
            made = [
                pool.submit(footage.cut, piece, clips[title.id])
                for piece, title in zip(pieces, plan.titles, strict=True)
            ]
        else:
            made = [pool.submit(footage.draw, title, clips[title.id]) for title in plan.titles]
        for one in made:
            one.result()
    with Processes(work) as processes:
        for name, titles in groupby(plan.titles, key=lambda title: title.series):
            _ingest(processes, list(titles), name, clips, work)
    for clip in clips.values():
        clip.unlink()
    (work / "titles").rename(library)
    shutil.rmtree(work)
    return True


def _ingest(
    processes: Processes,
    titles: list[DemoTitle],
    series: str | None,
    clips: dict[str, Path],
    work: Path,
) -> None:
    arguments = ["origin", "ingest", *(str(clips[title.id]) for title in titles)]
    arguments += ["--library", str(work / "titles"), "--rungs", ",".join(RUNGS), "--preset", PRESET]
    if series is not None:
        arguments += ["--series", series, "--season", "1", "--episode", "1"]
    processes.start(f"ingest-{series or 'films'}", *arguments).wait(INGEST_S_MAX)
