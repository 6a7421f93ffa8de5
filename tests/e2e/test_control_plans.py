"""A plan from what edges reported, made and signed by a real origin."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from nearcast import fleet
from nearcast.main import main
from nearcast.plan_signing import read_plan
from tests.fleet_world import ControlOrigin, SaidEdge


def tell_demand(
    edge: SaidEdge, title: str, rendition: str, client_bytes: int, segment_no: int = 1
) -> None:
    line = {
        "e": "demand",
        "wall_s": time.time(),
        "title": title,
        "rendition": rendition,
        "client_bytes": client_bytes,
        "session_count": 40,
    }
    body = json.dumps(line).encode() + b"\n"
    path = f"{fleet.TELEMETRY_PATH}?boot={edge.boot_id}&segment={segment_no}&offset=0"
    reply = edge.post(path, body)
    assert reply.status == 200, reply.body
    assert reply.json["offset_bytes"] == len(body)


WORKING = """
import multiprocessing, sys, time
from concurrent.futures import ProcessPoolExecutor
from origin.drivers.control.plan_worker import begin
if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=begin)
    pool.submit(time.sleep, 0).result()
    print(*pool._processes, flush=True)
    pool.submit(time.sleep, 600)
    time.sleep(600)
"""


def test_the_planners_process_ends_with_an_origin_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "working.py"
    script.write_text(WORKING)
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().strip().isdecimal()
        parent.kill()
        # The child has this pipe too: it ends when both have.
        assert parent.stdout.read() == ""


def test_a_plan_is_made_explained_and_fetched(title_library: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    shutil.copytree(title_library, library)
    with ControlOrigin(library, "control.plan.windows=00:00-24:00") as origin:
        assert origin.ask("POST", "/v1/admin/plans").error == "no_edges"
        edge = origin.enrol("ams-1", time_zone="Europe/Amsterdam")
        assert edge.beat().status == 200
        title = json.loads(origin.content("/v1/titles/harbour-s01e01").body)
        rendition = title["renditions"][0]["rendition"]
        tell_demand(edge, "harbour-s01e01", rendition["id"], 40 * title["size_bytes"])

        made = origin.api("POST", "/plans")
        assert (made["state"], made["edge_count"]) == ("proposed", 1)
        assert made["file_count"] > 0
        again = origin.api("GET", f"/plans/{made['plan_id'][:8]}")
        assert again["plan"]["plan_id"] == made["plan_id"]
        diff = origin.api("GET", f"/plans/{made['plan_id']}/diff")
        assert diff["edges"][0]["added_files"] == made["file_count"]
        assert edge.request("GET", fleet.PLAN_PATH).status == 404

        apply = f"/plans/{made['plan_id']}/apply"
        assert edge.beat(storage={"capacity_bytes": 10**12, "is_failing": True}).status == 200
        refused = origin.ask("POST", f"/v1/admin{apply}")
        assert (refused.status, refused.error) == (409, "no_room")
        assert "ams-1: its disk takes no writes" in refused.json["detail"]
        assert edge.beat().status == 200
        assert origin.api("POST", apply)["state"] == "applied"
        origin.wait_for(lambda: edge.beat().json["plan_id"] == made["plan_id"], "the plan")
        reply = edge.request("GET", fleet.PLAN_PATH)
        plan = read_plan(reply.body, edge.answer.plan_keys, edge="ams-1", now_wall_s=time.time())
        assert plan.plan_id == made["plan_id"]
        planned = {(file.title, file.rendition) for file in plan.files}
        assert ("harbour-s01e01", rendition["id"]) in planned
        same = edge.request("GET", fleet.PLAN_PATH, if_none_match=reply.headers["etag"])
        assert same.status == 304

        said = origin.api("GET", "/plans/current/explain?title=harbour-s01e01&edge=ams-1")
        assert any(one["is_planned"] for one in said["answers"])
        assert all(one["because"] for one in said["answers"])
        assert said["answers"][0]["windows"][0]["until_wall_s"] == plan.valid_until_wall_s
        unknown = origin.ask("GET", "/v1/admin/plans/current/explain?title=nothing")
        assert (unknown.status, unknown.error) == (404, "not_found")

        found = origin.api("GET", "/titles?query=HARBOUR")
        assert [one["title"] for one in found["titles"]] == ["harbour-s01e01", "harbour-s01e02"]
        assert found["titles"][0]["session_count"] == 40
        page = origin.api("GET", "/titles/harbour-s01e01")
        (at_edge,) = page["edges"]
        assert {one["rendition"] for one in at_edge["planned"]} >= {rendition["id"]}
        assert at_edge["client_bytes"] == page["hours"][0]["client_bytes"] > 0
        assert page["forecasts"][0]["bytes_per_day"] > 0
        assert origin.ask("GET", "/v1/admin/titles/nothing").status == 404
        actions = {one["action"] for one in origin.api("GET", "/audit")["entries"]}
        assert {"plan.proposed", "plan.applied"} <= actions

        # The planner's process goes on from what it has read: what was told since counts, too.
        other = json.loads(origin.content("/v1/titles/harbour-s01e02").body)
        tell_demand(edge, other["title"]["id"], rendition["id"], 40 * other["size_bytes"], 2)
        assert main(["origin", "title", "set", "harbour-s01e02", "--genre", "Sea",
                     "--library", str(library)]) == 0  # fmt: skip
        origin.wait_for(
            lambda: origin.api("GET", "/titles/harbour-s01e02")["genre"] == "sea", "the genre"
        )
        following = origin.api("POST", "/plans")
        expected = origin.api("GET", "/titles/harbour-s01e02")["forecasts"]
        assert [one["made_wall_s"] for one in expected][-1] == following["made_wall_s"]
        assert expected[-1]["bytes_per_day"] > 1.5 * expected[0]["bytes_per_day"] > 0

        with contextlib.closing(sqlite3.connect(library / "control.db")) as database, database:
            database.execute(
                "UPDATE plans SET valid_until_wall_s = 1, "
                "summary = json_set(CAST(summary AS TEXT), '$.valid_until_wall_s', 1.0)"
            )
        over = origin.ask("POST", f"/v1/admin{apply}")
        assert (over.status, over.error) == (409, "expired")
        figures = origin.ask("GET", "/metrics").body.decode()
        assert 'nearcast_origin_plans_refused_total{reason="no_room"} 1.0' in figures
        assert 'nearcast_origin_plans_refused_total{reason="expired"} 1.0' in figures
        assert 'nearcast_origin_tasks_broken_total{task="control.planning"} 0.0' in figures
