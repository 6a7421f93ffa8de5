"""`nearcast simulate abr`: what it prints and writes, that it repeats, and how it fails."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from abr.controllers import CONTROLLERS
from nearcast.main import main
from simulation.sessions.cli import COMPILING, _progress_bar
from simulation.sessions.options import Options, read_plan

ROW_FIELDS = {
    *("family", "controller", "sessions", "qoe_linear", "qoe_from_second", "bitrate_kbps"),
    *("rebuffer_ratio", "stalls", "stalled_s", "startup_p50_s", "switches", "abandoned"),
    *("wasted_mbytes", "against", "difference", "difference_low", "difference_high"),
    *("of_bound", "of_bound_avoidable", "stalled_excess_s", "sessions_per_s", "wall_s"),
}
RULES = "throughput,bola"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two families of six short traces, and a title of eight segments."""
    folder = tmp_path_factory.mktemp("abr")
    draw = np.random.default_rng(5)
    for name, level in (("tram", 900.0), ("bus", 2500.0)):
        lines = ["trace_id,t_s,throughput_kbps"]
        for trace in range(6):
            rates = level * np.exp(draw.normal(0.0, 0.7, 12))
            lines += [f"{name}{trace},{5 * row},{rate:.0f}" for row, rate in enumerate(rates)]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    ladder = [300, 700, 1500, 3000]
    sizes = [[rate * 4000 * float(draw.uniform(0.8, 1.2)) for rate in ladder] for _ in range(8)]
    (folder / "title.json").write_text(
        json.dumps(
            {"segment_duration_ms": 4000, "bitrates_kbps": ladder, "segment_sizes_bits": sizes}
        )
    )
    return folder


def abr(folder: Path, *arguments: str) -> int:
    traces = [str(folder / "tram.csv"), str(folder / "bus.csv")]
    given = ["--traces", *traces, "--title", str(folder / "title.json"), *arguments]
    return main(["simulate", "abr", *given])


