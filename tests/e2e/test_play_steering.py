"""`nearcast play` steered between two real edges in front of a real origin: moved, left alone by a
dead edge, and with a steering server that is down."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("av", reason="needs the extra `media`")

from nearcast.main import main
from nearcast.steering import (
    HOME_PATHWAY,
    Measured,
    PathwayClone,
    SteeringManifest,
    UriReplacement,
    encode,
    read_query,
)
from tests.e2e.conftest import LIMIT_S, EdgeProcess, eventually
from tests.ports import free_port

if TYPE_CHECKING:
    from tests.conftest import ClipMaker
    from tests.e2e.conftest import StartEdge

TITLE_S = 8.0
TITLE = "film"
FORMATS = ("manifest.mpd", "master.m3u8")
BUFFER_S = 3.0
"""So that segments are fetched all through the title."""
PLAY_TIMEOUT_S = 60.0

Answer = Callable[[str, int], bytes | int]
"""What to say to the question of that number from 1 about a title, or a status."""


class SteeringServer:
    """Asked about titles; each format of each title is a client of its own."""

    def __init__(self) -> None:
        self.answer: Answer = lambda client, number: 500
        self.asked: dict[str, list[tuple[Measured, ...]]] = {}
        self.reports: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                place = urlsplit(self.path)
                client = f"{place.path.rpartition('/')[2]}/{outer.format_of(place.query)}"
                told = outer.asked.setdefault(client, [])
                told.append(read_query(place.query))
                said = outer.answer(client, len(told))
                body = said if isinstance(said, bytes) else b""
                self.send_response(said if isinstance(said, int) else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                outer.reports.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing is written."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @staticmethod
    def format_of(query: str) -> str:
        """An MPD's first question says nothing, so no `_HLS_` is DASH."""
        return "hls" if "_HLS_" in query else "dash"

    def begin(self, answer: Answer) -> None:
        self.asked = {}
        self.answer = answer

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(LIMIT_S)


@pytest.fixture(scope="module")
def steering() -> Iterator[SteeringServer]:
    server = SteeringServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def origin_url(
    make_clip: ClipMaker, tmp_path_factory: pytest.TempPathFactory, steering: SteeringServer
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("steered")
    clip = str(make_clip(seed=1, duration_s=TITLE_S))
    ingest = ["--library", str(folder), "--id", TITLE, "--rungs", "36p", "--jobs", "1"]
    assert main(["origin", "ingest", clip, *ingest, "--segment-duration", "1"]) == 0
    settings = (f"control.steering_url={steering.url}", "control.enabled=false")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "nearcast", "origin", "serve", "--library", str(folder)),
            *("--listen", "127.0.0.1:0"),
            *(part for each in settings for part in ("--set", each)),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        words = process.stdout.readline().split()
        yield next(each for each in words if each.startswith("http://"))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(LIMIT_S)
        process.stdout.close()


@pytest.fixture(scope="module")
def edges(origin_url: str, start_edge: StartEdge) -> tuple[EdgeProcess, EdgeProcess]:
    return start_edge(origin_url), start_edge(origin_url)


def offer(*pathways: str, **hosts: str) -> bytes:
    """An answer that puts pathways in this order; each host is offered as a clone of home."""
    clones = (
        PathwayClone(id=name, base_id=HOME_PATHWAY, replacement=UriReplacement(host=host))
        for name, host in hosts.items()
    )
    return encode(SteeringManifest(ttl_s=1.0, pathways=pathways, clones=tuple(clones)))


def host_of(edge: EdgeProcess) -> str:
    return urlsplit(edge.url).netloc


def dead_host() -> str:
    """Where nobody listens."""
    return f"127.0.0.1:{free_port()}"


@contextlib.contextmanager
def playing(
    urls: list[str], folder: Path, *settings: str
) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """All at once by one process; what is yielded waits for the end and gives each one's
    session."""
    schedule, report = folder / "schedule.json", folder / "report.json"
    plans = [{"viewer_id": f"v{index}", "items": [{"url": url}]} for index, url in enumerate(urls)]
    schedule.write_text(json.dumps({"viewers": [{"plan": plan} for plan in plans]}))
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "nearcast", "play", "--schedule", str(schedule)),
            *("--json", str(report), "--buffer", str(BUFFER_S), *settings),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )

    def sessions() -> list[dict[str, Any]]:
        _, complaints = process.communicate(timeout=PLAY_TIMEOUT_S)
        assert (process.returncode, complaints) == (0, "")
        return [viewer["sessions"][0] for viewer in json.loads(report.read_bytes())["viewers"]]

    try:
        yield sessions
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


def was_played(session: dict[str, Any]) -> None:
    """All of it, and without a stall."""
    assert session["ended"] == "finished"
    assert (session["stall_count"], session["stalled_s"]) == (0, 0.0), session
    assert session["played_s"] == pytest.approx(TITLE_S, abs=0.2)
    assert session["skipped_count"] == 0


def segments_by(session: dict[str, Any]) -> dict[str, int]:
    return {use["pathway"]: use["segment_count"] for use in session["steering"]["pathways"]}


