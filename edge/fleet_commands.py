"""`nearcast edge enrol`: make an edge a member of a fleet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from nearcast.errors import ConfigError, InputError
from nearcast.json_file import JsonFile, check_json_file, write_json
from nearcast.units import parse_size

if TYPE_CHECKING:
    from nearcast.fleet import EdgeProfile

LINK_KBPS: float = 1_000_000.0


def enrol(
    token: Annotated[
        str,
        typer.Argument(
            metavar="TOKEN",
            help="What `nearcast origin fleet enrol EDGE` gave; `-` reads it from standard input.",
        ),
    ],
    url: Annotated[
        str, typer.Option(metavar="URL", help="Where players and other edges reach this edge.")
    ],
    store: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The edge's store; kept in its `fleet`.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Instead, for an edge with `fleet.folder` set to it."),
    ] = None,
    cluster: Annotated[
        str, typer.Option(metavar="NAME", help="Edges of one site fill from each other first.")
    ] = "",
    region: Annotated[str, typer.Option(metavar="NAME", help="Where it is.")] = "",
    network: Annotated[
        list[str] | None,
        typer.Option(metavar="CIDR", help="Clients that are near it; may be given again."),
    ] = None,
    capacity: Annotated[
        str, typer.Option(metavar="SIZE", help="What its store may hold, e.g. 10GB.")
    ] = "10GB",
    link_kbps: Annotated[
        float, typer.Option(metavar="KBPS", help="What it can send to players.")
    ] = LINK_KBPS,
    time_zone: Annotated[
        str,
        typer.Option(metavar="ZONE", help="In which its viewers live, such as Europe/Berlin."),
    ] = "",
    utc_offset: Annotated[
        float | None,
        typer.Option(metavar="HOURS", help="Instead: of their clocks to UTC, all the year. [0]"),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="EDGE", help="Refuse a token that is for another edge.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Although it has enrolled before.")
    ] = False,
    json_file: JsonFile = None,
) -> int:
    """Make this edge a member of a fleet, with a token that is good once.

    A key is made here, the origin signs its certificate, and `nearcast edge` with the same store
    takes part from then on: it sends heartbeats, follows placement plans, and is steered to.

    Example: nearcast edge enrol nce1.eyJ... --store /var/cache/nearcast --url http://edge7:8081
    """
    from edge.drivers.fleet.enrolment import enrol as enrol_edge
    from edge.drivers.fleet.folder import FOLDER, FleetFolder
    from nearcast.aio import run
    from nearcast.enrol_token import read_token

    check_json_file(json_file)
    if (store is None) == (folder is None):
        raise ConfigError("give one of --store and --folder: where the edge keeps who it is")
    path = folder if folder is not None else Path(store or "") / FOLDER
    kept = FleetFolder(path)
    if kept.has_identity and not replace:
        raise ConfigError(f"{path} has an identity already; --replace makes another")
    text = typer.get_text_stream("stdin").readline() if token == "-" else token
    known = read_token(text)
    if name is not None and name != known.edge:
        raise InputError(f"the token is for {known.edge}, not for {name}")
    profile = _profile(
        url, cluster, region, tuple(network or ()), capacity, link_kbps, time_zone, utc_offset
    )
    kept.check_writable()
    identity = run(enrol_edge(known, profile))
    kept.keep_identity(identity)
    typer.echo(
        f"{identity.edge} is enrolled with {', '.join(identity.origins)}; start it with the same "
        f"{'--store' if store is not None else 'fleet.folder'} (kept in {path})"
    )
    write_json(
        json_file, {"edge": identity.edge, "origins": list(identity.origins), "folder": str(path)}
    )
    return 0


def _profile(
    url: str,
    cluster: str,
    region: str,
    networks: tuple[str, ...],
    capacity: str,
    link_kbps: float,
    time_zone: str,
    utc_offset_h: float | None,
) -> EdgeProfile:
    """Raises InputError."""
    from nearcast.address import network
    from nearcast.clock import SystemClock
    from nearcast.fleet import EdgeProfile
    from nearcast.zones import stated

    for text in networks:
        network(text)
    time_zone, offset_h = stated(time_zone, utc_offset_h, SystemClock().system_wall_s())
    given = {
        "url": url.rstrip("/"),
        "cluster": cluster,
        "region": region,
        "networks": networks,
        "capacity_bytes": parse_size(capacity),
        "link_kbps": link_kbps,
        "utc_offset_h": offset_h,
        "time_zone": time_zone,
    }
    try:
        return msgspec.convert(given, EdgeProfile)
    except msgspec.ValidationError as error:
        raise InputError(f"that cannot be: {error}; --url is http(s)://host[:port]") from error
