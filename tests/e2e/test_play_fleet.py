"""Two viewers in a real fleet, one of whose edges is killed: the origin takes it out of what it
answers in time, and nobody stalls."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("av", reason="needs the extra `media`")

from nearcast.main import main
from tests.e2e.conftest import LIMIT_S, EdgeProcess, eventually
from tests.ports import free_port

if TYPE_CHECKING:
    from tests.conftest import ClipMaker

TITLE, TITLE_S = "film", 8.0
NAMES = ("ams-1", "ams-2")
GONE_S_MAX = 5.0
PLAY_TIMEOUT_S = 60.0


class Fleet:
    """An origin and its enrolled edges, as processes."""

    def __init__(self, library: Path, folder: Path) -> None:
        self.library = library
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        ports = {"fleet_listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0"}
        settings = [f"control.{name}={value}" for name, value in ports.items()]
        settings += [f"control.steering_url={self.url}"]
        self.origin = subprocess.Popen(
            [
                *(sys.executable, "-m", "nearcast", "origin", "serve", "--library", str(library)),
                *("--listen", urlsplit(self.url).netloc),
                *(part for each in settings for part in ("--set", each)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.origin.stdout is not None
        while "edges report to" not in (line := self.origin.stdout.readline()):
            assert line, "the origin ended before it was ready"
        self.edges: dict[str, EdgeProcess] = {}

    def join(self, name: str) -> None:
        told, port = self.folder / f"{name}.json", free_port()
        library = ("--library", str(self.library), "--json", str(told))
        assert main(["origin", "fleet", "enrol", name, *library]) == 0
        token = json.loads(told.read_bytes())["token"]
        store = ("--store", str(self.folder / name))
        where = ("--url", f"http://127.0.0.1:{port}", "--capacity", "100MB")
        assert main(["edge", "enrol", token, *store, *where]) == 0
        listen = ("--listen", f"127.0.0.1:{port}", "--set", "prefetch.enabled=false")
        self.edges[name] = EdgeProcess(["--upstream", self.url, *listen, *store], self.folder)

    def order(self) -> list[str]:
        """What a new player is told."""
        with urllib.request.urlopen(f"{self.url}/v1/steering/{TITLE}", timeout=LIMIT_S) as answer:
            order = json.loads(answer.read())["PATHWAY-PRIORITY"]
        assert isinstance(order, list)
        return order

    def personal(self, name: str) -> str:
        """A manifest for this client alone."""
        with urllib.request.urlopen(f"{self.url}/v1/play/{TITLE}/{name}", timeout=LIMIT_S) as got:
            assert got.headers["cache-control"] == "no-store"
            assert got.headers["access-control-allow-origin"] == "*"
            return str(got.read().decode())

    def sent_bytes(self) -> dict[str, int]:
        return {name: edge.status()["client_bytes"] for name, edge in self.edges.items()}

    def close(self) -> None:
        for edge in self.edges.values():
            edge.stop()
        self.origin.send_signal(signal.SIGTERM)
        try:
            self.origin.wait(LIMIT_S)
        finally:
            self.origin.kill()
            assert self.origin.stdout is not None
            self.origin.stdout.close()


@pytest.fixture
def fleet(make_clip: ClipMaker, tmp_path: Path) -> Iterator[Fleet]:
    library = tmp_path / "library"
    clip = str(make_clip(seed=1, duration_s=TITLE_S))
    ingest = ["--library", str(library), "--id", TITLE, "--rungs", "36p", "--jobs", "1"]
    assert main(["origin", "ingest", clip, *ingest, "--segment-duration", "1"]) == 0
    made = Fleet(library, tmp_path)
    try:
        for name in NAMES:
            made.join(name)
        yield made
    finally:
        made.close()


def test_edge_that_is_killed_is_out_of_the_ranking_and_nobody_stalls(
    fleet: Fleet, tmp_path: Path
) -> None:
    eventually(lambda: set(fleet.order()) == {*NAMES, "home"}, "all edges in the ranking")
    for name, mark in (("manifest.mpd", 'serviceLocation="'), ("master.m3u8", 'PATHWAY-ID="')):
        text = fleet.personal(name)
        assert all(f"{mark}{edge}" in text for edge in (*NAMES, "_origin"))
        assert all(edge.url in text for edge in fleet.edges.values())
        told = tmp_path / f"{name}.json"
        play = ("play", f"{fleet.url}/v1/play/{TITLE}/{name}", "--duration", "1")
        assert main([*play, "--json", str(told)]) == 0
        (session,) = json.loads(told.read_bytes())["sessions"]
        assert session["stall_count"] == 0
        (use, *_) = session["steering"]["pathways"]
        assert f"http://{use['host']}" == fleet.edges[use["pathway"]].url
    schedule, report = tmp_path / "schedule.json", tmp_path / "report.json"
    first = fleet.edges[NAMES[0]].url
    plans = [
        {"viewer_id": name, "items": [{"url": f"{first}/media/{TITLE}/{name}"}]}
        for name in ("manifest.mpd", "master.m3u8")
    ]
    schedule.write_text(json.dumps({"viewers": [{"plan": plan} for plan in plans]}))
    before = fleet.sent_bytes()
    player = subprocess.Popen(
        [
            *(sys.executable, "-m", "nearcast", "play", "--schedule", str(schedule)),
            *("--json", str(report), "--buffer", "4"),
            *("--set", f"cmcd_events_url={fleet.url}/v1/cmcd"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    # An edge from which so much came that somebody must be watching from it.
    some_bytes = 10_000

    def sent() -> dict[str, int]:
        return {name: count - before[name] for name, count in fleet.sent_bytes().items()}

    eventually(lambda: max(sent().values()) > some_bytes, "somebody watches")
    by_edge = sent()
    victim = max(by_edge, key=lambda name: by_edge[name])
    fleet.edges[victim].process.kill()
    killed_s = time.monotonic()
    eventually(lambda: victim not in fleet.order(), "the dead edge left the ranking")
    gone_s = time.monotonic() - killed_s
    _, complaints = player.communicate(timeout=PLAY_TIMEOUT_S)
    assert (player.returncode, complaints) == (0, "")
    assert gone_s < GONE_S_MAX
    sessions: list[dict[str, Any]] = [
        viewer["sessions"][0] for viewer in json.loads(report.read_bytes())["viewers"]
    ]
    for session in sessions:
        assert session["ended"] == "finished"
        assert (session["stall_count"], session["stalled_s"]) == (0, 0.0), session
        assert session["played_s"] == pytest.approx(TITLE_S, abs=0.2)
        steering = session["steering"]
        assert steering["failure_count"] == 0
        assert victim in steering["answers"][0]["pathways"]
        assert victim not in steering["answers"][-1]["pathways"]
        assert steering["answers"][-1]["pathways"][-2:] == ["home", "_origin"]
    used = {use["pathway"] for session in sessions for use in session["steering"]["pathways"]}
    assert victim in used
    assert used & set(NAMES) - {victim}
