"""What is said of simulated sessions: figures, intervals, rows and tables."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import msgspec
import numpy as np
import pytest

from abr.view import Floats
from nearcast.errors import ConfigError, InputError
from nearcast.seeds import Seeds
from nearcast.trace import Trace
from nearcast.trace_files import family_name
from simulation.sessions.bootstrap import mean_interval
from simulation.sessions.bound_rows import bound_played, read_bound
from simulation.sessions.cli import spread
from simulation.sessions.engine import Outcome
from simulation.sessions.families import begun_at, read_family, shipped_families
from simulation.sessions.figures import SessionFigures, join, measure
from simulation.sessions.generated import generated_title
from simulation.sessions.options import Options, read_choices, read_plan
from simulation.sessions.report import lines
from simulation.sessions.rows import BOUND, Played, Row, make_rows
from simulation.sessions.session_rows import session_csv
from simulation.sessions.title import SessionTitle

TITLE = SessionTitle(np.array([1000.0, 3000.0]), 4.0, np.full((3, 2), 4e6))


def outcome(rungs: list[list[int]], stalled_s: list[list[float]]) -> Outcome:
    shape = np.array(rungs).shape
    return Outcome(
        rungs=np.array(rungs),
        asked_s=np.zeros(shape),
        here_s=np.full(shape, 0.5),
        buffer_s=np.zeros(shape),
        stalled_s=np.array(stalled_s),
        abandoned=np.full(shape, 1),
        wasted_bits=np.full(shape, 2e6),
        kbps=np.ones(shape),
        ttfb_s=np.zeros(shape),
    )


def figures(qoe: list[float], stalled_s: float = 0.0) -> SessionFigures:
    values = np.array(qoe)
    zeros = np.zeros(values.size)
    return SessionFigures(
        segment_count=10,
        played_s=40.0,
        bitrate_kbps=values * 1000.0,
        stalled_s=zeros + stalled_s,
        stalls=zeros.astype(np.int64),
        startup_s=np.arange(values.size) / 10.0,
        switches=zeros.astype(np.int64) + 2,
        sum_abs_change_mbps=zeros,
        qoe_linear=values,
        qoe_from_second=values,
        abandoned=zeros.astype(np.int64),
        wasted_bits=zeros + 8e6,
    )


def played(family: str, controller: str, qoe: list[float], stalled_s: float = 0.0) -> Played:
    ids = tuple(f"{family}-{index}" for index in range(len(qoe)))
    return Played(
        family=family,
        controller=controller,
        trace_ids=ids,
        figures=figures(qoe, stalled_s),
        stall_penalty=4.0,
        wall_s=0.5,
    )


def test_figures_of_a_session_reckoned_by_hand() -> None:
    # Rates 1, 3, 1 Mbit/s; two changes of 2; 1.5 s stalled, of which one stall is too short to see.
    found = measure(
        outcome([[0, 1, 0]], [[0.0, 1.4995, 0.0005]]), TITLE, stall_penalty=4.0, switch_penalty=0.5
    )
    assert found.bitrate_kbps[0] == pytest.approx(5000 / 3)
    assert found.sum_abs_change_mbps[0] == pytest.approx(4)
    assert found.qoe_linear[0] == pytest.approx((5 - 4 * 1.5 - 0.5 * 4) / 3)
    assert found.qoe_from_second[0] == pytest.approx((4 - 4 * 1.5 - 0.5 * 4) / 2)
    assert found.stalled_s[0] == pytest.approx(1.5)
    assert (found.stalls[0], found.switches[0], found.abandoned[0]) == (1, 2, 3)
    assert found.startup_s[0] == 0.5
    assert found.wasted_bits[0] == 6e6
    assert found.played_s == 12.0


def test_batches_join_in_order() -> None:
    joined = join([figures([1.0, 2.0]), figures([3.0])])
    assert joined.qoe_linear.tolist() == [1, 2, 3]
    assert joined.session_count == 3


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    draw = Seeds(3).stream("test")
    covered = 0
    for _ in range(100):
        found = mean_interval([draw.normal(1.0, 2.0, 40)], draw, resamples=300)
        assert found.low is not None
        assert found.high is not None
        assert found.low < found.mean < found.high
        covered += found.low <= 1.0 <= found.high
    assert 88 <= covered <= 99  # 95 % of 100, a little less for the percentile method


def test_small_families_weigh_as_much_as_large_ones() -> None:
    draw = Seeds(3).stream("test")
    groups: list[Floats] = [np.zeros(1000), np.full(10, 2.0)]
    found = mean_interval(groups, draw, resamples=400)
    assert (found.mean, found.low, found.high) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("counts", [(1,), (4,), (4, 100)])
def test_few_sessions_have_no_interval(counts: tuple[int, ...]) -> None:
    groups: list[Floats] = [np.linspace(1.0, 3.0, count) + (count == 1) for count in counts]
    found = mean_interval(groups, Seeds(3).stream("test"))
    assert found.mean == pytest.approx(2.0)
    assert (found.low, found.high) == (None, None)
    assert mean_interval([np.arange(5.0)], Seeds(3).stream("test")).low is not None


def test_intervals_do_not_depend_on_the_order_of_what_is_given() -> None:
    draw = Seeds(5).stream("test")
    given = [
        played(family, name, draw.normal(2.0, 1.0, 7).tolist())
        for family in ("a", "b")
        for name in ("one", "two")
    ]
    rows = rows_of(*given)
    turned = rows_of(*given[::-1])
    for key, row in rows.items():
        again = turned[key]
        assert (row.difference_low, row.difference_high) == pytest.approx(
            (again.difference_low, again.difference_high)
        )
    one, two = rows["a", "one"], rows["a", "two"]
    assert one.difference_low is not None
    assert two.difference_high is not None
    assert one.difference_low == pytest.approx(-two.difference_high)
    order = [3, 1, 6, 0, 2, 5, 4]
    mixed = [
        msgspec.structs.replace(
            each,
            trace_ids=tuple(each.trace_ids[index] for index in order),
            figures=figures(each.figures.qoe_linear[order].tolist()),
        )
        for each in given
    ]
    assert rows_of(*mixed)["all", "one"].difference_low == pytest.approx(
        rows["all", "one"].difference_low
    )


def test_absurd_numbers_stay_in_their_columns() -> None:
    given = [played("a", name, [sign * 3e299] * 6) for name, sign in (("one", -1), ("two", 1))]
    text = list(lines(make_rows(given, seed=1)))
    assert max(map(len, text)) <= 80
    assert text[2].split() == ["one", "-3e299", "-", "-3e302", "0.00", "0.25", "2.0", "-6e299"]


def test_few_sessions_show_no_interval() -> None:
    given = [played("a", "one", [1.0, 2.0]), played("a", "two", [2.0, 2.0])]
    text = list(lines(make_rows(given, seed=1)))
    assert text[2].endswith(" -0.50")
    assert not any("intervals" in line for line in text)


def rows_of(*given: Played) -> dict[tuple[str, str], Row]:
    return {(row.family, row.controller): row for row in make_rows(given, seed=1)}


def test_each_is_compared_with_the_best_of_the_others() -> None:
    rows = rows_of(
        played("a", "low", [1.0, 2.0, 3.0] * 2),
        played("a", "high", [3.0, 3.0, 6.0] * 2),
        played("a", "middle", [2.0, 2.0, 4.0] * 2),
    )
    low, high, middle = (rows["a", name] for name in ("low", "high", "middle"))
    assert (low.against, high.against, middle.against) == ("high", "middle", "high")
    assert low.difference == pytest.approx(-2)
    assert high.difference == pytest.approx(4 / 3)
    assert high.difference_low is not None
    assert high.difference_high is not None
    assert 1 <= high.difference_low < 4 / 3 < high.difference_high <= 2
    assert (low.of_bound, low.stalled_excess_s) == (None, None)


def test_the_bound_is_a_measure_and_no_rival() -> None:
    rows = rows_of(
        played("a", "one", [1.0, 2.0], stalled_s=3.0),
        played("a", "two", [0.5, 0.5], stalled_s=1.0),
        played("a", BOUND, [2.0, 2.0], stalled_s=0.5),
    )
    one, two, bound = (rows["a", name] for name in ("one", "two", BOUND))
    assert (one.against, two.against, bound.against) == ("two", "one", "one")
    assert one.of_bound == pytest.approx(0.75)
    assert one.stalled_excess_s == pytest.approx(2.5)
    # The bound's 0.5 s cost 4 x 0.5 / 10 a segment, in both.
    assert one.of_bound_avoidable == pytest.approx(1.7 / 2.2)
    assert one.rebuffer_ratio == pytest.approx(6 / 86)


def test_a_bound_below_zero_is_no_measure_but_for_its_stalls() -> None:
    rows = rows_of(
        played("a", "one", [-2.0, -2.0], stalled_s=9.0),
        played("a", BOUND, [-1.0, -1.0], stalled_s=5.0),
        played("b", "one", [1.0, 1.0]),
        played("b", BOUND, [2.0, 2.0]),
    )
    assert rows["a", "one"].of_bound is None
    assert rows["a", "one"].of_bound_avoidable == pytest.approx(0.0)
    assert rows["all", "one"].of_bound == pytest.approx(0.5)
    assert rows["all", "one"].of_bound_avoidable == pytest.approx(0.25)


def test_all_families_together_are_the_mean_of_their_rows() -> None:
    rows = rows_of(
        played("a", "one", [1.0, 1.0, 1.0, 1.0]),
        played("a", "two", [0.0, 0.0, 0.0, 0.0]),
        played("b", "one", [5.0]),
        played("b", "two", [9.0]),
    )
    one = rows["all", "one"]
    assert (one.qoe_linear, one.sessions, one.against) == (3.0, 5, "two")
    assert one.difference == pytest.approx((1 - 4) / 2)
    assert one.sessions_per_s == pytest.approx(5)
    assert one.startup_p50_s == pytest.approx((0.15 + 0.0) / 2)
    assert one.wasted_mbytes == pytest.approx(1)


def test_the_table_fits_a_terminal() -> None:
    given = [
        played(family, name, [qoe, qoe * 1.2, qoe * 0.7] * 2)
        for family in ("a", "b")
        for name, qoe in (
            ("one", -123.456),
            ("nearcast:stall_penalty=160:horizon=5", 131.2),
            (BOUND, 141.0),
        )
    ]
    text = list(lines(make_rows(given, seed=1)))
    assert max(map(len, text)) <= 80
    assert "nearcast:stall_penalty=160:horizon=5" in text
    assert text[0] == "a: 6 sessions"
    assert any("all: the mean of the families" in line for line in text)


def test_session_rows_come_back_as_the_bound(tmp_path: Path) -> None:
    file = tmp_path / "sessions.csv.gz"
    bound = played("a", BOUND, [2.0, 3.0], stalled_s=0.25)
    file.write_bytes(session_csv([played("a", "one", [1.0, 1.0]), bound], file))
    table = list(csv.DictReader(io.StringIO(gzip.decompress(file.read_bytes()).decode())))
    assert [row["trace_id"] for row in table] == ["a-0", "a-1"] * 2
    assert table[3]["qoe_linear"] == "3.0"
    mine = played("a", "other", [0.0, 0.0])
    (again,) = bound_played(file, read_bound(file), [mine])
    assert again.controller == BOUND
    for name in ("qoe_linear", "stalled_s", "startup_s", "switches"):
        assert getattr(again.figures, name).tolist() == getattr(bound.figures, name).tolist()


def test_a_bound_of_other_sessions_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "sessions.csv"
    file.write_bytes(session_csv([played("a", BOUND, [2.0, 3.0])], file))
    found = read_bound(file)
    with pytest.raises(InputError, match="no row of clairvoyant for b, b-0"):
        bound_played(file, found, [played("b", "one", [1.0])])
    later = played("a", "one", [1.0, 1.0])
    later.figures.startup_s[1] += 0.5
    with pytest.raises(InputError, match=r"sessions.csv, line 3: played with another title"):
        bound_played(file, found, [later])
    file.write_text(file.read_text().replace("2.0,", "x,", 1))
    with pytest.raises(InputError, match=r"line 2: qoe_linear must be a number, got 'x'"):
        read_bound(file)
    file.write_bytes(session_csv([played("a", "one", [2.0])], file))
    with pytest.raises(InputError, match="no row of clairvoyant"):
        read_bound(file)


def test_values_after_an_option_are_its_values() -> None:
    given = ["--traces", "a", "b", "--title=x", "y", "--seed", "3", "--traces", "c", "-", "--json"]
    assert spread(given) == [
        *("--traces", "a", "--traces", "b", "--title=x", "--title", "y", "--seed", "3"),
        *("--traces", "c", "--traces", "-", "--json"),
    ]


def test_a_trace_begun_later_is_the_same_link() -> None:
    trace = Trace([0.0, 10.0, 30.0, 60.0], [100.0, 0.0, 300.0])
    for start_s in (0.0, 4.0, 10.0, 59.5):
        later = begun_at(trace, start_s)
        assert later.period_s == pytest.approx(60.0)
        for since_s in (0.5, 7.0, 31.0, 59.0, 130.0):
            expected = trace.sent_bytes(start_s, start_s + since_s)
            assert later.sent_bytes(0.0, since_s) == pytest.approx(expected)


def test_families_are_named_after_their_files(tmp_path: Path) -> None:
    file = tmp_path / "tram.csv.gz"
    rows = "trace_id,t_s,throughput_kbps\none,0,800\none,9,0\ntwo,0,80\ntwo,9,0\n"
    file.write_bytes(gzip.compress(rows.encode()))
    assert family_name(file) == "tram"
    assert read_family(file).trace_ids == ("one", "two")
    assert read_family(file, 1).trace_ids == ("one",)
    bad = tmp_path / "mixed.csv"
    bad.write_text(rows + "one,0,8\none,9,0\n")
    with pytest.raises(InputError, match="'one' must follow each other"):
        read_family(bad)


def test_shipped_families_begin_at_different_times() -> None:
    family = shipped_families(3)[0]
    assert len(family.traces) == 3
    assert len({trace.rates_kbps[:5] for trace in family.traces}) == 3


def test_a_generated_title_keeps_its_rates_and_its_seed() -> None:
    title = generated_title(Seeds(1).stream("title"))
    mean_kbps = title.sizes_bits.mean(axis=0) / title.segment_s / 1000.0
    assert mean_kbps == pytest.approx(title.ladder_kbps, rel=1e-3)
    same = generated_title(Seeds(1).stream("title"))
    other = generated_title(Seeds(2).stream("title"))
    assert (title.sizes_bits == same.sizes_bits).all()
    assert (title.sizes_bits != other.sizes_bits).any()
    spread_of = (title.sizes_bits / title.sizes_bits.mean(axis=0)).std()
    assert 0.1 < spread_of < 0.4


def test_controllers_are_told_what_a_stall_costs() -> None:
    options = Options(
        controllers="robust_mpc, robust_mpc:stall_penalty=7 ,bola",
        settings=("controllers.bola.gamma_p=4",),
        stall_penalty=9.0,
    )
    told, own, bola = read_choices(options)
    assert told.settings.robust_mpc.stall_penalty == 9.0  # type: ignore[attr-defined]
    assert own.settings.robust_mpc.stall_penalty == 7.0  # type: ignore[attr-defined]
    assert own.label == "robust_mpc:stall_penalty=7"
    assert bola.settings.bola.gamma_p == 4.0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"controllers": "x"}, "no controller is called 'x'"),
        ({"controllers": ","}, "--controllers: say which"),
        ({"controllers": ""}, "--controllers: say which"),
        ({"controllers": "bola, bola"}, "bola is named twice"),
        ({"edge_told": True}, "--edge-told does nothing without --edge-hit-ratio"),
        ({"edge_speedup": 3.0}, "--edge-speedup does nothing without --edge-hit-ratio"),
        ({"backhaul_ms": 3.0, "edge_hit_ratio": 0.3}, "--backhaul-ms .* --transport tcp"),
        ({"controllers": "bola:nix=1"}, r"unknown setting controllers\.bola\.nix"),
        ({"settings": ("buffer_s_max=3",)}, "unknown setting buffer_s_max"),
        ({"first_rung": "-1"}, "--first-rung -1"),
        ({"first_rung": "9"}, "rungs 0 to 8"),
        ({"latencies_ms": (1.0, 2.0)}, "--latency-ms: give one for all 5"),
        ({"latencies_ms": (-1.0,)}, "--latency-ms must be 0 or more"),
        ({"stall_penalty": float("nan")}, "--stall-penalty must be finite"),
        ({"controllers": BOUND, "edge_hit_ratio": 0.3}, "without an edge's store"),
        ({"controllers": BOUND, "first_rung": "auto"}, "starts at a rung that is given"),
    ],
)
def test_what_does_not_go_together_is_said(change: dict[str, object], message: str) -> None:
    given = {"controllers": "bola", "traces_limit": 1, **change}
    with pytest.raises(ConfigError, match=message):
        read_plan(Options(**given))  # type: ignore[arg-type]
