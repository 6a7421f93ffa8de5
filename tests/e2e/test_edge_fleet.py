"""Real edges in a fleet: enrolment, heartbeats, plans, peers, and an origin that goes away."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import pytest

from edge.drivers.fleet.enrolment import enrol as enrol_edge
from edge.drivers.fleet.folder import FleetFolder
from nearcast.enrol_token import read_token
from nearcast.fleet import EdgeProfile, Refused, Target
from nearcast.manifests import write_mpd
from nearcast.media import Presentation, Rendition, Representation, Segment
from nearcast.placement import Peer, PlannedFile
from tests.e2e.conftest import EdgeProcess, FaultyOrigin, StartEdge, eventually
from tests.fleet_origin import FleetOrigin, forged

SEGMENT_COUNT = 4
SEGMENT_BYTES = 100_000


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[FleetOrigin]:
    with FleetOrigin(tmp_path) as origin:
        yield origin


def enrol(token: str, store: Path, *more: str, status: int = 0) -> str:
    """What the command says."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "nearcast", "edge", "enrol", token),
            *("--store", str(store), "--url", "http://127.0.0.1:1"),
            *more,
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


def join(fleet: FleetOrigin, store: Path, edge: str = "e1") -> None:
    """What the command does, without a process."""
    profile = EdgeProfile(url="http://127.0.0.1:1", capacity_bytes=10**9)
    identity = asyncio.run(enrol_edge(read_token(fleet.token(edge)), profile))
    FleetFolder(store / "fleet").keep_identity(identity)


class Titles:
    """Titles on an origin for media, with a checksum in each entity tag."""

    def __init__(self, origin: FaultyOrigin, folder: str) -> None:
        self.origin = origin
        self.folder = folder

    def put(self, name: str) -> list[str]:
        """The paths of all of its objects."""
        base = f"{self.origin.url}/{self.folder}/{name}"
        segments = tuple(
            Segment(url=f"{base}/{no}.m4s", start_s=(no - 1) * 2.0, duration_s=2.0)
            for no in range(1, SEGMENT_COUNT + 1)
        )
        rendition = Rendition(
            id="v1", kind="video", codecs="avc1.64001f", peak_kbps=400.0, average_kbps=400.0
        )
        presentation = Presentation(
            url=f"{base}/manifest.mpd",
            duration_s=2.0 * SEGMENT_COUNT,
            video=(
                Representation(
                    rendition=rendition,
                    init=Segment(url=f"{base}/init.mp4", start_s=0.0, duration_s=0.0),
                    segments=segments,
                ),
            ),
        )
        self._serve(f"/{self.folder}/{name}/manifest.mpd", write_mpd(presentation).encode())
        self._serve(f"/{self.folder}/{name}/init.mp4", os.urandom(900))
        for no in range(1, SEGMENT_COUNT + 1):
            self._serve(f"/{self.folder}/{name}/{no}.m4s", os.urandom(SEGMENT_BYTES))
        return [path for path in self.origin.routes if path.startswith(f"/{self.folder}/{name}/")]

    def planned(self, name: str, **changes: Any) -> PlannedFile:
        return PlannedFile(
            title=name,
            rendition="v1",
            manifest=f"/{self.folder}/{name}/manifest.mpd",
            size_bytes=SEGMENT_COUNT * SEGMENT_BYTES,
            **changes,
        )

    def _serve(self, path: str, body: bytes) -> None:
        etag = f'"{google_crc32c.value(body):08x}-{len(body):x}"'
        content_type = "application/dash+xml" if path.endswith(".mpd") else "video/mp4"

        def answer(exchange: Any) -> None:
            if exchange.headers.get("if-none-match") == etag:
                exchange.head(304, etag=etag, cache_control="max-age=600")
            else:
                exchange.reply(
                    body, etag=etag, cache_control="max-age=600", content_type=content_type
                )

        self.origin.routes[path] = answer

    def body_count(self, path: str) -> int:
        """How often the origin sent a body of it."""
        return sum(
            exchange.target == path and "if-none-match" not in exchange.headers
            for exchange in self.origin.seen
        )


@pytest.fixture
def titles(origin: FaultyOrigin, request: pytest.FixtureRequest) -> Titles:
    return Titles(origin, request.node.name)


def start(start_edge: StartEdge, upstream: str, store: Path, *more: str) -> EdgeProcess:
    return start_edge(upstream, "--store", str(store), *more)


def placement(edge: EdgeProcess) -> dict[str, Any]:
    found = edge.status()["placement"]
    assert isinstance(found, dict)
    return found