def test_player_is_moved_to_another_edge_in_mid_title(
    edges: tuple[EdgeProcess, EdgeProcess], steering: SteeringServer, tmp_path: Path
) -> None:
    one, two = edges
    hosts = {"one": host_of(one), "two": host_of(two)}
    first, then = offer("one", "two", "home", **hosts), offer("two", "one", "home", **hosts)
    steering.begin(lambda client, number: first if number <= 3 else then)
    with playing([f"{one.url}/media/{TITLE}/{each}" for each in FORMATS], tmp_path) as ended:
        sessions = ended()
    for session in sessions:
        was_played(session)
        # HLS does not wait for the first answer: a segment may come from home before.
        (switch,) = (s for s in session["steering"]["switches"] if s["from_pathway"] != "home")
        assert (switch["from_pathway"], switch["to_pathway"]) == ("one", "two")
        assert switch["reason"] == "steering"
        used = segments_by(session)
        assert used["two"] >= 4, "what was left of picture and sound came from the other edge"
        assert used["one"] + used["two"] + used.get("home", 0) == 16
        assert session["steering"]["answer_count"] >= 4
        assert session["failure_count"] == 0
    for client in (f"{TITLE}/dash", f"{TITLE}/hls"):
        # The player says by which pathway it went, and how fast that was.
        last = steering.asked[client][-1]
        assert last[-1].pathway == "two"
        assert (last[-1].throughput_kbps or 0) > 0


def test_player_goes_on_at_another_edge_when_one_is_killed(
    edges: tuple[EdgeProcess, EdgeProcess],
    origin_url: str,
    start_edge: StartEdge,
    steering: SteeringServer,
    tmp_path: Path,
) -> None:
    victim, other = start_edge(origin_url), edges[1]
    hosts = {"victim": host_of(victim), "other": host_of(other)}
    # The server does not know of the death: it goes on offering the dead edge first.
    steering.begin(lambda client, number: offer("victim", "other", "home", **hosts))
    urls = [f"{victim.url}/media/{TITLE}/{each}" for each in FORMATS]
    clients = [f"{TITLE}/dash", f"{TITLE}/hls"]
    report = ("--set", f"cmcd_events_url={steering.url}/v1/cmcd")
    with playing(urls, tmp_path, *report) as ended:
        eventually(lambda: all(len(steering.asked.get(each, ())) >= 3 for each in clients))
        victim.process.kill()
        sessions = ended()
    for session in sessions:
        was_played(session)
        switches = session["steering"]["switches"]
        first = next(each for each in switches if each["to_pathway"] == "other")
        assert first["reason"] == "failure"
        used = segments_by(session)
        assert used["victim"] + used.get("home", 0) >= 4, "which is the same host"
        assert used["other"] >= 4
        assert session["failure_count"] >= 1
    # And the players said of whom they had nothing.
    assert 'rc=0,sid="v0-1"' in "".join(steering.reports)
    assert f'url="{victim.url}/media/' in "".join(steering.reports)


def test_title_plays_without_the_steering_server_and_with_a_dead_edge_offered_first(
    edges: tuple[EdgeProcess, EdgeProcess], steering: SteeringServer, tmp_path: Path
) -> None:
    one, two = edges
    hosts = {"dead": dead_host(), "two": host_of(two)}
    dead_first = offer("dead", "two", "home", **hosts)
    steering.begin(lambda client, number: 503 if client.endswith("/hls") else dead_first)
    with playing([f"{one.url}/media/{TITLE}/{each}" for each in FORMATS], tmp_path) as ended:
        steered, unsteered = ended()
    was_played(steered)
    was_played(unsteered)
    assert segments_by(unsteered) == {"home": 16}
    assert unsteered["steering"]["answer_count"] == 0
    assert unsteered["steering"]["failure_count"] >= 1
    assert segments_by(steered) == {"two": 16}, "asked before the start: it never began at home"
    assert steered["startup_s"] < 4.0, "a dead edge is not waited for"
    assert steered["failure_count"] >= 1


def test_manifests_for_a_client_lead_to_everybodys_where_nobody_ranks_edges(
    origin_url: str,
) -> None:
    """This origin has no control plane."""

    def redirects() -> float:
        with urllib.request.urlopen(f"{origin_url}/metrics", timeout=LIMIT_S) as answer:
            lines = answer.read().decode().splitlines()
        name = 'nearcast_origin_requests_total{status="3xx"} '
        return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))

    before = redirects()
    for name in FORMATS:
        connection = http.client.HTTPConnection(urlsplit(origin_url).netloc, timeout=LIMIT_S)
        with contextlib.closing(connection):
            connection.request("GET", f"/v1/play/{TITLE}/{name}")
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (307, b"")
            assert answer.headers["location"] == f"/media/{TITLE}/{name}"
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["access-control-allow-origin"] == "*"
        with urllib.request.urlopen(f"{origin_url}/v1/play/{TITLE}/{name}", timeout=LIMIT_S) as led:
            assert led.url == f"{origin_url}/media/{TITLE}/{name}"
            assert b"_origin" in led.read()
    assert redirects() == before + 4
