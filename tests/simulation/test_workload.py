"""Do generated plays behave as measured ones, and is the log what it says it is?"""

from collections import OrderedDict
from pathlib import Path

import msgspec
import numpy as np
import pytest

from nearcast.main import main
from nearcast.seeds import Seeds
from predictor.logs.plays import PlaysLog, read_plays
from predictor.viewing.agreement import TOLERANCE, compare
from predictor.viewing.behaviour import Behaviour
from predictor.viewing.draw import draw_log
from predictor.viewing.fit import fit
from predictor.viewing.fitted import fitted_behaviour
from predictor.viewing.measure import measure
from predictor.viewing.shelf import PlainShelf
from predictor.viewing.statistics import ViewingStatistics, read_statistics
from simulation.workload.catalogue import CatalogueSpec
from simulation.workload.generated import generate, series_workload

MEASURED = Path(__file__).parents[3] / "shared" / "watch" / "viewing_stats.json"


@pytest.fixture(scope="module")
def drawn() -> ViewingStatistics:
    """What the command draws by default, of enough viewers and days that chance is small."""
    return measure(generate(seed=1, viewers=2200, days=180.0))


def test_every_row_of_the_measured_statistics_is_met(drawn: ViewingStatistics) -> None:
    if not MEASURED.exists():
        pytest.skip("the public viewing statistics are not here")
    rows = compare(read_statistics(MEASURED)[0], drawn)
    assert len(rows) > 140
    off = [f"{row.name}: {row.measured:.4g} -> {row.drawn:.4g}" for row in rows if not row.agrees]
    assert off == []


def test_late_returns_are_met_more_closely(drawn: ViewingStatistics) -> None:
    """A tenth of a rate near 1 is half of those who do not come: here 3 %."""
    if not MEASURED.exists():
        pytest.skip("the public viewing statistics are not here")
    measured = read_statistics(MEASURED)[0].next_within_finished
    for name in ("30min", "24h", "7d"):
        assert drawn.next_within_finished[name] == pytest.approx(measured[name], rel=0.03)


def test_viewers_do_what_the_package_says_of_them(drawn: ViewingStatistics) -> None:
    """The round figures of docs/simulate.md, which need no measured file."""
    for found, said in (
        (drawn.next_within_finished["1min"], 0.47),
        (drawn.next_within_finished["30min"], 0.70),
        (drawn.next_within_finished["24h"], 0.86),
        (drawn.next_within_finished["7d"], 0.90),
        (drawn.next_kind_any["successor"], 0.63),
        (drawn.next_kind_any["same_ep"], 0.16),
        (drawn.session_mean_plays, 2.3),
        (drawn.session_min["0.5"], 45.0),
        (drawn.intersession_h["0.5"], 10.3),
        (drawn.max_run_dist["4"], 0.17),
        (drawn.completion_hist_20bins[-1], 0.65),
    ):
        assert found == pytest.approx(said, rel=TOLERANCE)


def lru_hits(titles: list[int], capacity: int, warmup: int) -> float:
    held: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for at, title in enumerate(titles):
        if title in held:
            held.move_to_end(title)
            hits += at >= warmup
        else:
            held[title] = None
            if len(held) > capacity:
                held.popitem(last=False)
    return hits / (len(titles) - warmup)


