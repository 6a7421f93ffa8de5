"""A real edge tells a real origin what it served, also after the origin was away."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import google_crc32c
from typer.testing import CliRunner

from nearcast.manifests import write_mpd
from nearcast.media import Presentation, Rendition, Representation, Segment
from origin.cli import app
from tests.e2e.conftest import EdgeProcess, FaultyOrigin, StartEdge, eventually
from tests.fleet_world import ControlOrigin, empty_library
from tests.ports import free_port

SEGMENT_COUNT = 6
SEGMENT_BYTES = 20_000


def put_title(origin: FaultyOrigin, name: str) -> str:
    """Serve a small title; the path of its folder."""
    folder = f"/telemetry/{name}"
    base = origin.url + folder
    rendition = Rendition(
        id="v1", kind="video", codecs="avc1.64001f", peak_kbps=400.0, average_kbps=400.0
    )
    video = Representation(
        rendition=rendition,
        init=Segment(url=f"{base}/init.mp4", start_s=0.0, duration_s=0.0),
        segments=tuple(
            Segment(url=f"{base}/{no}.m4s", start_s=(no - 1) * 2.0, duration_s=2.0)
            for no in range(1, SEGMENT_COUNT + 1)
        ),
    )
    presentation = Presentation(
        url=f"{base}/manifest.mpd", duration_s=2.0 * SEGMENT_COUNT, video=(video,)
    )
    serve(origin, f"{folder}/manifest.mpd", write_mpd(presentation).encode())
    for file in ("init.mp4", *(f"{no}.m4s" for no in range(1, SEGMENT_COUNT + 1))):
        serve(origin, f"{folder}/{file}", os.urandom(SEGMENT_BYTES))
    return folder


def serve(origin: FaultyOrigin, path: str, body: bytes) -> None:
    etag = f'"{google_crc32c.value(body):08x}"'
    kind = "application/dash+xml" if path.endswith(".mpd") else "video/mp4"

    def answer(exchange: Any) -> None:
        exchange.reply(body, etag=etag, cache_control="max-age=600", content_type=kind)

    origin.routes[path] = answer


def watch(edge: EdgeProcess, folder: str, *, session: str) -> int:
    """Ask for all of a title as a player does; how many bytes of media that was."""
    edge.request("GET", f"{folder}/manifest.mpd")
    eventually(lambda: edge.status()["title_count"] > 0, "the manifest's being read")
    media_bytes = 0
    for no, file in enumerate(("init", *range(1, SEGMENT_COUNT + 1))):
        name = "init.mp4" if file == "init" else f"{file}.m4s"
        start = ",su" if no < 3 else ""
        answer = edge.request(
            "GET", f"{folder}/{name}?CMCD=br%3D400%2Csid%3D%22{session}%22{start}"
        )
        assert answer.status == 200
        media_bytes += len(answer.body)
    return media_bytes


def told_bytes(library: Path) -> int:
    """What has come of it to the origin's sums."""
    with closing(sqlite3.connect(library / "control.db")) as database:
        found = database.execute("SELECT coalesce(sum(client_bytes), 0) FROM demand").fetchone()
        return int(found[0])


def waiting_count(library: Path) -> int:
    """Raw events that are not in a file of the history yet."""
    with closing(sqlite3.connect(library / "control.db")) as database:
        return int(database.execute("SELECT count(*) FROM telemetry_pieces").fetchone()[0])


def ask_history(library: Path, query: str, folder: Path) -> list[list[Any]]:
    out = folder / "answer.json"
    arguments = ["history", query, "--library", str(library), "--json", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    rows: list[list[Any]] = json.loads(out.read_text())["rows"]
    return rows


def test_what_an_edge_served_is_known_at_the_origin_once(
    origin: FaultyOrigin, start_edge: StartEdge, tmp_path: Path
) -> None:
    library, store = empty_library(tmp_path / "library"), tmp_path / "store"
    folder = put_title(origin, "one")
    settings = (f"control.fleet_listen=127.0.0.1:{free_port()}", "telemetry.history_s=0.1")
    with ControlOrigin(library, *settings) as control:
        token = control.api("POST", "/enrolments", {"edge": "ams-1"})["token"]
        subprocess.run(
            [
                *(sys.executable, "-m", "nearcast", "edge", "enrol", token),
                *("--store", str(store), "--url", "http://127.0.0.1:1"),
            ],
            check=True,
            capture_output=True,
            timeout=60,
        )
        options = ("--store", str(store), "--set", "telemetry.flush_s=0.2")
        edge = start_edge(origin.url, *options)
        served_bytes = watch(edge, folder, session="one")
        control.wait_for(lambda: told_bytes(library) == served_bytes, "the first viewing")
        control.stop()

    # The origin is away: the edge serves, and keeps what it has to tell through its own end.
    served_bytes += watch(edge, folder, session="two")
    eventually(lambda: bool(list((store / "fleet" / "telemetry").iterdir())), "the spool")
    edge.process.send_signal(signal.SIGTERM)
    edge.process.wait(30)
    assert told_bytes(library) < served_bytes
    assert b"one" not in b"".join(
        file.read_bytes().replace(b"/telemetry/one", b"")
        for file in (store / "fleet" / "telemetry").iterdir()
    )  # no session's name, and so no viewer's

    with ControlOrigin(library, *settings) as control:
        start_edge(origin.url, *options)
        control.wait_for(lambda: told_bytes(library) == served_bytes, "the second viewing")
        query = "SELECT edge, title, sum(client_bytes), sum(session_count) FROM demand GROUP BY ALL"
        wanted = [["ams-1", f"{folder}/manifest.mpd", served_bytes, 2]]
        control.wait_for(lambda: waiting_count(library) == 0, "the history")
        assert ask_history(library, query, tmp_path) == wanted
        notes = ask_history(library, "SELECT what FROM notes ORDER BY wall_s", tmp_path)
        assert notes == [["started"], ["stopped"], ["started"]]
        (row,) = control.rows()
        assert row["telemetry_waiting_bytes"] >= 0
        control.stop()
