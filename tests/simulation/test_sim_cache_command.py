"""`nearcast simulate cache`: what it prints, how ours compare, and what it says of bad input."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from cache.eviction import EVICTION_POLICIES
from nearcast.main import main
from simulation.replay.peers import NAMESAKES

needs_numba = pytest.mark.skipif(
    find_spec("numba") is None, reason="numba is not installed (extra sim)"
)
needs_peers = pytest.mark.skipif(
    find_spec("libcachesim") is None, reason="libcachesim is not installed (extra sim)"
)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Zipf-like requests for videos of very different sizes, with new titles coming in."""
    random = np.random.default_rng(7)
    count = 40_000
    numbers = random.zipf(1.2, count) % 6_000 + np.arange(count) // 20
    sizes = np.exp(random.normal(11, 1.5, numbers.max() + 1)).astype(int) + 1
    file = tmp_path_factory.mktemp("replay") / "day.csv"
    rows = [f"{position},{number},{sizes[number]}" for position, number in enumerate(numbers)]
    file.write_text("\n".join(["t_s,key,size_bytes", *rows]) + "\n")
    return file


def cache(day: Path, *arguments: str) -> int:
    return main(["simulate", "cache", "--requests", str(day), *arguments])


def test_every_policy_is_shown_beside_the_bound(
    day: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "figures.json"
    assert cache(day, "--engine", "plain", "--json", str(figures)) == 0
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert all(f"\n{name} " in out for name in EVICTION_POLICIES)
    assert "PFOO-L" in out
    assert "40000 requests" in out
    found = json.loads(figures.read_text())
    assert found["warmup_count"] == 8_000
    assert found["capacity_bytes"] == int(found["footprint_bytes"] * 0.05)
    for row in found["rows"]:
        assert row["engine"] == "plain"
        for key in ("object_miss_ratio", "byte_miss_ratio"):
            assert found["unlimited"][key] <= found["pfoo_lower"][key] < row[key] < 1


def test_the_same_file_gives_the_same_ratios_by_either_engine(day: Path, tmp_path: Path) -> None:
    pytest.importorskip("numba", reason="extra sim")
    ratios = []
    for engine in ("plain", "compiled"):
        figures = tmp_path / f"{engine}.json"
        assert cache(day, "--engine", engine, "--capacity", "30MB", "--json", str(figures)) == 0
        rows = json.loads(figures.read_text())["rows"]
        assert [row["engine"] for row in rows] == [engine] * len(EVICTION_POLICIES)
        ratios.append([(row["object_miss_ratio"], row["byte_miss_ratio"]) for row in rows])
    assert ratios[0] == ratios[1]


@needs_peers
@pytest.mark.parametrize("capacity", ["1%", "5%", "10%"])
def test_ours_are_within_two_percent_of_their_namesakes(
    day: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], capacity: str
) -> None:
    figures = tmp_path / "figures.json"
    assert cache(day, "--capacity", capacity, "--peers", "libcachesim", "--json", str(figures)) == 0
    assert "s3fifo (peer)" in capsys.readouterr().out
    rows = json.loads(figures.read_text())["rows"]
    ours = {row["policy"]: row for row in rows if not row["is_peer"]}
    peers = {row["policy"]: row for row in rows if row["is_peer"]}
    assert set(peers) == set(NAMESAKES) == set(ours) - {"expected"}  # that one is our own
    for name, peer in peers.items():
        for key in ("object_miss_ratio", "byte_miss_ratio"):
            assert ours[name][key] == pytest.approx(peer[key], rel=0.02), (name, key)


def test_without_the_library_a_line_says_how_to_get_it(
    day: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "libcachesim", None)
    assert cache(day, "--policies", "lru", "--peers", "libcachesim") == 0
    out = capsys.readouterr().out
    assert "libcachesim is not installed: pip install 'nearcast[sim]'" in out
    assert "(peer)" not in out


def test_admission_and_parameters_are_those_of_the_edge(day: Path, tmp_path: Path) -> None:
    def misses(*arguments: str) -> float:
        figures = tmp_path / "figures.json"
        assert cache(day, "--policies", "s3fifo", "--json", str(figures), *arguments) == 0
        ratio: float = json.loads(figures.read_text())["rows"][0]["object_miss_ratio"]
        return ratio

    plain = misses()
    assert misses("--set", "eviction_params.s3fifo.small_share=0.5") != plain
    refusing = misses("--admission", "size_limit")
    assert refusing != plain
    tiny = ("--set", "admission_params.size_limit.object_share_max=1e-9")
    assert misses("--admission", "size_limit", *tiny) == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--policies", "lru,belady"), "no eviction policy is called 'belady'"),
        (("--admission", "none"), "no admission policy is called 'none'"),
        (("--peers", "others"), "no peers are called 'others'; choose from: libcachesim"),
        (("--capacity", "much"), "'much' is not a size"),
        (("--capacity", "0%"), "leaves no room"),
        (("--warmup", "0.2"), "--warmup 0.2: write a share such as 20%"),
        (("--warmup", "100%"), "leaves nothing to count"),
        (("--set", "eviction_params.lru.size=1"), "unknown setting eviction_params.lru.size"),
        (("--json", "/no/such/folder/x.json"), "its folder does not exist"),
    ],
)
def test_a_bad_argument_is_named(
    day: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert cache(day, *arguments) == 2
    assert message in capsys.readouterr().err


@needs_numba
def test_what_is_not_compiled_says_so(day: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cache(day, "--engine", "compiled", "--admission", "worth") == 2
    assert "admission worth is not compiled" in capsys.readouterr().err


def test_a_bad_line_is_named_with_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.csv"
    file.write_text("t_s,key,size_bytes\n0,a,1\n1,b,many\n")
    assert cache(file) == 2
    assert "bad.csv, line 3: " in capsys.readouterr().err