def test_rows_sessions_and_table_agree(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures, sessions = tmp_path / "figures.json", tmp_path / "sessions.csv"
    arguments = ("--controllers", f"{RULES},clairvoyant", "--latency-ms", "50", "--buffer-s", "20")
    assert abr(folder, *arguments, "--json", str(figures), "--per-session", str(sessions)) == 0
    out, error = capsys.readouterr()
    assert error == ""
    assert max(map(len, out.splitlines())) <= 80
    assert "tram: 6 sessions" in out
    found = json.loads(figures.read_text())
    rows = {(row["family"], row["controller"]): row for row in found["rows"]}
    assert list(rows) == [
        (family, controller)
        for family in ("tram", "bus", "all")
        for controller in ("throughput", "bola", "clairvoyant")
    ]
    assert all(set(row) == ROW_FIELDS for row in found["rows"])
    with sessions.open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == 36
    for (family, controller), row in rows.items():
        mine = [
            each for each in table if (each["family"], each["controller"]) == (family, controller)
        ]
        if family == "all":
            continue
        mean = np.mean([float(each["qoe_linear"]) for each in mine])
        stalled_s = sum(float(each["rebuffer_s"]) for each in mine)
        assert row["qoe_linear"] == pytest.approx(mean, abs=1e-5)
        assert row["rebuffer_ratio"] == pytest.approx(stalled_s / (stalled_s + 192), abs=1e-6)
        assert row["of_bound"] <= 1.0 + 1e-9
        assert row["against"] != "clairvoyant"
        assert row["difference_low"] <= row["difference"] <= row["difference_high"]
    first = rows["tram", "throughput"]
    assert first["difference"] == pytest.approx(-rows["tram", "bola"]["difference"])


def test_the_same_seed_gives_the_same_bytes_and_another_other_hits(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def sessions(*arguments: str) -> bytes:
        file = tmp_path / "sessions.csv.gz"
        given = ("--controllers", RULES, "--edge-hit-ratio", "0.5", "--per-session", str(file))
        assert abr(folder, *given, *arguments) == 0
        return file.read_bytes()

    first = sessions("--seed", "1")
    assert first == sessions("--seed", "1")
    assert first != sessions("--seed", "2")
    capsys.readouterr()


@pytest.mark.parametrize(("transport", "usual"), [("plain", "published"), ("tcp", "player")])
def test_the_estimate_is_the_transports_unless_said(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    transport: str,
    usual: str,
) -> None:
    def played(*arguments: str) -> tuple[str, bytes]:
        figures, sessions = tmp_path / "figures.json", tmp_path / "sessions.csv"
        given = ("--controllers", "dynamic", "--transport", transport, "--edge-hit-ratio", "0.3")
        files = ("--json", str(figures), "--per-session", str(sessions))
        assert abr(folder, *given, *files, *arguments) == 0
        return json.loads(figures.read_text())["estimate"], sessions.read_bytes()

    published, player = (played("--estimate", rule) for rule in ("published", "player"))
    assert published[1] != player[1]
    assert played() == (published if usual == "published" else player)
    assert played()[0] == usual
    capsys.readouterr()


def test_a_session_does_not_depend_on_those_beside_it(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def sessions() -> list[str]:
        file = tmp_path / "sessions.csv"
        given = ("--edge-hit-ratio", "0.4", "--edge-told")  # all controllers there are
        assert abr(folder, *given, "--per-session", str(file)) == 0
        return file.read_text().splitlines()

    together = sessions()
    monkeypatch.setattr("simulation.sessions.study.BATCH_SESSIONS", 4)
    differing = [row for row, again in zip(together, sessions(), strict=True) if row != again]
    # Ours plans in single precision, whose sums depend on the batch: a tie may fall otherwise.
    assert [row for row in differing if ",nearcast," not in row] == []
    assert len(differing) <= 2
    capsys.readouterr()


def test_an_earlier_run_lends_its_bound(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bound, one, two = tmp_path / "bound.csv", tmp_path / "one.json", tmp_path / "two.json"
    both = ("--controllers", "bola,clairvoyant", "--json", str(one), "--per-session", str(bound))
    assert abr(folder, *both) == 0
    assert abr(folder, "--controllers", "bola", "--bound", str(bound), "--json", str(two)) == 0
    of_bound = [
        [row["of_bound"] for row in json.loads(file.read_text())["rows"]] for file in (one, two)
    ]
    assert of_bound[0] == pytest.approx(of_bound[1], abs=1e-5)
    assert abr(folder, "--controllers", "clairvoyant", "--bound", str(bound)) == 2
    assert "leave that out" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--transport", "tcp", "--edge-hit-ratio", "0.5", "--edge-speedup", "5"),
        ("--first-rung", "auto", "--no-abandon", "--stall-penalty", "8", "--switch-penalty", "0.5"),
        ("--traces-limit", "2", "--latency-ms", "10", "200"),
    ],
)
def test_conditions_change_the_figures(
    folder: Path, tmp_path: Path, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    plain, other = tmp_path / "plain.json", tmp_path / "other.json"
    assert abr(folder, "--controllers", RULES, "--json", str(plain)) == 0
    assert abr(folder, "--controllers", RULES, "--json", str(other), *arguments) == 0
    qoe = [
        [row["qoe_linear"] for row in json.loads(file.read_text())["rows"]]
        for file in (plain, other)
    ]
    assert qoe[0] != qoe[1]
    capsys.readouterr()


def test_bare_it_plays_what_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    names = [name for name in ("throughput", "bola", "dynamic") if name in CONTROLLERS]
    limit = ("--traces-limit", "2", "--controllers", ",".join(names))
    assert main(["simulate", "abr", *limit]) == 0
    out = capsys.readouterr().out
    assert "mobile-poor: 2 sessions" in out
    assert out.count("dynamic ") == 6  # five links and all


@pytest.mark.skipif(
    find_spec("matplotlib") is None, reason="matplotlib is not installed (extra sim)"
)
def test_the_picture_is_drawn_of_the_session_asked_for(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "abr.svg"
    given = ("--controllers", f"{RULES},clairvoyant", "--plot", str(file))
    assert abr(folder, *given, "--plot-session", "bus3") == 0
    assert file.read_bytes().startswith(b"<?xml")
    first = file.read_bytes()
    assert abr(folder, *given, "--plot-session", "bus4") == 0
    assert file.read_bytes() != first
    assert not [each for each in tmp_path.iterdir() if each != file]
    assert abr(folder, *given, "--plot-session", "bus9") == 2
    assert "there is no such trace; one is tram0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "trace_id,t_s\n", "a.csv, line 1: the header"),
        ("a.csv", "trace_id,t_s,throughput_kbps\nx,0,5\nx,1,y\n", "a.csv, line 3: throughput"),
        ("t.json", '{\n"segment_duration_ms": 4000,', "t.json, line 2, is not a title"),
        ("t.json", "[]", "t.json is not a title"),
        (
            "t.json",
            '{"segment_duration_ms":4000,"bitrates_kbps":[1,2],"segment_sizes_bits":[[1]]}',
            r"t.json: segment_sizes_bits[0] has 1",
        ),
    ],
)
def test_bad_files_are_named(
    tmp_path: Path, name: str, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / name
    file.write_text(text)
    option = "--traces" if name.endswith(".csv") else "--title"
    assert main(["simulate", "abr", option, str(file)]) == 2
    assert message in capsys.readouterr().err


def test_a_session_to_draw_needs_a_picture(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert abr(folder, "--controllers", "bola", "--plot-session", "bus3") == 2
    assert "--plot-session does nothing without --plot" in capsys.readouterr().err


@pytest.mark.parametrize("is_compiled", [False, True])
def test_a_terminal_is_told_of_compiling(
    folder: Path, monkeypatch: pytest.MonkeyPatch, is_compiled: bool
) -> None:
    plan = read_plan(Options(traces=(folder / "bus.csv",), controllers="bola"))
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("simulation.sessions.study.is_compiled", lambda *_: is_compiled)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with _progress_bar(plan) as on_progress:
        assert on_progress is not None
    assert (COMPILING in terminal.getvalue()) == is_compiled


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_two_files_of_one_name_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(folder / "bus.csv")
    assert main(["simulate", "abr", "--traces", file, file]) == 2
    assert "two files are called bus" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interrupted_run_leaves_what_was_there(folder: Path, tmp_path: Path) -> None:
    """The pipe that the traces come from never ends, so the run is surely under way."""
    kept, endless = tmp_path / "figures.json", tmp_path / "endless.csv"
    kept.write_text("before")
    os.mkfifo(endless)
    command = [sys.executable, "-m", "nearcast", "simulate", "abr", "--traces", str(endless)]
    process = subprocess.Popen(
        [*command, "--json", str(kept), "--per-session", str(tmp_path / "sessions.csv")],
        # Whoever runs the tests in the background may have had interrupts ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with endless.open("w") as pipe:  # opens once the command reads
        pipe.write("trace_id,t_s,throughput_kbps\n")
        pipe.flush()
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(timeout=30) == 130
        finally:
            process.kill()
    assert kept.read_text() == "before"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["endless.csv", "figures.json"]
