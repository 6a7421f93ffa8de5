"""The demo's evening with real processes and real sockets.

    players -- last miles --> edge --- backhaul ---> origin        twice: prefetch off, and on

Every arrow is a `nearcast shape` link, both edges have the same backhaul of their own, and both
sides run at the same time, so that whatever else the machine does, it does to both.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from abr.report import ViewerReport
from abr.schedule import Schedule, ScheduledViewer, ScheduleReport
from nearcast.messages import CATALOG_PATH, Catalog
from origin.catalog import TITLES_PREFIX, TitleDetail
from simulation.demo.plan import SIDES, DemoPlan
from simulation.demo.processes import Processes, Running
from simulation.link_shape import LinkShape, ProxySpec
from simulation.world import viewing_plan

PLAY_S_MAX = 150.0
ANSWER_S = 10.0


class Evening(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides, and what the origin said of the titles they watched."""

    sides: Mapping[str, LiveSide]
    titles: Mapping[str, TitleDetail]


class LiveSide(msgspec.Struct, frozen=True, kw_only=True):
    """What one side left behind: the viewers' reports and the edge's last status, a JSON object
    that holds the drivers' figures too."""

    viewers: tuple[ViewerReport, ...]
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
        catalog = msgspec.json.decode(_get(upstream + CATALOG_PATH), type=Catalog)
        backhauls = _links(
            processes,
            folder,
            "backhauls",
            [_link(side, upstream, plan.backhaul) for side in SIDES],
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
                _link(f"{side}-{viewer.id}", addresses[side], viewer.last_mile)
                for side in SIDES
                for viewer in plan.viewers
            ],
        )
        say(f"playing: {len(plan.viewers)} viewers a side, both sides at once")
        successors = catalog.successors()
        players = {
            side: _players(
                processes, folder, side, live_schedule(plan, side, last_miles, successors)
            )
            for side in SIDES
        }
        for process in players.values():
            process.wait(PLAY_S_MAX)
        sides = {
            side: LiveSide(
                viewers=msgspec.json.decode(
                    (folder / f"players-{side}.json").read_bytes(), type=ScheduleReport
                ).viewers,
                edge=msgspec.json.decode(_get(f"{addresses[side]}/.nearcast/status")),
            )
            for side in SIDES
        }
    return Evening(sides=sides, titles=titles)


def _url(line: str) -> str:
    """The http:// address in a ready line."""
    return next(word for word in line.split() if word.startswith("http://")).rstrip("/")


def live_schedule(
    plan: DemoPlan, side: str, last_miles: Mapping[str, str], successors: Mapping[str, str]
) -> Schedule:
    """What the players of one side are told: the same as the viewers of the twin."""
    return Schedule(
        viewers=tuple(
            ScheduledViewer(
                plan=viewing_plan(viewer, viewer.id, last_miles[f"{side}-{viewer.id}"], successors),
                start_s=viewer.start_s,
            )
            for viewer in plan.viewers
        )
    )


def _link(name: str, to_url: str, shape: LinkShape) -> ProxySpec:
    to = to_url.removeprefix("http://")
    return ProxySpec(name=name, to=to, **msgspec.structs.asdict(shape))


def _links(
    processes: Processes, folder: Path, name: str, links: Sequence[ProxySpec]
) -> dict[str, str]:
    """Addresses by the links' names."""
    file = folder / f"{name}.links.json"
    file.write_bytes(msgspec.json.encode(links))
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


def _players(processes: Processes, folder: Path, side: str, schedule: Schedule) -> Running:
    file = folder / f"schedule-{side}.json"
    file.write_bytes(msgspec.json.encode(schedule))
    report = folder / f"players-{side}.json"
    return processes.start(
        f"players-{side}", "play", "--schedule", str(file), "--json", str(report), "--quiet"
    )


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=ANSWER_S) as answer:
        body = answer.read()
    assert isinstance(body, bytes)
    return body
