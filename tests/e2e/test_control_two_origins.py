"""Two origin processes on one PostgreSQL, one of them killed; and a database that goes away."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

from nearcast import fleet
from nearcast.plan_signing import read_plan
from tests.fleet_world import ControlOrigin, SaidEdge, empty_library, shown_bytes
from tests.servers import PostgresServer


def viewings(count: int, wall_s: float) -> bytes:
    """As many lines, each of one viewing of `film`."""
    event = {"e": "demand", "wall_s": wall_s, "title": "film", "rendition": "high",
             "client_bytes": 1000, "session_count": 1}  # fmt: skip
    return b"".join(json.dumps(event).encode() + b"\n" for _ in range(count))


def ship(edge: SaidEdge, offset: int, body: bytes) -> int:
    path = f"{fleet.TELEMETRY_PATH}?boot={edge.boot_id}&segment=1&offset={offset}"
    reply = edge.post(path, body)
    assert reply.status == 200, reply.body
    return int(reply.json["offset_bytes"])


def plan_of(edge: SaidEdge) -> str:
    """The id of the plan that it is given, signed for it."""
    reply = edge.request("GET", fleet.PLAN_PATH)
    assert reply.status == 200, reply.body
    name, keys = edge.name, edge.answer.plan_keys
    return read_plan(reply.body, keys, edge=name, now_wall_s=time.time()).plan_id


def test_one_of_two_is_killed_and_all_goes_on(
    postgres_url: str, title_library: Path, tmp_path: Path
) -> None:
    settings = (f"control.database={postgres_url}",)
    with (
        ControlOrigin(shutil.copytree(title_library, tmp_path / "one"), *settings) as one,
        ControlOrigin(shutil.copytree(title_library, tmp_path / "two"), *settings) as two,
    ):
        edge = one.enrol("ams-1", url="http://127.0.0.1:9")
        assert edge.beat().status == 200
        told = viewings(2, time.time())
        assert ship(edge, 0, told) == len(told)
        # The other knows the edge, its certificate and its heartbeats.
        two.wait_for(lambda: any(row["edge"] == "ams-1" for row in two.rows()), "the record")
        two.wait_for(lambda: two.edge("ams-1")["heartbeat_age_s"] is not None, "the heartbeat")
        two.adopt(edge)
        reply = edge.beat()
        assert reply.status == 200, reply.body
        two.wait_for(lambda: set(edge.beat().json["origins"]) == {one.fleet_url, two.fleet_url})
        # What was replayed to one is replayed to the other.
        two.wait_for(lambda: two.edge("ams-1")["state"] == "alive", "alive")
        first = one.api("POST", "/plans")["plan_id"]
        assert one.api("POST", f"/plans/{first}/apply")["state"] == "applied"
        one.kill()
        # The plan that the other made goes on, and the next is made here.
        two.wait_for(lambda: edge.beat().json["plan_id"] == first, "the plan in force")
        assert plan_of(edge) == first
        second = two.api("POST", "/plans")["plan_id"]
        assert two.api("POST", f"/plans/{second}/apply")["state"] == "applied"
        two.wait_for(lambda: edge.beat().json["plan_id"] == second, "the next plan")
        assert plan_of(edge) == second != first
        # A piece whose answer was lost counts once.
        assert ship(edge, 0, told) == len(told)
        more = viewings(1, time.time())
        assert ship(edge, len(told), more) == len(told) + len(more)
        (film,) = two.api("GET", "/titles?query=film")["titles"]
        assert film["session_count"] == 3
        assert two.api("POST", "/edges/ams-1/duty", {"duty": "draining"})["duty"] == "draining"
        assert edge.beat().json["duty"] == "draining"
        answer = two.content("/v1/steering/film")
        assert answer.json["PATHWAY-PRIORITY"] == ["home"], "a drained edge gets nobody"
        two.api("POST", "/edges/ams-1/duty", {"duty": "active"})
        answer = two.content("/v1/steering/film")
        assert answer.json["PATHWAY-PRIORITY"] == ["ams-1", "home"]


def test_a_restarted_origin_knows_its_fleet(tmp_path: Path) -> None:
    library = empty_library(tmp_path / "library")
    with ControlOrigin(library) as first:
        edge = first.enrol("ams-1", url="http://127.0.0.1:9")
        for client_bytes in (0, 7_000_000):
            assert edge.beat(traffic={"client_bytes": client_bytes}).status == 200
        first.wait_for(lambda: first.edge("ams-1")["state"] == "alive")
        fingerprint = edge.answer.authority_pem
        assert first.stop() == 0
    with ControlOrigin(library) as second:
        row = second.edge("ams-1")
        assert row["state"] in ("alive", "unknown")
        assert row["used_bytes"] == 10**11
        second.wait_for(lambda: shown_bytes(second, "/edges/ams-1") == 7_000_000)
        second.adopt(edge)
        reply = edge.beat(sequence_no=edge.sequence_no)
        assert reply.error == "replayed", "what was heard before the restart is not heard anew"
        assert edge.beat(traffic={"client_bytes": 9_000_000}).status == 200
        second.wait_for(lambda: shown_bytes(second, "/fleet") == 9_000_000)
        authority = edge.request("GET", "/v1/fleet/authority").body.decode()
        assert authority == fingerprint


def test_while_the_database_is_away_edges_and_players_are_answered(
    postgres_url: str, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    library = empty_library(tmp_path / "library")
    with ControlOrigin(library, f"control.database={postgres_url}") as origin:
        edge = origin.enrol("ams-1", url="http://127.0.0.1:9")
        assert edge.beat().status == 200
        postgres_server.stop()
        try:
            origin.wait_for(lambda: origin.api("GET", "/fleet")["is_database_away"], "away")
            assert origin.api("GET", "/fleet")["database_trouble"] == "the database is away"
            assert edge.beat().status == 200
            answer = origin.content("/v1/steering/film")
            assert answer.json["PATHWAY-PRIORITY"] == ["ams-1", "home"]
            refused = origin.ask("POST", "/v1/admin/edges/ams-1/duty", {"duty": "draining"})
            assert (refused.status, refused.error) == (503, "state")
            stranger = origin.stranger("new-1", edge.token)
            assert stranger.enrol().error == "busy"
        finally:
            postgres_server.start()
        origin.wait_for(lambda: not origin.api("GET", "/fleet")["is_database_away"], "back")
        assert origin.api("GET", "/fleet")["database_trouble"] == ""
        assert edge.beat().status == 200
        assert origin.api("POST", "/edges/ams-1/duty", {"duty": "draining"})["duty"] == "draining"
