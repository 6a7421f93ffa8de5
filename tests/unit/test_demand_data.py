"""Files become demand histories, and `nearcast train demand` runs on them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from nearcast.errors import InputError
from predictor.cli import train_app
from predictor.demand import DAY, WEEK
from predictor.logs.plays import read_plays
from predictor.train.demand_countries import REPEAT, TREES, WIDESPREAD, foresee_lists
from predictor.train.demand_data import (
    COUNTRIES,
    TOP_LIST,
    kind_of_file,
    plays_history,
    read_weekly,
    top_list_history,
)
from predictor.train.demand_merge import merged

WEEKS = ("2024-01-07", "2024-01-14", "2024-01-21", "2024-01-28")
PUBLIC_LISTS = Path(__file__).parents[3] / "shared" / "watch" / "netflix_top10_global.parquet"


def top_list(path: Path, rows: list[str]) -> Path:
    head = "week,category,weekly_rank,title_id,weekly_hours_viewed,runtime\n"
    path.write_text(head + "".join(f"{row}\n" for row in rows))
    return path


def plays(path: Path, rows: list[str]) -> Path:
    head = "viewer,start_s,watched_s,runtime_s,title,series,region,release_s\n"
    path.write_text(head + "".join(f"{row}\n" for row in rows))
    return path


def test_a_list_leaves_gaps_where_it_names_nothing(tmp_path: Path) -> None:
    path = top_list(
        tmp_path / "list.csv",
        [
            f"{WEEKS[2]},TV,1,a,5,8.5",
            f"{WEEKS[0]},TV,1,a,10,8.5",
            f"{WEEKS[0]},Films,1,a,7,",
            f"{WEEKS[1]},TV,1,b,3,1",
        ],
    )
    history = top_list_history([read_weekly(path, TOP_LIST)])
    assert history.titles == ("a", "a", "b")
    assert [history.categories[each] for each in history.category] == ["TV", "Films", "TV"]
    np.testing.assert_array_equal(history.amounts[0, 0], [10.0, np.nan, 5.0])
    np.testing.assert_array_equal(history.age[0], [1, 0, 2])
    assert np.isnan(history.length_h[1]).all()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("2024-13-07,TV,1,a,5,", "line 3.*week"),
        (f"{WEEKS[0]},TV,1,a,0,", "line 3: weekly_hours_viewed"),
        (f"{WEEKS[0]},TV,1,a,much,", "line 3: weekly_hours_viewed"),
        (f"{WEEKS[0]},TV,0,a,5,", "line 3: weekly_rank"),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, row: str, said: str) -> None:
    path = top_list(tmp_path / "list.csv", [f"{WEEKS[1]},TV,1,b,3,", row])
    with pytest.raises(InputError, match=said):
        read_weekly(path, TOP_LIST)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (f"{WEEKS[0]},TV,2,a,5,", "list.csv, line 3: title 'a' of the list TV, 2024-01-07.*line 2"),
        (f"{WEEKS[0]},TV,1,b,5,", "list.csv, line 3: rank 1 of the list TV, 2024-01-07.*line 2"),
    ],
)
def test_a_list_has_a_title_and_a_rank_once(tmp_path: Path, row: str, said: str) -> None:
    path = top_list(tmp_path / "list.csv", [f"{WEEKS[0]},TV,1,a,5,", row])
    with pytest.raises(InputError, match=said):
        top_list_history([read_weekly(path, TOP_LIST)])


def test_the_same_list_in_two_files_is_refused(tmp_path: Path) -> None:
    path = top_list(tmp_path / "list.csv", [f"{WEEKS[at]},TV,1,a,5," for at in range(4)])
    rows = read_weekly(path, TOP_LIST)
    with pytest.raises(InputError, match="line 2: title 'a'"):
        top_list_history([rows, rows])
    everywhere = read_weekly(countries(tmp_path / "countries.csv", 10), COUNTRIES)
    with pytest.raises(InputError, match="list Films, C0, 2024-01-07"):
        foresee_lists([everywhere], [everywhere], seed=1)


def test_files_are_told_apart_by_their_columns(tmp_path: Path) -> None:
    log = plays(tmp_path / "log.csv", ["v,0,60,60,t,,r,"])
    assert kind_of_file(log) == "plays"
    assert kind_of_file(top_list(tmp_path / "list.csv", [])) == "top list"
    odd = tmp_path / "odd.csv"
    odd.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="no demand data"):
        kind_of_file(odd)


def test_a_log_is_counted_by_series_and_region(tmp_path: Path) -> None:
    day = 86_400
    rows = [f"v,{at * day},3600,3600,e{at},show,north," for at in range(9)]
    rows += [
        f"w,{8 * day + 80_000},1800,3600,e1,show,south,",
        f"w,{3 * day},7200,7200,film,,south,",
    ]
    log = read_plays(plays(tmp_path / "log.csv", rows))
    history = plays_history(log, DAY)
    assert history.titles == ("show", "film")
    assert history.period_count == 9
    at = history.regions.index("north")
    np.testing.assert_allclose(history.amounts[0, at], 1.0)
    np.testing.assert_allclose(history.amounts[0, 1 - at], [0.0] * 8 + [0.5])
    np.testing.assert_array_equal(history.age[1], [0, 0, 0, 1, 2, 3, 4, 5, 6])
    with pytest.raises(InputError, match="4 weeks"):
        plays_history(log, WEEK)


def test_the_part_of_the_first_day_a_title_was_out_is_known(tmp_path: Path) -> None:
    day = 86_400
    rows = [f"v,{at * day},60,60,old,,r," for at in range(6)]
    rows += [
        f"v,{5 * day + 86_000},60,60,old,,r,",
        f"v,{2 * day + 70_000},60,60,new,,r,{2.75 * day}",
    ]
    history = plays_history(read_plays(plays(tmp_path / "log.csv", rows)), DAY)
    np.testing.assert_allclose(history.first_share, [1.0, 0.25])


def test_two_logs_are_one_under_the_names_of_both(tmp_path: Path) -> None:
    first = read_plays(plays(tmp_path / "1.csv", ["v,0,60,60,a,,r,", "w,10,60,60,b,s,q,"]))
    later = read_plays(plays(tmp_path / "2.csv", ["w,100,60,60,b,s,q,", "x,110,60,60,c,,r,"]))
    both = merged(first, later)
    assert [both.titles[each] for each in both.title] == ["a", "b", "b", "c"]
    assert [both.viewers[each] for each in both.viewer] == ["v", "w", "w", "x"]
    assert [each >= 0 for each in both.series] == [False, True, True, False]
    with pytest.raises(InputError, match="after those of --data"):
        merged(later, first)


def countries(path: Path, weeks: int) -> Path:
    """Country c lists in week w what the leader listed in week w - 1: only others' lists tell."""
    lines = ["country_iso2,week,category,weekly_rank,title_id"]
    for week in range(weeks):
        ends = np.datetime64("2024-01-07") + 7 * week
        for country in range(6):
            for rank in range(10):
                title = 10 * (week - (country > 0)) + rank
                lines.append(f"C{country},{ends},Films,{rank + 1},{title + 10}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_lists_of_other_countries_tell_what_will_come(tmp_path: Path) -> None:
    rows = read_weekly(countries(tmp_path / "countries.csv", 16), COUNTRIES)
    found = foresee_lists([rows], [], seed=1)
    assert found.recall[REPEAT] == {"10": 0.0, "15": 0.0, "20": 0.0}
    # The leader's own list cannot be known before: a sixth of all entries.
    assert found.recall[TREES]["10"] == pytest.approx(5 / 6, abs=0.01)
    assert found.recall[WIDESPREAD]["20"] >= found.recall[WIDESPREAD]["15"]


def test_the_command_trains_measures_and_writes(tmp_path: Path) -> None:
    weeks = [str(np.datetime64("2024-01-07") + 7 * at) for at in range(16)]
    rng = np.random.default_rng(4)
    rows = [
        f"{week},Films,{10 * age + rank + 1},{at - age}-{rank},"
        f"{100.0 / (rank + 1) / 2**age * rng.uniform(0.9, 1.1)},2"
        for at, week in enumerate(weeks)
        for age in range(3)
        for rank in range(10)
    ]
    data, test = rows[: 12 * 30], rows[12 * 30 :]
    answer = CliRunner().invoke(
        train_app,
        [
            *("demand", "--rounds", "5"),
            *("--data", str(top_list(tmp_path / "data.csv", data))),
            *("--test", str(top_list(tmp_path / "test.csv", test))),
            *("--out", str(tmp_path / "model")),
            *("--json", str(tmp_path / "figures.json")),
        ],
    )
    assert answer.exit_code == 0, answer.output
    found = msgspec.json.decode((tmp_path / "figures.json").read_bytes())
    assert found["measured_on"] == "the test file"
    assert found["training_periods"] == 12
    assert found["baselines"]["persistence"]["wape"] == pytest.approx(1.0, abs=0.1)
    assert found["test"]["all"]["float"]["wape"] < 0.15
    assert {"model.onnx", "manifest.json", "decay.json"} == {
        file.name for file in (tmp_path / "model").iterdir()
    }


def test_lists_and_logs_are_not_mixed(tmp_path: Path) -> None:
    log = plays(tmp_path / "log.csv", ["v,0,60,60,t,,r,"])
    lists = top_list(tmp_path / "list.csv", [f"{WEEKS[0]},TV,1,a,5,"])
    answer = CliRunner().invoke(
        train_app,
        ["demand", "--data", str(log), "--data", str(lists), "--out", str(tmp_path / "model")],
    )
    assert isinstance(answer.exception, InputError)


@pytest.mark.skipif(not PUBLIC_LISTS.exists(), reason="needs the public weekly lists")
def test_the_public_lists_have_the_decay_that_was_published() -> None:
    from predictor.train.demand_table import fit_table

    history = top_list_history([read_weekly(PUBLIC_LISTS, TOP_LIST)])
    table = fit_table(history.until(104))
    # Hours a week later over this week's, by weeks in the list: 1.06, 0.46, 0.60, 0.69.
    assert [row[1] for row in table.ratios[-1][:4]] == pytest.approx(
        [1.06, 0.46, 0.6, 0.69], abs=0.07
    )
