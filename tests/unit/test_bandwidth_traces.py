"""Traces as links, and the sessions that are played over them."""

import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest

from abr.throughput import HALF_LIFE_FAST_S, HALF_LIFE_SLOW_S
from abr.view import HISTORY
from nearcast.errors import InputError
from predictor.bandwidth.history import History
from predictor.train.bandwidth_generated import KINDS, generate
from predictor.train.bandwidth_rows import windows_kbps
from predictor.train.bandwidth_rules import HALF_LIVES_S, RULES
from predictor.train.bandwidth_sessions import SAMPLES, Players, draw_players, requests
from predictor.train.bandwidth_traces import (
    Links,
    Trace,
    check_enough,
    is_held_out,
    read_family,
    read_files,
)
from simulation.sessions.families import read_family as simulated_family

HEADER = "trace_id,t_s,throughput_kbps\n"


def trace(times_s: list[float], kbps: list[float], trace_id: str = "a") -> Trace:
    return Trace(
        family="f", trace_id=trace_id, times_s=np.array(times_s), kbps=np.array(kbps, dtype=float)
    )


def links() -> Links:
    return Links(
        [
            trace([0, 10, 20], [1000, 3000], "steps"),
            trace([0, 5, 15, 30], [500, 0, 2000], "outage"),
        ]
    )


def test_capacity_is_integrated_exactly_over_laps() -> None:
    first = np.zeros(4, dtype=np.int64)
    kbit = links().kbit_until(first, np.array([0.0, 12.0, 20.0, 32.0]))
    np.testing.assert_allclose(kbit, [0.0, 16_000.0, 40_000.0, 56_000.0])
    np.testing.assert_allclose(links().when_s(first, kbit), [0.0, 12.0, 20.0, 32.0])


def test_an_outage_delays_and_does_not_divide_by_zero() -> None:
    second = np.ones(2, dtype=np.int64)
    found = links().when_s(second, np.array([2400.0, 2600.0]))
    assert found[0] == pytest.approx(4.8)
    assert found[1] == pytest.approx(15.05, abs=0.01)


def test_capacity_and_its_inverse_agree_on_generated_links() -> None:
    rng = np.random.default_rng(1)
    many = Links(generate(12, rng))
    which = rng.integers(0, 12, 200)
    time_s = rng.uniform(0.0, 3000.0, 200)
    kbit = many.kbit_until(which, time_s)
    np.testing.assert_allclose(many.kbit_until(which, many.when_s(which, kbit)), kbit, rtol=1e-7)


def test_windows_of_a_rescaled_and_stretched_trace() -> None:
    one = np.ones(1)
    found = windows_kbps(links(), np.zeros(1, np.int64), 8.0 * one, 2.0 * one, 2.0 * one)
    # Twice as slow: 2000 kbit/s until 20 s, then 6000 until 40.
    np.testing.assert_allclose(found[0], [2000, 2000, 2000, 6000, 6000, 6000])


def test_every_kind_of_generated_trace_has_a_rate_and_an_end() -> None:
    found = generate(2 * len(KINDS), np.random.default_rng(2))
    for each in found:
        assert len(each.times_s) == len(each.kbps) + 1
        assert (np.diff(each.times_s) > 0).all()
        assert (each.kbps >= 0).all()
        assert each.kbps.max() > 0
    assert {each.trace_id.split("-")[0] for each in found} == set(KINDS)


