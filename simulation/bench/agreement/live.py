"""The sessions live: players, each behind a shaped link of its own, and an origin.

All processes are real ones. The players are set to the session that the simulator plays: playback
starts and goes on with the first segment, and a request may bring nothing for as long as the trace
has an outage.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import msgspec

from abr.report import SessionReport
from abr.schedule import Schedule, ScheduledViewer, ScheduleReport
from abr.viewer import PlayItem, ViewingPlan
from nearcast.clock import SystemClock
from nearcast.errors import NearcastError
from nearcast.trace import Trace
from nearcast.units import ms_from_s
from simulation.bench.agreement.media import MANIFEST, write_title
from simulation.bench.agreement.plan import Plan
from simulation.bench.processes import LOAD_CORE, SERVER_CORE, Process, process
from simulation.link_shape import ProxySpec

SETTINGS = {
    "startup_buffer_s": 0,
    "rebuffer_s": 0,
    "request_timeout_s": 600,
    "cmcd": "off",
}
START_GAP_S = 0.5
"""Players that all read their manifests at once would wait for each other's."""
WAIT_S_MAX = 900.0
"""Two minutes of media; the rest is for outages."""


class LiveFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What the players said."""

    reports: tuple[SessionReport, ...]
    manifests_bytes: tuple[int, ...]
    cpu_share: float | None
    """Run time of the players' process over wall time: near 1 it was too slow for real time."""


def play_live(plan: Plan, folder: Path) -> LiveFigures:
    """Raises NearcastError when a process or a player fails."""
    titles = {id(session.title): session.title for session in plan.sessions}
    names = {key: f"title{index}" for index, key in enumerate(titles)}
    web = folder / "web"
    sizes = {key: write_title(title, web / names[key]) for key, title in titles.items()}
    origin = process(
        "origin", [sys.executable, "-m", "simulation.bench.ranges", str(web)], core=SERVER_CORE
    )
    with origin as upstream:
        port = int(upstream.first_line())
        links = folder / "links.json"
        links.write_bytes(msgspec.json.encode(_links(plan, port, folder)))
        shape = [sys.executable, "-m", "nearcast", "shape", "--links", str(links)]
        with process("shape", shape, core=SERVER_CORE) as proxies:
            addresses = proxies.first_line().split()[1:]
            urls = [
                f"http://{address.partition('=')[2]}/{names[id(session.title)]}/{MANIFEST}"
                for address, session in zip(addresses, plan.sessions, strict=True)
            ]
            reports, cpu_share = _play(plan, urls, folder)
    return LiveFigures(
        reports=reports,
        manifests_bytes=tuple(sizes[id(session.title)] for session in plan.sessions),
        cpu_share=cpu_share,
    )


def _play(
    plan: Plan, urls: list[str], folder: Path
) -> tuple[tuple[SessionReport, ...], float | None]:
    schedule, out = folder / "schedule.json", folder / "played.json"
    viewers = tuple(
        ScheduledViewer(
            plan=ViewingPlan(viewer_id=f"viewer{index}", items=(PlayItem(url=url),)),
            start_s=index * START_GAP_S,
        )
        for index, url in enumerate(urls)
    )
    schedule.write_bytes(msgspec.json.encode(Schedule(viewers=viewers)))
    arguments = [
        *(sys.executable, "-m", "nearcast", "play", "--quiet"),
        *("--schedule", str(schedule), "--json", str(out), *player_options(plan)),
    ]
    with process("players", arguments, core=LOAD_CORE) as players:
        share = _wait(players)
    if players.popen.returncode != 0:
        raise NearcastError(f"the players ended with status {players.popen.returncode}")
    played = msgspec.json.decode(out.read_bytes(), type=ScheduleReport)
    return tuple(viewer.sessions[0] for viewer in played.viewers), share


def player_options(plan: Plan) -> list[str]:
    """What makes a player the one that is simulated."""
    options = ["--controller", plan.choice.name, "--buffer", str(plan.buffer_s_max)]
    settings = [f"{name}={value}" for name, value in SETTINGS.items()]
    settings += [f"abandon.is_on={str(plan.can_abandon).lower()}", *plan.choice.assignments]
    for setting in settings:
        options += ["--set", setting]
    return options


def _wait(players: Process) -> float | None:
    """Until they are done; the share of a core that they took."""
    begun_s = SystemClock.now_s()
    cpu_s = None
    while (wall_s := SystemClock.now_s() - begun_s) < WAIT_S_MAX:
        try:
            players.popen.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            cpu_s = players.cpu_s()
        else:
            return None if cpu_s is None else cpu_s / wall_s
    raise NearcastError(f"the players were not done after {WAIT_S_MAX:.0f} s")


def _links(plan: Plan, port: int, folder: Path) -> list[ProxySpec]:
    traces = folder / "traces"
    traces.mkdir()
    specs = []
    for index, session in enumerate(plan.sessions):
        file = traces / f"{index}.csv"
        _write_trace(session.trace, file)
        specs.append(
            ProxySpec(
                name=f"link{index}",
                to=f"127.0.0.1:{port}",
                trace=str(file),
                delay_ms=ms_from_s(session.rtt_s / 2),
                slow_start=True,
                from_client=True,
            )
        )
    return specs


def _write_trace(trace: Trace, file: Path) -> None:
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["t_s", "throughput_kbps"])
        writer.writerows(zip(trace.times_s, (*trace.rates_kbps, 0.0), strict=True))
