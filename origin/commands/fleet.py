"""`nearcast origin fleet`: the edges of a running origin."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from nearcast.errors import InputError
from nearcast.json_file import JsonFile, check_json_file, write_json
from origin.commands.asking import Place, asks, client, duration_s

if TYPE_CHECKING:
    from nearcast.fleet import Duty
    from origin.control.api import Changed

WATCH_S: Final = 2.0

fleet_app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="The edges of a running origin: how they do, who may join, who rests.",
    epilog="Example: nearcast origin fleet enrol ams-1 && nearcast origin fleet list",
)

Edge = Annotated[str, typer.Argument(metavar="EDGE", help="The edge's name.")]


@fleet_app.command("list", epilog="Example: nearcast origin fleet list --watch")
@asks
def list_edges(
    place: Place,
    watch: Annotated[bool, typer.Option("--watch", help="Again each 2 s, until Ctrl-C.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Show the edges: state, last heartbeat, load, hit ratio and origin traffic of the last minute,
    store used, planned files held."""
    from origin.commands.fleet_table import lines
    from origin.control.api import EdgeList

    check_json_file(json_file)
    origin = client(place)
    while True:
        fleet = origin.get("/edges", EdgeList)
        if watch:
            typer.echo("\x1b[2J\x1b[H", nl=False)
        for line in lines(fleet.totals, fleet.edges):
            typer.echo(line)
        write_json(json_file, fleet)
        if not watch:
            return
        time.sleep(WATCH_S)


@fleet_app.command(epilog="Example: nearcast origin fleet enrol ams-1 --valid 2h")
@asks
def enrol(
    place: Place,
    edge: Edge,
    valid: Annotated[str, typer.Option(help="How long the token is good: 90s, 30m, 2h, 7d.")] = (
        "1h"
    ),
    json_file: JsonFile = None,
) -> None:
    """Make a token with which one edge may join, once. It is shown this once."""
    from origin.control.api import Invitation, Invited

    check_json_file(json_file)
    wanted = Invitation(edge=_checked(edge), valid_s=duration_s(valid))
    made = client(place).post("/enrolments", wanted, Invited)
    until = datetime.fromtimestamp(made.until_wall_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
    typer.echo(made.token)
    typer.echo(
        f"{edge} may enrol until {until}; on the edge:\n"
        "  nearcast edge enrol TOKEN --store DIR --url http://THIS.EDGE:PORT",
        err=True,
    )
    write_json(json_file, made)


@fleet_app.command(epilog="Example: nearcast origin fleet drain ams-1")
@asks
def drain(
    place: Place,
    edge: Edge,
    undo: Annotated[bool, typer.Option("--undo", help="Put it to work again.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Send an edge no new players; who watches goes on, planned bytes stay."""
    duty: Duty = "active" if undo else "draining"
    _say(_set_duty(place, edge, duty), json_file)


@fleet_app.command(epilog="Example: nearcast origin fleet maintenance ams-1")
@asks
def maintenance(
    place: Place,
    edge: Edge,
    undo: Annotated[bool, typer.Option("--undo", help="Put it to work again.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Take an edge out of service: no players, no fills, and its silence is no alarm."""
    duty: Duty = "active" if undo else "maintenance"
    _say(_set_duty(place, edge, duty), json_file)


@fleet_app.command(
    "set", epilog="Example: nearcast origin fleet set ams-1 --time-zone Europe/Berlin"
)
@asks
def set_profile(
    place: Place,
    edge: Edge,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where players and other edges reach it.")
    ] = None,
    cluster: Annotated[str | None, typer.Option(metavar="NAME", help="Its site.")] = None,
    region: Annotated[str | None, typer.Option(metavar="NAME", help="Where it is.")] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR", help="Clients that are near it, all of them; may be given again."
        ),
    ] = None,
    capacity: Annotated[
        str | None, typer.Option(metavar="SIZE", help="What its store may hold, e.g. 10GB.")
    ] = None,
    link_kbps: Annotated[
        float | None, typer.Option(metavar="KBPS", help="What it can send to players.")
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(metavar="ZONE", help="In which its viewers live, such as Europe/Berlin."),
    ] = None,
    utc_offset: Annotated[
        float | None,
        typer.Option(metavar="HOURS", help="Instead: of their clocks to UTC, all the year."),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Change what an edge said of itself when it enrolled; what is not named stays. Players follow
    a new URL or other networks with their next question, plans with the next plan."""
    from nearcast.units import parse_size
    from origin.commands.fleet_table import profile_lines
    from origin.control.api import ProfileNow, ProfileWanted
    from origin.drivers.control.client import part

    check_json_file(json_file)
    wanted = ProfileWanted(
        url=url.rstrip("/") if url is not None else None,
        cluster=cluster,
        region=region,
        networks=tuple(filter(None, network)) if network is not None else None,
        capacity_bytes=parse_size(capacity) if capacity is not None else None,
        link_kbps=link_kbps,
        time_zone=time_zone,
        utc_offset_h=utc_offset,
    )
    path = f"/edges/{part(_checked(edge))}/profile"
    now = client(place).post(path, wanted, ProfileNow)
    for line in profile_lines(now.edge, now.profile):
        typer.echo(line)
    write_json(json_file, now)


@fleet_app.command(epilog="Example: nearcast origin fleet revoke ams-1")
@asks
def revoke(
    place: Place,
    edge: Edge,
    json_file: JsonFile = None,
) -> None:
    """Take an edge out of the fleet: its certificate ends at once. It may enrol anew."""
    import msgspec

    from origin.control.api import Changed
    from origin.drivers.control.client import part

    check_json_file(json_file)
    content = client(place).delete(f"/edges/{part(_checked(edge))}")
    _say(msgspec.json.decode(content, type=Changed), json_file)


@fleet_app.command(epilog="Example: nearcast origin fleet forget ams-1")
@asks
def forget(
    place: Place,
    edge: Edge,
) -> None:
    """Remove a revoked edge from the list, with what was heard of it."""
    from origin.drivers.control.client import part

    client(place).delete(f"/edges/{part(_checked(edge))}/record")
    typer.echo(f"{edge}: forgotten")


def _set_duty(place: Place, edge: str, duty: Duty) -> Changed:
    from origin.control.api import Changed, DutyWanted
    from origin.drivers.control.client import part

    origin = client(place)
    return origin.post(f"/edges/{part(_checked(edge))}/duty", DutyWanted(duty=duty), Changed)


def _say(changed: Changed, json_file: Path | None) -> None:
    typer.echo(f"{changed.edge}: {'revoked' if changed.is_revoked else changed.duty}")
    write_json(json_file, changed)


def _checked(edge: str) -> str:
    from nearcast.fleet import EDGE_PATTERN

    if not re.fullmatch(EDGE_PATTERN, edge):
        raise InputError(
            f"{edge!r} cannot name an edge: small letters, digits and -, such as ams-1"
        )
    return edge
