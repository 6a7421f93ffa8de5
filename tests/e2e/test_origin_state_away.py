"""An origin whose PostgreSQL goes away serves on, and has lost nothing when it is back."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec

from nearcast.fleet import Heartbeat
from origin.drivers.state import ControlStore
from origin.records import HeartbeatRecord
from tests.fleet_world import ControlOrigin, ask, empty_library
from tests.servers import PostgresServer


def test_while_the_database_is_away_the_origin_serves_and_then_catches_up(
    postgres_server: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    library = empty_library(tmp_path / "library")
    # The server asks for none, but clients send it.
    url = postgres_url.replace("//nearcast@", "//nearcast:hunter2@")
    environ = {"NEARCAST_ORIGIN__CONTROL__DATABASE": url}

    async def stored() -> HeartbeatRecord | None:
        store = await ControlStore.open(postgres_url, tmp_path)
        try:
            _, records = await store.heartbeats_since(0)
            return records[0] if records else None
        finally:
            await store.close()

    def last_stored_no() -> int:
        record = asyncio.run(stored())
        return 0 if record is None else record.sequence_no

    with ControlOrigin(library, env=environ) as origin:
        edge = origin.enrol("ams1")
        assert edge.beat().status == 200
        origin.wait_for(lambda: last_stored_no() == 1, "the first heartbeat in the database")

        postgres_server.stop()
        try:
            assert ask(origin.url, "GET", "/v1/catalog", None, {}).status == 200
            began_s = time.monotonic()
            for _ in range(5):
                assert edge.beat().status == 200
                assert ask(origin.url, "GET", "/v1/steering/film", None, {}).status in (200, 404)
            assert time.monotonic() - began_s < 5
            reply = origin.ask("POST", "/v1/admin/enrolments", {"edge": "ber1"})
            assert reply.status == 503
            assert "hunter2" not in reply.body.decode()
        finally:
            postgres_server.start()
        origin.wait_for(lambda: last_stored_no() == 6, "the heartbeats of meanwhile")
        record = asyncio.run(stored())
        assert record is not None
        assert msgspec.json.decode(record.body, type=Heartbeat).boot_id == edge.boot_id
        assert origin.enrol("ber1").beat().status == 200
        assert origin.stop() == 0
        assert "hunter2" not in "".join(origin.lines)

    with ControlOrigin(library, env=environ) as origin:  # a new process, the same fleet
        edge.fleet_url = origin.fleet_url
        edge.use(edge.certificate_pem)
        assert edge.beat().status == 200
        assert {row["edge"] for row in origin.api("GET", "/edges")["edges"]} == {"ams1", "ber1"}
        edge.close()
