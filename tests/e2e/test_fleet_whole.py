"""The whole round: viewers at an edge, what it tells the origin, a plan, edges that follow it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from nearcast.manifests import read_part
from tests.e2e.conftest import EdgeProcess, StartEdge
from tests.fleet_world import ControlOrigin
from tests.ports import free_port

TITLE = "harbour-s01e01"


def join(origin: ControlOrigin, start_edge: StartEdge, name: str, folder: Path) -> EdgeProcess:
    """A running edge that has enrolled; it says where it is once that is known."""
    store = folder / name
    token = origin.api("POST", "/enrolments", {"edge": name})["token"]
    address = f"127.0.0.1:{free_port()}"
    subprocess.run(
        [
            *(sys.executable, "-m", "nearcast", "edge", "enrol", token, "--store", str(store)),
            *("--url", f"http://{address}", "--cluster", "c1", "--time-zone", "Europe/Berlin"),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    edge = start_edge(
        origin.url,
        *("--store", str(store), "--listen", address),
        *("--set", "telemetry.flush_s=0.5", "--set", "telemetry.segment_s=1"),
    )
    origin.wait_for(lambda: origin.edge(name)["state"] == "alive", f"{name} alive")
    assert origin.edge(name)["time_zone"] == "Europe/Berlin"
    assert origin.edge(name)["utc_offset_h"] in (1.0, 2.0)
    return edge


def watch(origin: ControlOrigin, edge: EdgeProcess, manifest: str) -> None:
    """Somebody plays the first rendition, and was steered: the manifest is the origin's."""
    text = origin.content(manifest).body.decode()
    folder = manifest.rpartition("/")[0]
    paths = segment_paths(text)
    edge.get(f"{folder}/{paths[0]}", user_agent="a player")
    edge.wait_status(lambda status: bool(status["title_count"]))
    for path in paths:
        assert edge.get(f"{folder}/{path}", user_agent="a player").status == 200


def segment_paths(mpd: str) -> list[str]:
    presentation: Any = read_part(mpd.encode(), "http://o/t/manifest.mpd")
    one = presentation.video[0]
    urls = [one.init.url, *(segment.url for segment in one.segments)]
    return [url.removeprefix("http://o/t/") for url in urls]


def is_carried_out(placement: dict[str, Any], plan_id: str) -> bool:
    """All that the plan's bytes allow: what is beyond them is given up, and kept when pulled."""
    is_settled = placement["state"] == "all is held that can be"
    return bool(placement["plan_id"] == plan_id and is_settled)


def test_what_is_watched_at_one_edge_is_planned_and_placed(
    title_library: Path, start_edge: StartEdge, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    shutil.copytree(title_library, library)
    with ControlOrigin(library, "control.plan.windows=00:00-24:00") as origin:
        first = join(origin, start_edge, "e1", tmp_path)
        title = json.loads(origin.content(f"/v1/titles/{TITLE}").body)
        manifest = next(
            one["dash"]
            for one in json.loads(origin.content("/v1/catalog").body)["titles"]
            if one["id"] == TITLE
        )
        assert title["size_bytes"] > 0
        watch(origin, first, manifest)
        origin.wait_for(lambda: origin.api("GET", f"/titles/{TITLE}")["edges"], "what was watched")
        second = join(origin, start_edge, "e2", tmp_path)
        made = origin.api("POST", "/plans")
        assert made["file_count"] > 0
        origin.api("POST", f"/plans/{made['plan_id']}/apply")
        edges = {"e1": first, "e2": second}
        for edge in edges.values():
            edge.wait_status(lambda status: is_carried_out(status["placement"], made["plan_id"]))
        pinned = {name: edge.status()["pinned_bytes"] for name, edge in edges.items()}
        assert sum(pinned.values()) > 0.5 * made["stored_bytes"]
        assert sum(edge.status()["planned_bytes"] for edge in edges.values()) > 0
        for name, pinned_bytes in pinned.items():
            origin.wait_for(
                lambda name=name, size=pinned_bytes: origin.edge(name)["pinned_bytes"] == size,
                "what the origin hears",
            )
        assert "e2; " in second.get(manifest).cache_status
