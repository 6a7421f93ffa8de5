"""`nearcast simulate run`: what it prints, and what it says of bad input."""

import json
from pathlib import Path

import pytest

from edge.fills import Fills
from nearcast.main import main

TINY = """
[catalog]
film_count = 1
film_s = 6
segment_s = 2
rungs_kbps = [300]
[[edges]]
name = "one"
backhaul = { rate_kbps = 12000 }
settings = { "prefetch.enabled" = false }
[[edges]]
name = "two"
backhaul = { rate_kbps = 2000 }
settings = { "prefetch.enabled" = false }
[[edges]]
name = "three"
backhaul = { rate_kbps = 1000 }
settings = { "prefetch.enabled" = false }
[[edges]]
name = "four"
backhaul = { rate_kbps = 1000 }
settings = { "prefetch.enabled" = false }
[[viewers]]
id = "v"
titles = ["film1"]
last_mile = { rate_kbps = 9000, delay_ms = 3 }
"""


def test_figures_are_shown_side_by_side_within_80_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario, figures = tmp_path / "s.toml", tmp_path / "f.json"
    scenario.write_text(TINY)
    assert main(["simulate", "run", str(scenario), "--seed", "5", "--json", str(figures)]) == 0
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert all(name in out for name in ("one", "two", "three", "four", "digest", "to 1"))
    written = json.loads(figures.read_text())
    assert written["seed"] == 5
    assert written["digest"][:32] in out
    assert written["edges"]["four"]["sessions"] == 1
    startups = [written["edges"][name]["startup_p50_s"] for name in ("one", "two", "three")]
    assert startups == sorted(startups)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("rate_kbps = 12000", "rate_kbps = -1"), "above zero"),
        (('"prefetch.enabled" = false', '"prefetch.enable" = false'), "prefetch.enable"),
        (("[catalog]", "[catalogue]"), "catalogue"),
        (("[[viewers]]", '[[faults]]\nkind = "kill"\nat_s = 1\nedge = "x"\n[[viewers]]'), "'x'"),
        (("[[viewers]]", '[[faults]]\nkind = "rats"\nat_s = 1\n[[viewers]]'), "rats"),
        (("last_mile = { rate_kbps = 9000", 'last_mile = { trace = "gone.csv"'), "gone.csv"),
        (('titles = ["film1"]', 'titles = ["film2"]'), "film2"),
    ],
)
def test_bad_scenario_ends_with_status_2_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], reason: str
) -> None:
    scenario = tmp_path / "s.toml"
    scenario.write_text(TINY.replace(*change))
    assert main(["simulate", "run", str(scenario)]) == 2
    err = capsys.readouterr().err
    assert reason in err
    assert "Traceback" not in err


def test_checked_run_ends_with_status_1_at_the_first_broken_invariant(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["simulate", "run", "faults", "--seed", "3", "--check"]) == 0
    monkeypatch.setattr(Fills, "join", lambda *arguments: False)
    assert main(["simulate", "run", "faults", "--seed", "3", "--check"]) == 1
    assert "times at once (seed 3, " in capsys.readouterr().err
