"""`nearcast origin ingest` as a process: done, refused, killed, interrupted, out of space."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("av", reason="PyAV is not installed")

from nearcast.clock import SystemClock
from nearcast.main import main
from origin.drivers.ingest import Ingest, IngestOrder, IngestSettings, make_orders
from origin.drivers.storage import LibraryFolder
from origin.packaging.worker import Started
from origin.progress import LineWatcher

WAIT_S = 30.0


def ingest(*arguments: object, preexec_fn: Callable[[], None]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nearcast", "origin", "ingest", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
        preexec_fn=preexec_fn,
    )


def titles(library: Path, tmp_path: Path) -> list[str]:
    out = tmp_path / "list.json"
    assert main(["origin", "list", "--library", str(library), "--json", str(out)]) == 0
    return [title["id"] for title in json.loads(out.read_bytes())["titles"]]


def left_behind(library: Path) -> list[str]:
    return [path.name for name in ("staging", "media") for path in (library / name).iterdir()]


def wait_until(condition: Callable[[], bool], what: str) -> None:
    limit_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < limit_s, f"{what} did not happen"
        time.sleep(0.01)


def test_two_files_become_two_episodes(
    make_clip: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    library, out = tmp_path / "library", tmp_path / "out.json"

    status = main(
        [
            *("origin", "ingest", str(make_clip(seed=1)), str(make_clip(seed=2, audio=False))),
            *("--series", "Sea", "--season", "2", "--episode", "5", "--jobs", "2"),
            *("--rungs", "36p,72p", "--library", str(library), "--json", str(out)),
        ]
    )

    assert status == 0
    made = json.loads(out.read_bytes())["titles"]
    assert [title["id"] for title in made] == ["sea-s02e05", "sea-s02e06"]
    assert [rendition["id"] for rendition in made[0]["renditions"]] == ["36p", "72p", "audio"]
    assert [rendition["id"] for rendition in made[1]["renditions"]] == ["36p", "72p"]
    assert made[0]["duration_s"] == pytest.approx(3.04, abs=0.1)
    assert titles(library, tmp_path) == ["sea-s02e05", "sea-s02e06"]
    assert "sea-s02e06" in capfd.readouterr().out
    assert main(["origin", "verify", "--library", str(library)]) == 0
    assert main(["origin", "remove", "sea-s02e05", "--library", str(library)]) == 0
    assert titles(library, tmp_path) == ["sea-s02e06"]
    assert len(left_behind(library)) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["{clip}", "--rungs", "huge"], "'huge' is no rung"),
        (["{clip}", "--preset", "warp"], "--preset"),
        (["{clip}", "--id", "../x"], "id '../x'"),
        (["{clip}", "--season", "1"], "--series"),
        (["{clip}", "--segment-duration", "0"], "segment-duration"),
        (["{text}"], "not a video"),
        (["none.mp4"], "no such file"),
        ([], "files"),
    ],
)
def test_bad_input_is_named_and_leaves_nothing(
    arguments: list[str],
    reason: str,
    make_clip: Callable[..., Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("these are notes\n")
    library = tmp_path / "library"
    filled = [part.format(clip=make_clip(), text=text) for part in arguments]

    status = main(["origin", "ingest", *filled, "--library", str(library)])

    assert status == 2
    assert reason in capfd.readouterr().err
    assert not library.exists() or left_behind(library) == []


def test_one_bad_file_does_not_stop_the_others(
    make_clip: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("these are notes\n")
    library = tmp_path / "library"

    status = main(
        [
            "origin",
            "ingest",
            str(text),
            str(make_clip()),
            "--rungs",
            "36p",
            "--library",
            str(library),
        ]
    )

    assert status == 2
    assert titles(library, tmp_path) == [make_clip().stem]
    captured = capfd.readouterr()
    assert "notes: failed:" in captured.out
    assert "1 of 2 files" in captured.err


def test_the_same_id_again_needs_replace(
    make_clip: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    library = tmp_path / "library"
    again = ["origin", "ingest", str(make_clip()), "--id", "x", "--rungs", "36p"]
    again += ["--library", str(library)]

    assert main(again) == 0
    assert main(again) == 2
    assert "--replace" in capfd.readouterr().err
    assert main([*again, "--replace"]) == 0
    assert titles(library, tmp_path) == ["x"]
    assert len(left_behind(library)) == 1


@pytest.fixture
def long_clip(make_clip: Callable[..., Path]) -> Path:
    """Takes several seconds to package with the options of `begin`."""
    return make_clip(seed=9, duration_s=20.0, width=320, height=180, frame_rate=25)


def begin(clip: Path, library: Path) -> subprocess.Popen[bytes]:
    """An ingest in a session of its own, as far as its first segment."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "nearcast", "origin", "ingest", str(clip), "--id", "film"),
            *("--library", str(library), "--preset", "slower", "--segment-duration", "0.5"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(lambda: any(library.glob("staging/*/*/1.m4s")), "the first segment")
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_ingest_leaves_nothing(
    number: signal.Signals, long_clip: Path, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    process = begin(long_clip, library)

    process.send_signal(number)

    assert process.wait(WAIT_S) == 130
    assert left_behind(library) == []
    assert titles(library, tmp_path) == []


def test_an_interrupt_that_python_swallowed_still_ends_the_ingest(
    long_clip: Path, tmp_path: Path
) -> None:
    interrupted = threading.Event()

    class Watcher(LineWatcher):
        def started(self, order: IngestOrder, started: Started) -> None:
            interrupted.set()

    clock = SystemClock()
    settings = IngestSettings(
        rungs=("36p",),
        segment_duration_s=0.5,
        preset="slower",
        jobs=1,
        thread_count=1,
        replace=False,
    )
    folder = LibraryFolder(tmp_path / "library", must_exist=False)
    try:
        watcher = Watcher(lambda line: None, clock.now_s)
        ingest = Ingest(folder, settings, clock, watcher, interrupted)
        with pytest.raises(KeyboardInterrupt):
            ingest.run(make_orders([long_clip], title_id="film"))
    finally:
        folder.close()
    assert left_behind(tmp_path / "library") == []


def test_a_killed_ingest_leaves_no_title_and_runs_again(
    long_clip: Path, make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    library = tmp_path / "library"
    process = begin(long_clip, library)
    staged = sorted(path for path in library.glob("staging/*") if path.is_dir())

    process.kill()
    process.wait(WAIT_S)

    assert titles(library, tmp_path) == []
    assert all(path.exists() for path in staged)
    options = ["--id", "film", "--library", str(library), "--rungs", "36p"]
    assert main(["origin", "ingest", str(make_clip()), *options]) == 0
    assert titles(library, tmp_path) == ["film"]
    assert not any(path.exists() for path in staged)
    assert main(["origin", "verify", "--library", str(library)]) == 0


def test_a_full_disk_is_named_and_leaves_nothing(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    library = tmp_path / "library"
    # Made beforehand, since the limit also holds for the database.
    LibraryFolder(library, must_exist=False).close()

    def limit() -> None:
        # No file may grow beyond this, which to a writer is what a full disk is.
        resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, 120_000))

    clip = make_clip(seed=4, width=480, height=270, frame_rate=25)
    options = ["--preset", "ultrafast", "--segment-duration", 3, "--rungs", "270p"]
    done = ingest(clip, "--id", "x", "--library", library, *options, preexec_fn=limit)

    assert done.returncode == 2
    assert "is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert left_behind(library) == []
    assert titles(library, tmp_path) == []


def test_a_folder_that_may_not_be_written_is_named(
    make_clip: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "file"
    blocked.touch()

    assert main(["origin", "ingest", str(make_clip()), "--library", str(blocked / "library")]) == 2
    assert str(blocked) in capfd.readouterr().err


def test_a_worker_whose_parent_is_gone_ends(long_clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    order = {"source": str(long_clip), "folder": str(folder), "preset": "ultrafast"}
    worker = subprocess.Popen(
        [sys.executable, "-m", "origin.packaging.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(json.dumps(order).encode() + b"\n")
    worker.stdin.close()
    assert b"Started" in worker.stdout.readline()

    worker.stdout.close()

    assert worker.wait(WAIT_S) == 1
    assert os.path.isdir(folder)
