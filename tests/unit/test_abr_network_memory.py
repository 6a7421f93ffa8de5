"""What is remembered of networks between runs: the file, and what a later start makes of it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from abr.assemble import network_memory
from abr.config import NetworkMemoryConfig, PlayerConfig
from abr.drivers.network_memory import NetworkMemory, default_file
from nearcast.clock import VirtualClock
from nearcast.main import main
from predictor.bandwidth.memory import Store, encode
from tests.abr_world import BASE, World, presentation, viewer

URL = "http://127.0.0.1:1/a.mpd"
HOME = "wifi/at-home"


def memory(file: Path, network: str = HOME) -> NetworkMemory:
    return NetworkMemory(file, network, VirtualClock())


def played(file: Path, rate_kbps: float, network: str = HOME) -> int:
    """A session with this memory; the rung that it began with."""
    known = memory(file, network)
    title = presentation((300.0, 1000.0, 4000.0), count=6)
    config = PlayerConfig(controller="nearcast")
    world = World(viewer(config=config, prior=known.prior()), title, rate_kbps=rate_kbps)
    world.run()
    known.learn(world.core.missed_kbps())
    first = next(each.url for _, each in world.sent if each.kind == "segment")
    return int(first.removeprefix(f"{BASE}/v")[0])


def test_second_session_begins_higher_on_a_fast_network_alone(tmp_path: Path) -> None:
    fast, slow = tmp_path / "fast.json", tmp_path / "slow.json"
    assert [played(fast, 40_000.0) for _ in range(2)] == [0, 2]
    assert [played(slow, 500.0) for _ in range(2)] == [0, 0]
    # It is known by its name: elsewhere nothing is.
    assert played(fast, 40_000.0, "hotel") == 0


def test_file_is_the_users_own_and_has_no_names(tmp_path: Path) -> None:
    file = tmp_path / "state" / "nearcast" / "networks.json"
    memory(file).learn([2000.0, 3000.0])
    assert b"home" not in file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]
    before = file.read_bytes()
    memory(file, "train").learn([900.0])
    assert memory(file).prior() is not None
    assert file.read_bytes() != before


def test_nothing_is_written_where_nothing_was_measured(tmp_path: Path) -> None:
    file = tmp_path / "networks.json"
    assert memory(file).prior() is None
    memory(file).learn([])
    assert not file.exists()


def test_consent_is_what_makes_a_memory(tmp_path: Path) -> None:
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    assert network_memory(NetworkMemoryConfig(), HOME, environ) is None
    assert network_memory(NetworkMemoryConfig(is_on=True), None, environ) is None
    kept = network_memory(NetworkMemoryConfig(is_on=True), HOME, environ)
    assert kept is not None
    kept.learn([1000.0])
    assert (tmp_path / "nearcast" / "networks.json").is_file()


def test_relative_state_folder_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/v")
    expected = Path("/home/v/.local/state/nearcast/networks.json")
    assert default_file({"XDG_STATE_HOME": "state"}) == default_file({}) == expected


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b'{"salt": 1}', b"[" * 50_000, b'{"salt": "s"}' + b" " * 200_000]
)
def test_damaged_file_is_kept_aside_and_begun_anew(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "networks.json"
    file.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert memory(file).prior() is None
    assert (tmp_path / "networks.json.damaged").read_bytes() == content
    assert str(file) in caplog.text
    memory(file).learn([1000.0])
    assert memory(file).prior() is not None


def test_file_that_cannot_be_read_or_written_costs_the_memory_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "networks.json"
    folder.mkdir()
    assert memory(folder).prior() is None
    memory(folder).learn([1000.0])
    beneath = tmp_path / "file"
    beneath.write_bytes(b"")
    memory(beneath / "networks.json").learn([1000.0])
    assert "network_memory.not_read" in caplog.text
    assert folder.is_dir()
    assert beneath.read_bytes() == b""


def test_file_that_forbids_it_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "networks.json"
    content = encode(Store(salt="s", is_allowed=False))
    file.write_bytes(content)
    memory(file).learn([1000.0])
    assert memory(file).prior() is None
    assert file.read_bytes() == content


def test_network_without_consent_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", URL, "--network", "home"]) == 2
    assert "network_memory.is_on=true" in capsys.readouterr().err
