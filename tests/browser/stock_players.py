"""Stock players in a real fleet: hls.js, dash.js, Shaka and video.js in headless Chromium.

    NEARCAST_PLAYERS=DIR python -m tests.browser.stock_players [--scenario killed] [--json FILE]

DIR holds the players' npm packages as `npm pack hls.js dashjs shaka-player video.js` writes them.
All play one title at once, each in a page of its own, from an origin and three enrolled edges,
which are real processes at 127.0.0.x; in mid-title the edge they were sent to is killed, hung or
drained. No part of the test run: it takes minutes, and packages that are not ours. Ports: edges
and origin have port 80 unless told, as a fleet has in earnest, for which a process needs root.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright

from origin.packaging.synthesis import write_clip
from tests.browser.player_pages import PLAYERS, PageServer, Player, find_packages
from tests.e2e.conftest import EdgeProcess, eventually

TITLE, TITLE_S, SEGMENT_S = "film", 60.0, 2.0
NAMES: Final = ("ams-1", "ams-2", "ams-3")
READY_S: Final = 30.0
SCENARIOS: Final = ("none", "killed", "hung", "drained")
TROUBLE_AT_S: Final = 24.0
"""Of the title: by then each has heard the steering server twice."""
STALL_S_MIN: Final = 0.15
"""Shorter ones are the sampling's."""
FLAGS: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required", "--mute-audio"),
    *("--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding"),
)


