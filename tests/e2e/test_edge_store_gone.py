"""A store whose folder goes away under the node: what is written lands nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge.drivers.store.health import StoreHealth

if TYPE_CHECKING:
    from tests.e2e.conftest import FaultyOrigin, StartEdge

COUNT = 8


def test_store_that_takes_and_gives_nothing_back_is_failing_and_recovers(
    origin: FaultyOrigin, start_edge: StartEdge, tmp_path: Path
) -> None:
    store, gone = tmp_path / "store", tmp_path / "gone"
    for number in range(2 * COUNT):
        origin.serve(f"/gone/{number}", b"x" * 5000)
    origin.serve("/gone/open", b"opens a file to write to")
    settings = ("--store", str(store), "--set", "memory_bytes=0")
    with start_edge(origin.url, *settings) as edge:
        for number in range(COUNT):
            edge.get(f"/gone/{number}")
    # Started again, so that no file is open.
    with start_edge(origin.url, *settings, "--set", "storage.scrub_kbps=0") as edge:
        edge.get("/gone/open")
        edge.wait_status(lambda status: status["store_queued_bytes"] == 0)
        store.rename(gone)  # what is written goes to the file that is open
        for number in range(COUNT):
            answer = edge.get(f"/gone/{number}")
            assert (answer.status, answer.body) == (200, b"x" * 5000)
        status = edge.wait_status(lambda status: status["store_state"] == "failing")
        assert "No such file" in status["store_failure_last"]
        assert edge.log().count("store.unreadable") == 1
        assert edge.log().count("object.lost") == 1
        gone.rename(store)

        def is_well(status: dict[str, object]) -> bool:
            for number in range(2 * COUNT):
                edge.get(f"/gone/{number}")
            return status["store_state"] == "ok"

        edge.wait_status(is_well)
        assert edge.log().count("store.recovered") == 1


def state_of(health: StoreHealth) -> str:
    return health.state


def test_single_files_that_are_gone_are_no_failing_store() -> None:
    health = StoreHealth(lambda: 0.0)
    for _ in range(5):
        health.unreadable("gone")
        health.unreadable("gone")
        assert state_of(health) == "ok"
        health.readable()
    health.unreadable("gone")
    health.unreadable("gone")
    health.worked()  # that it takes something says nothing about what it gives
    health.unreadable("gone")
    assert state_of(health) == "failing"
    health.worked()
    assert state_of(health) == "failing"
    health.readable()
    assert state_of(health) == "ok"