def test_caches_fare_on_a_year_of_series_as_they_did_on_a_measured_one() -> None:
    """An LRU cache of 1, 5 and 10 % of the titles asked for; the other policies are in
    docs/simulate.md."""
    log = series_workload(1)
    assert len(log) == pytest.approx(255_000, rel=0.1)  # as measured
    titles = log.title.tolist()
    asked = len(set(titles))
    assert asked == pytest.approx(67_848, rel=0.1)  # likewise
    for share, measured in ((0.01, 0.244), (0.05, 0.396), (0.10, 0.496)):
        hits = lru_hits(titles, int(asked * share), len(titles) // 5)
        assert hits == pytest.approx(measured, abs=0.03)


SMALL = CatalogueSpec(title_count=500)


def small(**changes: object) -> PlaysLog:
    settings = {"seed": 3, "viewers": 150, "days": 10.0, "catalogue": SMALL, **changes}
    return generate(**settings)  # type: ignore[arg-type]


def test_the_seed_decides_every_play() -> None:
    one, same, other = small(), small(), small(seed=4)
    for name in ("viewer", "start_s", "title", "watched_s", "device", "region"):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
    assert len(one) != len(other) or (one.start_s != other.start_s).any()


def test_a_log_is_in_order_and_nobody_watches_two_things_at_once() -> None:
    log = small()
    assert (np.diff(log.start_s) >= 0).all()
    assert log.start_s[0] >= 0
    order = np.lexsort((log.start_s, log.viewer))
    ends_s = (log.start_s + log.watched_s)[order]
    same = np.diff(log.viewer[order]) == 0
    assert (log.start_s[order][1:] >= ends_s[:-1])[same].all()


def test_nothing_is_watched_before_the_week_of_its_release() -> None:
    log = small(catalogue=msgspec.structs.replace(SMALL, new_share=0.5), days=28.0)
    week_s = 7 * 86_400.0
    first = np.floor(log.release_s / week_s)
    # Who began a series in one week may well go on in the next; only first picks are by week.
    assert (np.floor(log.start_s / week_s) >= first).mean() > 0.99


def test_browsing_lowers_completion() -> None:
    def completed(probe_share: float) -> float:
        behaviour = msgspec.structs.replace(fitted_behaviour(), probe_share=probe_share)
        log = small(behaviour=behaviour)
        return float((log.watched_s >= 0.9 * log.runtime_s).mean())

    assert completed(0.0) > 0.55
    assert completed(0.9) < 0.25


def test_a_flash_crowd_starts_one_film_within_the_hour() -> None:
    log = small(viewers=400, crowd_count=1, days=7.0)
    hour = (log.start_s // 3600).astype(np.int64)
    pairs, counts = np.unique(np.stack([log.title, hour]), axis=1, return_counts=True)
    title = pairs[0, counts.argmax()]
    assert counts.max() >= 8
    assert log.series[log.title == title].max() == -1
    quiet = small(viewers=400, days=7.0)
    hour = (quiet.start_s // 3600).astype(np.int64)
    assert np.unique(np.stack([quiet.title, hour]), axis=1, return_counts=True)[1].max() < 8


def test_the_command_writes_plays_and_what_they_hold(tmp_path: Path) -> None:
    out, figures = tmp_path / "plays.csv.gz", tmp_path / "w.json"
    few = ("--viewers", "50", "--days", "3", "--titles", "300", "--seed", "5")
    assert main(["simulate", "workload", *few, "--out", str(out), "--json", str(figures)]) == 0
    log = read_plays(out)
    found = msgspec.json.decode(figures.read_bytes())["summary"]
    assert found["plays"] == len(log)
    assert found["titles"] == len(log.titles)


def test_the_command_prints_measured_beside_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], drawn: ViewingStatistics
) -> None:
    """Any statistics serve; here those of other drawn plays."""
    wanted = tmp_path / "stats.json"
    wanted.write_bytes(msgspec.json.encode(drawn))
    code = main(
        ["simulate", "workload", "--viewers", "300", "--days", "10", "--check", str(wanted)]
    )
    assert code == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("next within 30min, finished") for line in lines)
    assert "within 10 %" in lines[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "say what to make"),
        (["--out", "plays.txt"], "its name should end in"),
        (["--segments", "s.parquet"], "writes CSV"),
        (["--check", "missing.json"], "cannot read missing.json"),
        (["--json", "-", "--new-share", "2"], ""),
    ],
)
def test_the_command_refuses_what_makes_no_sense(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "workload", *options]) == 2
    assert message in capsys.readouterr().err


def test_a_fit_moves_viewers_towards_other_statistics() -> None:
    """A service whose viewers go on less, and in other hours: four rounds close half the gap."""
    ours = fitted_behaviour()
    theirs = msgspec.structs.replace(
        ours,
        by_completion=tuple(odds - 0.8 for odds in ours.by_completion),
        start_hour=ours.start_hour[6:] + ours.start_hour[:6],
    )
    shelf = PlainShelf(np.random.default_rng(2), series=200, films=200)

    def shown(behaviour: Behaviour, seed: int) -> ViewingStatistics:
        log = draw_log(behaviour, shelf, viewers=300, days=40.0, seeds=Seeds(seed))
        return measure(log)

    target = shown(theirs, 1)
    found = fit(ours, target, shelf, seeds=Seeds(2), rounds=4, viewers=300, days=25.0)
    before, after = shown(ours, 3), shown(found, 3)

    def distance(drawn: ViewingStatistics) -> tuple[float, float]:
        soon = drawn.next_within_finished["30min"] - target.next_within_finished["30min"]
        hours = np.subtract(drawn.starts_by_local_hour, target.starts_by_local_hour)
        return abs(soon), float(np.abs(hours).sum())

    assert distance(after)[0] < 0.5 * distance(before)[0]
    assert distance(after)[1] < 0.7 * distance(before)[1]