def test_an_edge_enrols_and_its_key_is_its_own(fleet: FleetOrigin, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert "e1 is enrolled" in enrol(fleet.token("e1"), store, "--cluster", "c1")
    file = store / "fleet" / "identity.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    identity = json.loads(file.read_text())
    assert (identity["edge"], identity["profile"]["cluster"]) == ("e1", "c1")
    assert "already" in enrol(fleet.token("e1"), store, status=2)
    enrol(fleet.token("e1"), store, "--replace")
    assert json.loads(file.read_text())["key_pem"] != identity["key_pem"]


def test_tokens_that_lie_enrol_nobody(fleet: FleetOrigin, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with FleetOrigin(tmp_path) as other:
        # It leads to another origin than the one whose authority it names.
        text = fleet.token("e1")
        fleet_url, fleet.url = fleet.url, other.url
        lying = fleet.token("e1")
        fleet.url = fleet_url
        assert "another fingerprint" in enrol(lying, store, status=2).replace("\n", " ")
        assert "damaged" in enrol(text[:-9], store, status=2)
        assert "is for e1" in enrol(text, store, "--name", "e2", status=2)
    assert not (store / "fleet" / "identity.json").exists()


def test_an_edge_follows_a_plan_and_the_next_one_fills_from_it(
    fleet: FleetOrigin, titles: Titles, start_edge: StartEdge, tmp_path: Path
) -> None:
    paths, own = titles.put("both"), titles.put("own")
    edges: dict[str, EdgeProcess] = {}
    for name in ("e1", "e2"):
        join(fleet, tmp_path / name, name)
        edges[name] = start(start_edge, titles.origin.url, tmp_path / name)
    first, second = edges["e1"], edges["e2"]
    fleet.put_plan("e1", titles.planned("both"))
    eventually(lambda: placement(first)["files_held"] == 1, "the plan of e1")
    counts = {path: titles.body_count(path) for path in paths}
    assert set(counts.values()) == {1}

    fleet.put_plan(
        "e2",
        titles.planned("both", from_edges=("e1",)),
        titles.planned("own"),
        peers=(Peer(edge="e1", url=first.url),),
    )
    eventually(lambda: placement(second)["files_held"] == 2, "the plan of e2")
    status = second.status()
    assert {path: titles.body_count(path) for path in paths} == counts
    assert [titles.body_count(path) for path in own] == [1] * len(own)
    assert status["peer_bytes"] > SEGMENT_COUNT * SEGMENT_BYTES
    assert status["planned_bytes"] == status["pinned_bytes"]
    assert first.status()["peer_sent_bytes"] == status["peer_bytes"]
    assert first.status()["sessions_started"] == 0
    for path in paths:
        assert second.get(path).is_hit
        assert second.get(path).body == first.get(path).body
    eventually(lambda: (beat := fleet.last("e2")) is not None and beat.plan_files_held == 2)
    beat = fleet.last("e2")
    assert beat is not None
    assert beat.traffic.peer_bytes == status["peer_bytes"]
    assert beat.storage.pinned_bytes == status["pinned_bytes"]


def test_an_edge_that_is_killed_again_and_again_keeps_to_the_bytes_of_its_plan(
    fleet: FleetOrigin, titles: Titles, start_edge: StartEdge, tmp_path: Path
) -> None:
    titles.put("kept")
    store = tmp_path / "store"
    join(fleet, store)
    budget_bytes = 300_000
    fleet.put_plan("e1", titles.planned("kept"), fill_bytes_max=budget_bytes, fill_kbps_max=1_600.0)
    planned_bytes = 0
    for _ in range(2):
        edge = start(start_edge, titles.origin.url, store)
        # In each life it fetches, or has found that nothing is left.
        eventually(
            lambda edge=edge: (
                edge.status()["planned_bytes"] > 150_000  # type: ignore[misc]
                or placement(edge)["spent_bytes"] == budget_bytes
            ),
            "the plan",
        )
        planned_bytes += edge.status()["planned_bytes"]
        edge.process.kill()
        edge.process.wait()
    assert 150_000 < planned_bytes <= budget_bytes


def test_a_plan_survives_a_restart_and_an_origin_that_is_away(
    fleet: FleetOrigin, titles: Titles, start_edge: StartEdge, tmp_path: Path
) -> None:
    paths = titles.put("kept")
    store = tmp_path / "store"
    join(fleet, store)
    plan = fleet.put_plan("e1", titles.planned("kept"))
    edge = start(start_edge, titles.origin.url, store)
    eventually(lambda: placement(edge)["files_held"] == 1, "the plan")
    spent_bytes = placement(edge)["spent_bytes"]
    edge.stop()
    assert any(beat.is_draining for beat in fleet.beats)
    fleet.close()

    edge = start(start_edge, titles.origin.url, store)
    eventually(lambda: placement(edge)["files_held"] == 1, "the plan that was kept")
    status = edge.status()
    assert status["placement"]["plan_id"] == plan.plan_id
    assert status["placement"]["spent_bytes"] == spent_bytes
    assert status["pinned_bytes"] > 0
    assert status["origin_bytes"] == 0
    assert all(edge.get(path).is_hit for path in paths)
    assert edge.get("/.nearcast/readyz").status == 200
    eventually(lambda: "no origin answers" in edge.status()["fleet"]["state"], "its state")
    with FleetOrigin(tmp_path, port=fleet.port, before=fleet) as back:
        back.answers["e1"] = {"plan_id": plan.plan_id}
        eventually(lambda: edge.status()["fleet"]["state"] == "joined", "the fleet again")


def test_plans_that_are_not_the_origins_are_refused(
    fleet: FleetOrigin, titles: Titles, start_edge: StartEdge, tmp_path: Path
) -> None:
    titles.put("any")
    join(fleet, tmp_path / "store")
    edge = start(start_edge, titles.origin.url, tmp_path / "store")
    fleet.put_plan("e1", titles.planned("any"))
    fleet.plans["e1"] = forged(fleet.plans["e1"])
    eventually(lambda: edge.status()["fleet"]["plan_refusals"] == 1, "the first refusal")
    fleet.put_plan("e2", titles.planned("any"))
    fleet.plans["e1"] = fleet.plans["e2"]
    fleet.answers["e1"] = fleet.answers["e2"]
    eventually(lambda: edge.status()["fleet"]["plan_refusals"] == 2, "the second refusal")
    assert "is for e2" in edge.status()["fleet"]["plan_refused_last"]
    assert placement(edge)["plan_id"] == ""
    plan = fleet.put_plan("e1", titles.planned("any"))
    eventually(lambda: placement(edge)["files_held"] == 1, "the right plan")
    # One that begins later is taken, and waits.
    fleet.put_plan("e1", valid_from_wall_s=time.time() + 600.0)
    kept = FleetFolder(tmp_path / "store" / "fleet")
    eventually(lambda: kept.plan() == fleet.plans["e1"], "the plan for later")
    assert edge.status()["fleet"]["plan_refusals"] == 2
    assert placement(edge)["plan_id"] == plan.plan_id


def test_a_killed_edge_is_reported_within_three_seconds(
    fleet: FleetOrigin, titles: Titles, start_edge: StartEdge, tmp_path: Path
) -> None:
    join(fleet, tmp_path / "e1")
    victim = start(start_edge, titles.origin.url, tmp_path / "e2")
    assert victim.get("/.nearcast/alive").status == 200
    fleet.answers["e1"] = {"probes": (Target(edge="e2", url=victim.url),), "probe_s": 1.0}
    edge = start(start_edge, titles.origin.url, tmp_path / "e1")
    eventually(lambda: edge.status()["fleet"]["probed_count"] == 1, "a target")
    found = [one.get("/.nearcast/alive").headers.get("nearcast-edge") for one in (edge, victim)]
    assert found == ["e1", None]  # the victim has not enrolled
    victim.process.send_signal(signal.SIGKILL)
    killed_s = time.monotonic()
    victim.process.wait()
    eventually(lambda: bool(fleet.observed), "an observation")
    seen_s, message = fleet.observed[0]
    assert seen_s - killed_s < 3.0
    assert [(one.edge, one.is_up, one.failure_count) for one in message.seen] == [("e2", False, 2)]


def test_what_the_operator_and_the_origin_say(
    fleet: FleetOrigin, titles: Titles, start_edge: StartEdge, tmp_path: Path
) -> None:
    paths = titles.put("any")
    join(fleet, tmp_path / "store")
    edge = start(start_edge, titles.origin.url, tmp_path / "store")
    eventually(lambda: edge.status()["fleet"]["state"] == "joined", "joined")

    fleet.answers["e1"] = {"duty": "draining"}
    eventually(lambda: edge.get("/.nearcast/readyz").status == 503, "draining")
    assert b"draining" in edge.get("/.nearcast/readyz").body
    assert edge.get(paths[0]).status == 200
    fleet.answers["e1"] = {"renew": True}
    eventually(lambda: fleet.renewals > 0, "a renewal")
    fleet.answers["e1"] = {}
    eventually(lambda: edge.get("/.nearcast/readyz").status == 200, "active again")

    fleet.refuse = Refused(error="clock", detail="your clock is ten minutes off")
    eventually(lambda: "clock is ten" in edge.status()["fleet"]["state"], "the refusal")
    assert edge.get(paths[0]).is_hit
    fleet.refuse = None
    eventually(lambda: edge.status()["fleet"]["state"] == "joined", "joined again")
    numbers = [beat.sequence_no for beat in fleet.beats]
    assert numbers == sorted(set(numbers))
