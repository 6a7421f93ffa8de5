"""Benchmarks: figures relative to the baseline of the same round, tables that fit a terminal."""

from collections.abc import Callable

import pytest

from nearcast.main import main
from simulation.bench.edge import table as edge_table
from simulation.bench.inference import InferenceRow
from simulation.bench.inference import table as inference_table
from simulation.bench.load import Load
from simulation.bench.report import Goal, Outcome, server_rows, server_table
from simulation.bench.rounds import Sample, Spread, take_turns
from simulation.bench.simulate import SimulateFigures
from simulation.bench.simulate import table as simulate_table


def sample(request_count: int, cpu_s_per_request: float | None, latency_s: float = 1.0) -> Sample:
    load = Load(
        request_count=request_count,
        body_bytes=0,
        duration_s=2.0,
        ttfb_s=(latency_s,),
        latency_s=(latency_s,),
    )
    cpu_s = None if cpu_s_per_request is None else cpu_s_per_request * request_count
    return Sample(load=load, cpu_s=cpu_s)


def test_ratios_are_of_the_same_round_and_their_median() -> None:
    # A slow second round that hits both changes rates, not ratios.
    base = [sample(1000, 10e-6), sample(100, 100e-6), sample(1000, 10e-6)]
    own = [sample(500, 20e-6), sample(50, 200e-6), sample(800, 12e-6)]
    row, _ = server_rows("hits", "hit", {"edge": own, "nginx": base}, "nginx")
    assert row.throughput is not None
    assert row.throughput.median == 0.5
    assert row.cpu is not None
    assert row.cpu.median == pytest.approx(2.0)
    assert row.cpu.low == pytest.approx(1.6)  # quartile of 1.2, 2, 2
    assert row.requests_per_s == 250
    assert row.cpu_us_per_request == pytest.approx(20)


def test_where_cpu_cannot_be_read_only_its_figures_are_missing() -> None:
    (row,) = server_rows("hits", "hit", {"edge": [sample(10, None)]}, "edge")
    assert row.cpu is None
    assert row.throughput is not None
    *_, line = server_table((row,))
    assert line.split() == ["hit", "edge", "5", "-", "-", "1.00", "1000.0"]
    assert goal(None).verdict == "?"


def test_servers_take_turns_forwards_and_then_backwards() -> None:
    order: list[str] = []

    def turn(name: str) -> Callable[[], Sample]:
        def run() -> Sample:
            order.append(name)
            return sample(1, None)

        return run

    seen = take_turns({name: turn(name) for name in "abc"}, 3)
    assert "".join(order) == "abccbaabc"
    assert {name: len(samples) for name, samples in seen.items()} == {"a": 3, "b": 3, "c": 3}


def goal(value: float | None, wanted: float | None = 0.8) -> Goal:
    return Goal(
        cell="hits",
        work="a hit while fills, inference and eviction run",
        measure="p99 x without any of them",
        unit="x",
        goal=wanted,
        value=None if value is None else Spread(value, value, value),
    )


@pytest.mark.parametrize(
    ("value", "wanted", "verdict"), [(0.8, 0.8, "ok"), (0.81, 0.8, "short"), (9.0, None, "")]
)
def test_a_goal_is_met_up_to_its_value(value: float, wanted: float | None, verdict: str) -> None:
    assert goal(value, wanted).verdict == verdict


def test_tables_fit_a_terminal() -> None:
    rows = server_rows(
        "hits",
        "hit 64 KB, CMCD in the query",
        {"nginx-cache-and-more": [sample(246_913, 98_765.4e-6, 12.345)]},
        "nginx-cache-and-more",
    )
    inference = (
        InferenceRow(
            model_id="next-episode-0123456789ab",
            kind="next-episode",
            device="cpu",
            provider="CPUExecutionProvider",
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
    outcome = Outcome(goals=(goal(12345.678, 1234.56),), servers=rows)
    for lines in (edge_table(outcome), inference_table(inference), simulate_table(simulate)):
        made = list(lines)
        assert len(made) > 1
        assert all(len(line) <= 80 for line in made)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("edge", "--cells", "hits,speed"), "--cells speed: choose from hits"),
        (("edge", "--peers", "squid"), "--peers squid: choose from nginx, varnish"),
        (("edge", "--rounds", "0"), "--rounds"),
        (("simulate", "--scenario", "nowhere"), "neither a file nor a shipped scenario"),
    ],
)
def test_bad_input_ends_with_status_2_and_a_reason(
    arguments: tuple[str, ...], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments]) == 2
    assert reason in capsys.readouterr().err
