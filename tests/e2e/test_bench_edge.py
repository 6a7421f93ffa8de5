"""The bench against the real edge, and the peers that are installed: short rounds, real figures."""

import json
import sys
from pathlib import Path

import pytest

from nearcast.main import main
from simulation.bench.edge import CELLS, Plan, run_bench
from simulation.bench.peers import PEERS, binary

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: epoll and /proc")


def plan(*cells: str, peers: tuple[str, ...] = ()) -> Plan:
    return Plan(cells=cells, peers=peers, round_count=1, round_s=0.05)


def test_hits_are_measured_beside_the_peers_that_are_installed() -> None:
    installed = tuple(peer for peer in PEERS if binary(peer) is not None)
    outcome = run_bench(plan("hits", peers=installed), lambda note: None)
    assert {"edge", *installed} <= {row.server for row in outcome.servers}
    assert all(row.requests_per_s > 0 for row in outcome.servers)
    assert all((row.cpu_us_per_request or 0) > 0 for row in outcome.servers)
    assert len(outcome.goals) == (4 if "nginx" in installed else 0)


def test_equal_misses_and_connections_need_no_peer() -> None:
    outcome = run_bench(plan("collapse", "connections"), lambda note: None)
    found = {(goal.work, goal.measure): goal.value for goal in outcome.goals}
    fetches = found["1000 equal misses", "upstream fetches"]
    assert fetches is not None
    assert fetches.median == 1.0
    assert all(value is not None and value.median >= 0 for value in found.values())


def test_a_peer_that_is_missing_is_named_and_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("simulation.bench.edge.binary", lambda peer: None)
    file = tmp_path / "edge.json"
    command = ["bench", "edge", "--cells", "tls", "--peers", "nginx", "--quick", "--json"]
    assert main([*command, str(file)]) == 0
    assert "nginx is not installed and left out (apt-get" in capsys.readouterr().err
    assert json.loads(file.read_text())["goals"] == []


def test_the_cells_are_those_of_the_goals() -> None:
    wanted = "hits variants tls misses collapse connections mixed cold"
    assert list(CELLS) == wanted.split()