def one_player(**changes: object) -> Players:
    one = np.ones(1)
    fields: dict[str, object] = {
        "trace": np.zeros(1, np.int64),
        "family": np.zeros(1, np.int64),
        "start_s": 0.0 * one,
        "scale": one,
        "stretch": one,
        "latency_s": 0.5 * one,
        "segment_s": 4.0 * one,
        "buffer_s_max": 9.0 * one,
        "ladder_kbps": np.full((1, 10), 250.0),
        "boldness": one,
        "randomness": 0.0 * one,
        "hit_share": 0.0 * one,
    }
    return Players(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_transfer_is_measured_over_its_body_and_waits_for_room() -> None:
    steady = Links([trace([0, 100], [2000])])
    asked = list(requests(steady, one_player(), np.random.default_rng(3), steps=6))
    last = asked[-1].history
    known = ~np.isnan(last.samples_kbps)
    assert known.sum() == 5
    np.testing.assert_allclose(last.samples_kbps[known], 2000.0)
    np.testing.assert_allclose(last.samples_ttfb_s[known], 0.5)
    np.testing.assert_allclose(
        last.samples_duration_s[known], last.samples_bytes[known] * 0.008 / 2000.0
    )
    assert last.gap_s[0] > 0.0
    np.testing.assert_allclose(asked[-1].outcomes_kbps[0], 2000.0)


def test_hits_leave_no_sample_behind_and_take_their_time() -> None:
    steady = Links([trace([0, 100], [2000])])
    player = one_player(hit_share=np.full(1, 0.5))
    histories = [
        each.history for each in requests(steady, player, np.random.default_rng(4), steps=20)
    ]
    last: History = histories[-1]
    assert not last.samples_hit.any()
    np.testing.assert_allclose(last.samples_kbps[~np.isnan(last.samples_kbps)], 2000.0)


def test_everyday_players_leave_the_traces_as_they_are() -> None:
    rng = np.random.default_rng(5)
    many = links()
    which = rng.integers(0, 2, 50)
    players = draw_players(many, which, np.zeros(50, np.int64), rng, is_varied=False)
    assert (players.scale == 1.0).all()
    assert (players.stretch == 1.0).all()
    varied = draw_players(many, which, np.zeros(50, np.int64), rng, is_varied=True)
    assert (varied.scale != 1.0).any()
    assert (np.diff(varied.ladder_kbps, axis=1) >= 0.0).all()


def test_the_rules_on_samples_worked_out_by_hand() -> None:
    kbps = np.full((1, SAMPLES), np.nan)
    kbps[0, -2:] = [1000.0, 4000.0]
    known = np.where(np.isnan(kbps), np.nan, 1.0)
    seen = History(
        samples_kbps=kbps,
        samples_bytes=kbps * 1000,
        samples_duration_s=known * 3.0,
        samples_ttfb_s=known * 0,
        samples_gap_s=known * 0,
        samples_hit=np.zeros(kbps.shape, dtype=bool),
        gap_s=np.zeros(1),
        size_bytes=np.full(1, np.nan),
    )
    found = {name: float(rule(seen)[0]) for name, rule in RULES.items()}
    slow = 0.5 ** (3.0 / 8.0)
    assert found == {
        "last": 4000.0,
        "mean of 5": 2500.0,
        "harmonic of 5": pytest.approx(1600.0),
        # The half-life of 8 s is the lesser: (slow x 1000 + 4000) / (slow + 1).
        "average 3 s, 8 s": pytest.approx((slow * 1000.0 + 4000.0) / (slow + 1.0)),
    }


def test_training_sees_as_much_as_a_player_shows() -> None:
    assert SAMPLES == HISTORY
    assert set(HALF_LIVES_S) == {HALF_LIFE_FAST_S, HALF_LIFE_SLOW_S}


def test_siblings_are_held_out_together() -> None:
    for fold in range(4):
        held = {
            is_held_out(trace([0, 1], [1], f"fcc-trace_10652_site_{at}"), fold, 4)
            for at in range(20)
        }
        assert len(held) == 1
    many = [trace([0, 1], [1], f"fcc-trace_{at}_site_0") for at in range(400)]
    assert 60 < sum(is_held_out(each, 0, 4) for each in many) < 140


def test_a_file_is_read_with_its_family(tmp_path: Path) -> None:
    path = tmp_path / "town.csv.gz"
    path.write_bytes(gzip.compress((HEADER + "a,0,1000\na,2.5,0\na,4,0\nb,0,7\nb,1,7\n").encode()))
    traces, digest = read_family(path)
    assert [(each.family, each.trace_id) for each in traces] == [("town", "a"), ("town", "b")]
    np.testing.assert_array_equal(traces[0].kbps, [1000.0, 0.0])
    assert len(digest) == 64
    assert [each.trace_id for each in read_files([tmp_path])[0]] == ["a", "b"]


def test_train_and_simulate_read_the_same_files(tmp_path: Path) -> None:
    """Columns in another order, a blank line, no ids, times that start later, packed otherwise."""
    rows = "throughput_kbps,t_s\n800,5\n\n0,6.5\n1600,7\n9,8\n"
    path = tmp_path / "2020.05.csv.xz"
    path.write_bytes(lzma.compress(rows.encode()))
    (trace,), _ = read_files([tmp_path])
    assert (trace.family, trace.trace_id) == ("2020.05", "2020.05")
    assert trace.times_s.tolist() == [0.0, 1.5, 2.0, 3.0]
    family = simulated_family(path)
    assert (family.name, family.trace_ids) == (trace.family, (trace.trace_id,))
    assert family.traces[0].rates_kbps == tuple(trace.kbps)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("t_s,kbps\n", 1),
        (HEADER + "a,0,1\na,1\n", 3),
        (HEADER + "a,0,fast\n", 2),
        (HEADER + "a,0,0\na,9,0\n", 2),
        (HEADER + "a,0,1\n", 2),
        (HEADER + "a,0,1\na,5,1\na,4,1\n", 4),
        (HEADER + "a,0,1\na,5,1\nb,0,1\nb,1,1\na,6,1\n", 6),
    ],
)
def test_train_and_simulate_refuse_the_same_files(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    said = []
    for read in (read_family, simulated_family):
        with pytest.raises(InputError, match=f"bad.csv,( from)? line {line}: ") as caught:
            read(path)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_too_little_to_learn_from_is_refused_and_little_is_said(tmp_path: Path) -> None:
    def traces(count: int, duration_s: int) -> list[Trace]:
        rows = "".join(f"t{one},0,300\nt{one},{duration_s},0\n" for one in range(count))
        (tmp_path / "town.csv").write_text("trace_id,t_s,throughput_kbps\n" + rows)
        return read_files([tmp_path])[0]

    with pytest.raises(InputError, match="1 trace of 30 s in all; training needs 600 s"):
        check_enough(traces(1, 30))
    assert "2 traces of 800 s in all" in check_enough(traces(2, 400))
    assert check_enough(traces(12, 60)) == ""
    assert check_enough([]) == ""


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_files([tmp_path / "none.csv"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no \.csv"):
        read_files([tmp_path / "empty"])
