"""Benchmarks: figures relative to the baseline of the same round, tables that fit a terminal."""

import pytest

from nearcast.main import main
from simulation.bench.edge import BenchRow, as_row
from simulation.bench.edge import table as edge_table
from simulation.bench.inference import InferenceRow
from simulation.bench.inference import table as inference_table
from simulation.bench.load import Load
from simulation.bench.simulate import SimulateFigures
from simulation.bench.simulate import table as simulate_table


def load(request_count: int, latency_s: float = 0.001) -> Load:
    return Load(
        request_count=request_count,
        body_bytes=0,
        duration_s=2.0,
        latencies_s=(latency_s,) * request_count,
    )


def test_ratios_are_of_the_same_round_and_their_median() -> None:
    # A slow second round that hits both changes rates, not ratios.
    baseline: list[tuple[Load, float | None]]
    own: list[tuple[Load, float | None]]
    baseline = [(load(1000), 10e-6), (load(100), 100e-6), (load(1000), 10e-6)]
    own = [(load(500), 20e-6), (load(50), 200e-6), (load(800), 12e-6)]
    row = as_row("edge", 4096, own, baseline)
    assert row.throughput_ratio == 0.5
    assert row.cpu_ratio == pytest.approx(2.0)
    assert row.requests_per_s == 250
    assert row.cpu_us_per_request == pytest.approx(20)


def test_where_cpu_cannot_be_read_only_its_figures_are_missing() -> None:
    row = as_row("edge", 4096, [(load(10), None)], [(load(10), None)])
    assert row.cpu_ratio is None
    assert row.cpu_us_per_request is None
    assert row.throughput_ratio == 1.0
    *_, line = edge_table((row,), "nginx")
    assert line.split() == ["4096", "edge", "5", "-", "-", "1.00", "1.0"]


def test_p99_is_over_all_rounds() -> None:
    row = as_row("edge", 1, [(load(99), None), (load(1, 0.5), None)], [(load(1), None)] * 2)
    assert row.p99_ms == pytest.approx(1.0)


def test_tables_fit_a_terminal() -> None:
    rows = (
        BenchRow(
            server="aiohttp-file",
            size_bytes=67_108_864,
            requests_per_s=123_456.7,
            cpu_us_per_request=98_765.4,
            cpu_ratio=12.34,
            throughput_ratio=0.98,
            p99_ms=1234.5,
        ),
    )
    inference = (
        InferenceRow(
            batch=256,
            int8_p50_s=1e-4,
            int8_p99_s=2e-4,
            float_p50_s=None,
            float_p99_s=None,
            ratio_to_float=None,
        ),
    )
    simulate = SimulateFigures(
        scenario="evening",
        event_count=1_000_000,
        simulated_s=3600.0,
        wall_s=10.0,
        empty_wall_s=2.0,
        cost_ratio=5.0,
        speed_ratio=360.0,
    )
    for lines in (edge_table(rows, "nginx"), inference_table(inference), simulate_table(simulate)):
        made = list(lines)
        assert len(made) > 1
        assert all(len(line) <= 80 for line in made)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("edge", "--sizes", "many"), "--sizes many"),
        (("edge", "--sizes", "0"), "between 1 and"),
        (("edge", "--peers", "varnish"), "--peers varnish"),
        (("simulate", "--scenario", "nowhere"), "neither a file nor a shipped scenario"),
    ],
)
def test_bad_input_ends_with_status_2_and_a_reason(
    arguments: tuple[str, ...], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments]) == 2
    assert reason in capsys.readouterr().err
