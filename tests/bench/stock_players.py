"""Stock players in a real fleet: hls.js, dash.js, Shaka and video.js in headless Chromium.

    NEARCAST_PLAYERS=DIR python -m tests.bench.stock_players [--scenario killed] [--json FILE]

DIR holds the players' npm packages as `npm pack hls.js dashjs shaka-player video.js` writes them.
All play one title at once, each in a page of its own, from an origin and three enrolled edges,
which are real processes at 127.0.0.x; in mid-title the edge they were sent to is killed, hung or
drained, or is killed, started again and the only one that is not drained (`returned`). No part of
the test run: it takes minutes, and packages that are not ours. Ports: edges and origin have port 80
unless told, as a fleet has in earnest, for which a process needs root.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import msgspec
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.bench.player_pages import PLAYERS, PageServer, find_packages
from tests.bench.stock_fleet import NAMES, TITLE, TITLE_S, StockFleet, make_titles, nearcast
from tests.bench.watched_player import WatchedPlayer, row
from tests.e2e.conftest import eventually

SCENARIOS: Final = ("none", "killed", "hung", "drained", "returned")
TROUBLE_AT_S: Final = 24.0
"""Of the title: by then each has heard the steering server twice."""
FLAGS: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required", "--mute-audio"),
    *("--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding"),
)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    only: str
    start: str
    is_short: bool


def play(
    browser: Browser, fleet: StockFleet, pages: PageServer, scenario: str, options: Options
) -> list[dict[str, Any]]:
    """All players at once through one scenario."""
    eventually(lambda: set(NAMES) <= set(fleet.order()), "all edges in the ranking")
    start_url = fleet.edges[options.start].url if options.start in fleet.edges else fleet.url
    folder = "v1/play" if options.start == "play" else "media"
    watched: list[WatchedPlayer] = []
    contexts: list[BrowserContext] = []
    for player in PLAYERS:
        if options.only and options.only not in f"{player.name} {player.format}":
            continue
        context = browser.new_context()
        contexts.append(context)
        page = context.new_page()
        watched.append(WatchedPlayer(player, page, fleet.hosts))
        media_url = f"{start_url}/{folder}/{TITLE}/{player.manifest}"
        page.goto(pages.page(player, media_url, is_short=options.is_short))
    pump = watched[0].page
    deadline_s = time.monotonic() + TROUBLE_AT_S + 15
    while time.monotonic() < deadline_s and max(one.at_s() for one in watched) < TROUBLE_AT_S:
        pump.wait_for_timeout(100)
    victim = fleet.order()[0]
    trouble_wall_s = make_trouble(scenario, fleet, victim, pump)
    deadline_s = time.monotonic() + TITLE_S + 30
    while time.monotonic() < deadline_s and not all(one.is_over() for one in watched):
        pump.wait_for_timeout(200)
    reports = [{"victim": victim, **one.report(trouble_wall_s)} for one in watched]
    for context in contexts:
        context.close()
    return reports


def make_trouble(scenario: str, fleet: StockFleet, victim: str, pump: Page) -> float:
    """When it was made, in wall time; of a return, when the players had nowhere else to go."""
    library = ("--library", str(fleet.library))
    wall_s = time.time()
    if scenario in ("killed", "returned"):
        fleet.edges[victim].process.kill()
    elif scenario == "hung":
        fleet.edges[victim].process.send_signal(signal.SIGSTOP)
    elif scenario == "drained":
        nearcast("origin", "fleet", "drain", victim, *library)
    if scenario == "returned":
        while victim in fleet.order():
            pump.wait_for_timeout(100)
        fleet.start_again(victim)
        while victim not in fleet.order():
            pump.wait_for_timeout(100)
        wall_s = time.time()
        for name in sorted({*NAMES} - {victim}):
            nearcast("origin", "fleet", "drain", name, *library)
    return wall_s


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
    given = parser.parse_args()
    options = Options(only=given.only, start=given.start, is_short=given.short)
    if not given.players:
        parser.error("--players or NEARCAST_PLAYERS: the folder of the players' npm packages")
    told: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as made, sync_playwright() as playwright:
        folder = Path(made)
        room = folder / "pages"
        room.mkdir()
        versions = find_packages(Path(given.players), room)
        print("players:", ", ".join(f"{name} {no}" for name, no in sorted(versions.items())))
        pages = PageServer(room)
        titles = make_titles(folder)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(FLAGS)
        )
        for scenario in given.scenario or SCENARIOS:
            place = folder / scenario
            place.mkdir()
            fleet = StockFleet(place, titles, given.port, given.edge_port or given.port)
            try:
                for one in play(browser, fleet, pages, scenario, options):
                    told.append({"scenario": scenario, **one})
                    print(row(told[-1]), flush=True)
            finally:
                fleet.close()
            if given.json:
                given.json.write_text(json.dumps({"versions": versions, "runs": told}, indent=1))
        browser.close()
        pages.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
