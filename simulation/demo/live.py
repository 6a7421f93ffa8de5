"""The demo's evening with real processes and real sockets.

    players -- last miles --> edge --- backhaul ---> origin        twice: prefetch off, and on

Every arrow is a `nearcast shape` link, both edges have the same backhaul of their own, and both
sides run at the same time, so that whatever else the machine does, it does to both.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from origin.catalog import TITLES_PREFIX, TitleDetail
from simulation.demo.plan import AUTOPLAY_GAP_S, LAST_MILE_DELAY_MS, DemoPlan, DemoViewer
from simulation.demo.processes import Processes, Running

SIDES = ("off", "on")
PLAY_S_MAX = 150.0
ANSWER_S = 10.0


class Evening(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides, and what the origin said of the titles they watched."""

    sides: Mapping[str, LiveSide]
    titles: Mapping[str, TitleDetail]


class LiveSide(msgspec.Struct, frozen=True, kw_only=True):
    """What one side left behind: the players' report and the edge's last status, as JSON
    objects."""

    players: Mapping[str, Any]
    edge: Mapping[str, Any]


def run_live(plan: DemoPlan, library: Path, folder: Path, say: Callable[[str], None]) -> Evening:
    """Play the plan on both sides at once. Raises ProcessFailed when a process fails."""
    with Processes(folder) as processes:
        origin = processes.start(
            "origin", "origin", "serve", "--library", str(library), "--listen", "127.0.0.1:0"
        )
        upstream = _url(origin.line())
        titles = {
            title.id: msgspec.json.decode(
                _get(f"{upstream}{TITLES_PREFIX}{title.id}"), type=TitleDetail
            )
            for title in plan.titles
        }
        backhauls = _links(
            processes,
            folder,
            "backhauls",
            [
                {
                    "name": side,
                    "to": upstream.removeprefix("http://"),
                    "rate_kbps": plan.backhaul.rate_kbps,
                    "delay_ms": plan.backhaul.delay_ms,
                }
                for side in SIDES
            ],
        )
        edges = {
            side: _edge(processes, folder, side, f"http://{backhauls[side]}") for side in SIDES
        }
        addresses = {side: _url(edge.line()) for side, edge in edges.items()}
        last_miles = _links(
            processes,
            folder,
            "last-miles",
            [
                {
                    "name": f"{side}-{viewer.id}",
                    "to": addresses[side].removeprefix("http://"),
                    "trace": viewer.last_mile,
                    "offset_s": viewer.offset_s,
                    "delay_ms": LAST_MILE_DELAY_MS[viewer.last_mile],
                }
                for side in SIDES
                for viewer in plan.viewers
            ],
        )
        say(f"playing: {len(plan.viewers)} viewers a side, both sides at once")
        players = {side: _players(processes, folder, side, plan, last_miles) for side in SIDES}
        for process in players.values():
            process.wait(PLAY_S_MAX)
        sides = {
            side: LiveSide(
                players=json.loads((folder / f"players-{side}.json").read_bytes()),
                edge=json.loads(_get(f"{addresses[side]}/.nearcast/status")),
            )
            for side in SIDES
        }
    return Evening(sides=sides, titles=titles)


def _url(line: str) -> str:
    """The http:// address in a ready line."""
    return next(word for word in line.split() if word.startswith("http://")).rstrip("/")


def _links(
    processes: Processes, folder: Path, name: str, links: list[dict[str, object]]
) -> dict[str, str]:
    file = folder / f"{name}.links.json"
    file.write_text(json.dumps(links))
    line = processes.start(name, "shape", "--links", str(file)).line()
    return dict(word.split("=", 1) for word in line.split()[1:])


def _edge(processes: Processes, folder: Path, side: str, upstream: str) -> Running:
    return processes.start(
        f"edge-{side}",
        "edge",
        "--upstream",
        upstream,
        "--listen",
        "127.0.0.1:0",
        "--store",
        str(folder / f"store-{side}"),
        "--set",
        f"prefetch.enabled={'true' if side == 'on' else 'false'}",
    )


def _players(
    processes: Processes, folder: Path, side: str, plan: DemoPlan, last_miles: Mapping[str, str]
) -> Running:
    viewers = [
        {"start_s": viewer.start_s, "plan": _viewing(viewer, last_miles[f"{side}-{viewer.id}"])}
        for viewer in plan.viewers
    ]
    schedule = folder / f"schedule-{side}.json"
    schedule.write_text(json.dumps({"viewers": viewers}))
    report = folder / f"players-{side}.json"
    return processes.start(
        f"players-{side}", "play", "--schedule", str(schedule), "--json", str(report), "--quiet"
    )


def _viewing(viewer: DemoViewer, address: str) -> dict[str, object]:
    return {
        "viewer_id": viewer.id,
        "items": viewing_items(viewer, f"http://{address}"),
    }


def viewing_items(viewer: DemoViewer, base_url: str) -> list[dict[str, object]]:
    """The items of the viewer's `abr.viewer.ViewingPlan`; the twin plays the same ones."""
    name = "manifest.mpd" if viewer.protocol == "dash" else "master.m3u8"
    return [
        {
            "url": f"{base_url}/media/{title}/{name}",
            "gap_s": AUTOPLAY_GAP_S if number else 0.0,
            "is_next_episode": number > 0 and "-s01e" in title,
            "watch_s": viewer.leaves_after_s if title == viewer.titles[-1] else None,
        }
        for number, title in enumerate(viewer.titles)
    ]


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=ANSWER_S) as answer:
        body = answer.read()
    assert isinstance(body, bytes)
    return body