class StockFleet:
    """An origin at 127.0.0.10 and edges from 127.0.0.11 on, all at one port, or at two."""

    def __init__(self, folder: Path, titles: Path, port: int, edge_port: int) -> None:
        self.folder = folder
        self.library = folder / "library"
        self._edge_port = edge_port
        shutil.copytree(titles, self.library)
        self.url = _site("127.0.0.10", port)
        settings = ["control.fleet_listen=127.0.0.1:0", "control.admin_listen=127.0.0.1:0"]
        settings += [f"control.steering_url={self.url}"]
        self.origin = subprocess.Popen(
            [
                *(sys.executable, "-m", "nearcast", "origin", "serve"),
                *("--library", str(self.library), "--listen", f"127.0.0.10:{port}"),
                *(part for each in settings for part in ("--set", each)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.origin.stdout is not None
        said: list[str] = []
        while "edges report to" not in (line := self.origin.stdout.readline()):
            said.append(line)
            assert line, "".join(said)
        self.edges: dict[str, EdgeProcess] = {}
        try:
            for number, name in enumerate(NAMES):
                self.edges[name] = self._join(name, number)
        except BaseException:
            self.close()
            raise
        self.hosts = {urlsplit(edge.url).netloc: name for name, edge in self.edges.items()}
        self.hosts[urlsplit(self.url).netloc] = "origin"

    def _join(self, name: str, number: int) -> EdgeProcess:
        told, host = self.folder / f"{name}.json", f"127.0.0.{11 + number}"
        library = ("--library", str(self.library), "--json", str(told))
        nearcast("origin", "fleet", "enrol", name, *library)
        token = json.loads(told.read_bytes())["token"]
        store = ("--store", str(self.folder / name))
        where = ("--url", _site(host, self._edge_port), "--capacity", "100MB")
        nearcast("edge", "enrol", token, *store, *where)
        listen = ("--listen", f"{host}:{self._edge_port}", "--set", "prefetch.enabled=false")
        edge = EdgeProcess(["--upstream", self.url, *listen, *store], self.folder)
        edge.url = _site(host, self._edge_port)
        return edge

    def order(self) -> list[str]:
        with urllib.request.urlopen(f"{self.url}/v1/steering/{TITLE}", timeout=10) as answer:
            order = json.loads(answer.read())["PATHWAY-PRIORITY"]
        assert isinstance(order, list)
        return order

    def close(self) -> None:
        for edge in self.edges.values():
            with contextlib.suppress(ProcessLookupError):
                edge.process.send_signal(signal.SIGCONT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                edge.stop()
        self.origin.send_signal(signal.SIGTERM)
        try:
            self.origin.wait(READY_S)
        finally:
            self.origin.kill()
            if self.origin.stdout is not None:
                self.origin.stdout.close()


def make_titles(folder: Path) -> Path:
    """A library of one title."""
    clip, library = folder / "film.mp4", folder / "titles"
    write_clip(clip, seed=6, duration_s=TITLE_S, width=320, height=180)
    ingest = ["--library", str(library), "--id", TITLE, "--rungs", "90p,180p", "--jobs", "1"]
    nearcast("origin", "ingest", str(clip), *ingest, "--segment-duration", str(SEGMENT_S))
    return library


def nearcast(*arguments: str) -> None:
    """A command of its own process: Playwright keeps an event loop running in this one."""
    command = [sys.executable, "-m", "nearcast", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120)


def _site(host: str, port: int) -> str:
    return f"http://{host}" if port == 80 else f"http://{host}:{port}"


class Watched:
    """One player in its page: what it asked of whom and when, and what its video did."""

    def __init__(self, player: Player, page: Page, hosts: dict[str, str]) -> None:
        self.player = player
        self.page = page
        self._hosts = hosts
        self.asked: list[tuple[float, str, str, str]] = []  # when, of whom, path, how it went
        self.said: list[str] = []
        page.on("console", lambda told: self.said.append(f"{told.type}: {told.text}"[:300]))
        page.on("pageerror", lambda error: self.said.append(f"threw: {error}"[:300]))
        page.on("requestfinished", lambda request: self._note(request, "done"))
        page.on("requestfailed", lambda request: self._note(request, request.failure or "failed"))

    def _note(self, request: Request, end: str) -> None:
        place = urlsplit(request.url)
        name = self._hosts.get(place.netloc)
        if name is None:
            return
        if end == "done":
            response = request.response()
            end = str(response.status) if response is not None else "?"
        path = place.path + (f"?{place.query}" if place.query else "")
        self.asked.append((time.time(), name, path, end))

    def samples(self) -> list[list[float]]:
        found = self.page.evaluate("samples")
        assert isinstance(found, list)
        return found

    def at_s(self) -> float:
        return float(self.page.evaluate("samples.length ? samples[samples.length - 1][1] : 0"))

    def is_over(self) -> bool:
        return bool(self.page.evaluate("samples.some(one => one[3])"))

    def report(self, trouble_wall_s: float) -> dict[str, Any]:
        samples = self.samples()
        stalls = stalls_of(samples)
        media = [one for one in self.asked if one[2].endswith((".m4s", ".mp4"))]
        steering = [one for one in self.asked if one[2].startswith("/v1/steering/")]
        before = Counter(name for at, name, _, end in media if at < trouble_wall_s and end < "4")
        after = Counter(name for at, name, _, end in media if at >= trouble_wall_s and end < "4")
        ahead = [one[2] for one in samples if one[0] < trouble_wall_s]
        return {
            "player": self.player.name,
            "format": self.player.format,
            "is_over": bool(samples and samples[-1][3]),
            "played_to_s": round(samples[-1][1], 1) if samples else 0.0,
            "stall_count": len(stalls),
            "stalled_s": round(sum(long_s for _, long_s in stalls), 2),
            "stalls": [(round(at - trouble_wall_s, 1), round(long_s, 2)) for at, long_s in stalls],
            "buffer_s": round(ahead[-1], 1) if ahead else 0.0,
            "segments_before": dict(before),
            "segments_after": dict(after),
            "failed": [
                (round(at - trouble_wall_s, 1), name, path[-60:], end)
                for at, name, path, end in self.asked
                if not end < "4"
            ],
            "steering": [
                (round(at - trouble_wall_s, 1), path[-160:], end) for at, _, path, end in steering
            ],
            "said": [*self.said, *self.page.evaluate("told")],
        }


def stalls_of(samples: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """When the video stood still (after its start, before its end), and for how long."""
    found: list[tuple[float, float]] = []
    since: float | None = None
    last: Sequence[float] | None = None
    for one in samples:
        if last is not None and last[1] > 0:
            if one[1] <= last[1] and not one[3]:
                since = last[0] if since is None else since
            elif since is not None:
                if last[0] - since >= STALL_S_MIN:
                    found.append((since, last[0] - since))
                since = None
        last = one
    if since is not None and last is not None and not last[3]:
        found.append((since, last[0] - since))
    return found


def play(
    browser: Browser, fleet: StockFleet, pages: PageServer, scenario: str, options: Any
) -> list[dict[str, Any]]:
    """All players at once through one scenario."""
    eventually(lambda: set(NAMES) <= set(fleet.order()), "all edges in the ranking")
    start_url = fleet.edges[options.start].url if options.start in fleet.edges else fleet.url
    folder = "v1/play" if options.start == "play" else "media"
    watched: list[Watched] = []
    contexts: list[BrowserContext] = []
    for player in PLAYERS:
        if options.only and options.only not in f"{player.name} {player.format}":
            continue
        context = browser.new_context()
        contexts.append(context)
        page = context.new_page()
        watched.append(Watched(player, page, fleet.hosts))
        media_url = f"{start_url}/{folder}/{TITLE}/{player.manifest}"
        page.goto(pages.page(player, media_url, is_short=options.short))
    pump = watched[0].page
    deadline_s = time.monotonic() + TROUBLE_AT_S + 15
    while time.monotonic() < deadline_s and max(one.at_s() for one in watched) < TROUBLE_AT_S:
        pump.wait_for_timeout(100)
    victim = fleet.order()[0]
    trouble_wall_s = time.time()
    make_trouble(scenario, fleet, victim)
    deadline_s = time.monotonic() + TITLE_S + 30
    while time.monotonic() < deadline_s and not all(one.is_over() for one in watched):
        pump.wait_for_timeout(200)
    reports = [{"victim": victim, **one.report(trouble_wall_s)} for one in watched]
    for context in contexts:
        context.close()
    return reports


def make_trouble(scenario: str, fleet: StockFleet, victim: str) -> None:
    if scenario == "killed":
        fleet.edges[victim].process.kill()
    elif scenario == "hung":
        fleet.edges[victim].process.send_signal(signal.SIGSTOP)
    elif scenario == "drained":
        library = ("--library", str(fleet.library))
        nearcast("origin", "fleet", "drain", victim, *library)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--players", default=os.environ.get("NEARCAST_PLAYERS", ""))
    parser.add_argument("--scenario", choices=SCENARIOS, action="append")
    parser.add_argument("--only", default="", help="part of a player's name and format")
    parser.add_argument("--short", action="store_true", help="6 s of buffer, not the defaults")
    parser.add_argument(
        "--start",
        default="origin",
        help="who gives the manifest: origin, play (for each client), an edge",
    )
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--edge-port", type=int, default=0, help="else the origin's")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not options.players:
        parser.error("--players or NEARCAST_PLAYERS: the folder of the players' npm packages")
    told: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as made, sync_playwright() as playwright:
        folder = Path(made)
        room = folder / "pages"
        room.mkdir()
        versions = find_packages(Path(options.players), room)
        print("players:", ", ".join(f"{name} {no}" for name, no in sorted(versions.items())))
        pages = PageServer(room)
        titles = make_titles(folder)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(FLAGS)
        )
        for scenario in options.scenario or SCENARIOS:
            place = folder / scenario
            place.mkdir()
            fleet = StockFleet(place, titles, options.port, options.edge_port or options.port)
            try:
                for one in play(browser, fleet, pages, scenario, options):
                    told.append({"scenario": scenario, **one})
                    print(row(told[-1]), flush=True)
            finally:
                fleet.close()
            if options.json:
                options.json.write_text(json.dumps({"versions": versions, "runs": told}, indent=1))
        browser.close()
        pages.close()
    return 0


def row(one: dict[str, Any]) -> str:
    taken = "; ".join(
        ", ".join(f"{name} {count}" for name, count in one[when].items()) or "none"
        for when in ("segments_before", "segments_after")
    )
    return (
        f"| {one['player']} | {one['format']} | {one['scenario']} | {one['stalled_s']} s in"
        f" {one['stall_count']} | {'yes' if one['is_over'] else 'no, to'} {one['played_to_s']} |"
        f" {one['buffer_s']} | {one['victim']}: {taken} | {len(one['failed'])} |"
    )


if __name__ == "__main__":
    sys.exit(main())
