"""Who is in the fleet, while the records are read anew and written at the same time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from origin.drivers.control.identities import Identities
from origin.drivers.state import ControlStore
from origin.records import EdgeRecord
from tests.e2e.test_control_store import NOW_S, Place, edge


class SlowReading:
    """The store's records, as they were before `go_on`."""

    def __init__(self, store: ControlStore) -> None:
        self._edges = store.edges
        self.has_read = asyncio.Event()
        self.go_on = asyncio.Event()

    async def edges(self) -> tuple[EdgeRecord, ...]:
        records = await self._edges()
        self.has_read.set()
        await self.go_on.wait()
        return records


async def _revoked_while_read(store: ControlStore, monkey: pytest.MonkeyPatch) -> Identities:
    await store.put_edge(edge("ams1", serial="0a"))
    identities = await Identities.open(store, lambda: (), wall_s=lambda: NOW_S)
    slow = SlowReading(store)
    monkey.setattr(store, "edges", slow.edges)
    reading = asyncio.create_task(identities.refresh())
    await slow.has_read.wait()
    revoking = asyncio.create_task(identities.revoke("ams1", "ann"))
    await asyncio.wait({revoking}, timeout=0.1)  # it may be done now, or after the reading
    slow.go_on.set()
    await asyncio.gather(reading, revoking)
    return identities


def test_an_older_reading_does_not_undo_a_revocation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identities = Place("", tmp_path).run(lambda store: _revoked_while_read(store, monkeypatch))
    refused = identities.admits("ams1", "0a", NOW_S + 3600.0)
    assert refused is not None
    assert refused.error == "revoked"
