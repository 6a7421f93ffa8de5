"""Reading traces, and what is said about bad ones."""

import gzip
import lzma
from pathlib import Path

import pytest

from nearcast.errors import InputError
from nearcast.trace import Trace
from nearcast.trace_files import read_trace, read_traces
from simulation.trace import SHIPPED_NAMES, find_trace
from simulation.trace_maker import MODELS, trace_csv

GOOD = "t_s,throughput_kbps\n0,800\n1.5,0\n2,1600\n3,0\n"
SHARED = Path(__file__).parents[2] / ".." / "shared" / "traces"


def written(folder: Path, text: str, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_last_row_only_marks_the_end(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, GOOD))
    assert trace.period_s == 3
    assert trace.rates_kbps == (800, 0, 1600)
    assert trace.sent_bytes(0, 3) == pytest.approx(150_000 + 200_000)
    assert trace.mean_kbps == pytest.approx(350_000 * 8 / 1000 / 3)


def test_trace_starts_again_at_its_end(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, GOOD))
    assert trace.rate_kbps_at(3.0) == 800
    assert trace.rate_kbps_at(7.75) == 0
    assert trace.finish_s(2.5, 100_000 + 350_000 + 1) == pytest.approx(6.00001)


def test_bytes_that_end_on_a_seam_arrive_before_the_silence() -> None:
    trace = Trace((0, 1, 5), (800, 0))
    assert trace.finish_s(0, 100_000) == 1
    assert trace.finish_s(0, 200_000) == 6
    assert trace.finish_s(2, 1) == pytest.approx(5.00001)


def test_times_may_start_anywhere() -> None:
    assert Trace((100, 101, 103), (1, 2)).times_s == (0, 1, 3)


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_compressed_files_are_read_as_such(tmp_path: Path, suffix: str) -> None:
    opened = gzip.open if suffix == ".gz" else lzma.open
    path = tmp_path / f"t.csv{suffix}"
    with opened(path, "wb") as file:
        file.write(GOOD.encode())
    assert read_trace(path).rates_kbps == (800, 0, 1600)


def test_one_of_several_is_chosen_by_id(tmp_path: Path) -> None:
    text = "trace_id,t_s,throughput_kbps\na,0,1\na,1,1\nb,0,2\nb,4,2\n"
    path = written(tmp_path, text)
    assert read_trace(path, "b").period_s == 4
    assert [name for name, _ in read_traces(path)] == ["a", "b"]
    with pytest.raises(InputError, match="several traces"):
        read_trace(path)
    with pytest.raises(InputError, match="no trace 'c'"):
        read_trace(path, "c")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1: the header"),
        ("a,b\n1,2\n", "line 1: the header"),
        ("t_s,throughput_kbps\n", "has no rows"),
        ("t_s,throughput_kbps\n0,5\n", "line 2: a trace needs at least two rows"),
        ("t_s,throughput_kbps\n0,5\n1,-3\n2,1\n", "line 3: throughput_kbps must not be negative"),
        ("t_s,throughput_kbps\n0,5\n1,fast\n", "line 3: throughput_kbps is not a number: 'fast'"),
        ("t_s,throughput_kbps\n0,5\n1,inf\n", "line 3: throughput_kbps must be finite"),
        ("t_s,throughput_kbps\n1,5\n0,6\n", "line 3: t_s must not fall"),
        ("t_s,throughput_kbps\n0,0\n9,0\n", "line 2: all rates of the trace are zero"),
        ("t_s,throughput_kbps\n0,5,1\n", "line 2: expected 2 columns, got 3"),
    ],
)
def test_bad_file_is_named_with_its_line(tmp_path: Path, text: str, reason: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_trace(path)
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)
    assert caught.value.exit_code == 2


def test_unreadable_files_are_input_errors(tmp_path: Path) -> None:
    damaged = tmp_path / "t.csv.gz"
    damaged.write_bytes(gzip.compress(GOOD.encode())[:-9])
    binary = tmp_path / "t.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (damaged, binary, tmp_path / "absent.csv", tmp_path):
        with pytest.raises(InputError, match=path.name):
            read_trace(path)


@pytest.mark.parametrize("rate_kbps", [0, -1, float("nan")])
def test_constant_rate_must_be_positive(rate_kbps: float) -> None:
    with pytest.raises(InputError):
        Trace.constant(rate_kbps)


@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_shipped_trace_is_the_one_the_maker_makes(name: str, tmp_path: Path) -> None:
    model = next(model for model in MODELS if model.name == name)
    path = written(tmp_path, trace_csv(model))
    assert read_trace(path).rates_kbps == find_trace(name).rates_kbps


def test_unknown_name_lists_the_shipped_ones() -> None:
    with pytest.raises(InputError, match=r"neither a file nor a shipped trace.*fibre"):
        find_trace("carrier-pigeon")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the public trace pack is not here")
def test_public_trace_pack_is_read() -> None:
    traces = dict(read_traces(SHARED / "ghent4g.csv.gz"))
    assert len(traces) == 26
    mean_kbps = sum(t.mean_kbps * t.period_s for t in traces.values()) / sum(
        t.period_s for t in traces.values()
    )
    assert mean_kbps == pytest.approx(29_922, rel=0.01)
