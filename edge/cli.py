"""`nearcast edge`: run a cache node; `purge`: take back what it holds; `explain`: ask it why."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.fleet_commands import enrol
from edge.operator_commands import explain, forget, models, purge
from nearcast.config import Loaded, load
from nearcast.descriptors import raise_descriptor_limit
from nearcast.json_file import JsonFile, check_json_file, write_json

if TYPE_CHECKING:
    from edge.config import EdgeConfig

logger = logging.getLogger(__name__)

edge = typer.Typer(add_completion=False, rich_markup_mode=None)

GC_OBJECTS = 20_000
LISTEN_DEFAULT = "127.0.0.1:8081"


@edge.callback(invoke_without_command=True)
def run_node(
    context: typer.Context,
    upstream: Annotated[
        str | None, typer.Option(metavar="URL", help="The origin: http://host[:port][/prefix].")
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help=f"Where to serve; port 0 takes any. Default {LISTEN_DEFAULT}.",
        ),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for the objects. Without one, RAM alone."),
    ] = None,
    capacity: Annotated[
        str | None, typer.Option(metavar="SIZE", help="What the store may hold, e.g. 10GB.")
    ] = None,
    admin: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Serve /metrics, /livez, /readyz and /.nearcast/ here, instead of to local "
            "clients on the main port; and POST /purge and /reload.",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A bundle of settings under those of --config; `transparent`: do what RFC 9111 "
            "and the origin say and nothing of our own.",
        ),
    ] = None,
    admin_token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The word that changes over --admin need; made when there is none.",
        ),
    ] = None,
    config_file: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="Settings in a TOML file, read again on SIGHUP."
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Over all other layers.")
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Show every setting and where it came from.")
    ] = False,
    json_file: JsonFile = None,
) -> int:
    """Run a cache node in front of any HTTP origin.

    Ctrl-C or SIGTERM lets answers under way finish and ends it; --json holds the status then.
    SIGHUP reads the settings again: services, their rules, times and limits change at once, and
    what needs a restart is named. `nearcast edge purge --help` is about taking back what is stored.

    Example: nearcast edge --upstream http://127.0.0.1:8080 --store /var/cache/nearcast

    With several services, and a port for operators:
    nearcast edge --config edge.toml --admin 127.0.0.1:8082 --admin-token-file /etc/nearcast/token
    """
    if context.invoked_subcommand is not None:
        return 0
    from edge.config import EdgeConfig
    from edge.config.profiles import PROFILES

    given = {
        "upstream": upstream,
        "listen": listen,
        "store": str(store) if store is not None else None,
        "capacity_bytes": capacity,
        "admin_listen": admin,
        "admin_token_file": str(admin_token_file) if admin_token_file is not None else None,
    }
    layers = [f"{key}={value}" for key, value in given.items() if value is not None]

    def read() -> Loaded[EdgeConfig]:
        return load(
            EdgeConfig,
            role="edge",
            file=config_file,
            environ=os.environ,
            assignments=[*layers, *(assignments or [])],
            profile=profile,
            profiles=PROFILES,
        )

    loaded = read()
    if print_config:
        for line in loaded.lines():
            typer.echo(line)
        return 0
    check_json_file(json_file)

    from nearcast.aio import run

    status, report = run(_serve(loaded.value, lambda: read().value))
    write_json(json_file, report)
    return status


edge.command("enrol", short_help="Make this edge a member of a fleet.")(enrol)
edge.command("purge")(purge)
edge.command("explain")(explain)
edge.command("models", short_help="Say which models run, and how good they are.")(models)
edge.command("forget", short_help="Have a node forget a viewer.")(forget)


async def _serve(
    config: EdgeConfig, read_config: Callable[[], EdgeConfig]
) -> tuple[int, dict[str, Any]]:
    import asyncio

    from edge.assemble import EdgeNode
    from nearcast.address import is_loopback, parse_address
    from nearcast.aio import on_hangup, stop_signals
    from nearcast.errors import NearcastError

    for option, address in (("--listen", config.listen), ("--admin", config.admin_listen)):
        if address is not None and not is_loopback(parse_address(address, option)[0]):
            logger.warning("%s %s is open to other machines", option, address)
    raise_descriptor_limit()
    node = EdgeNode(config, read_config=read_config)

    def reload() -> None:
        with contextlib.suppress(NearcastError):  # it was logged
            node.reload()

    with stop_signals() as stop, on_hangup(reload):
        await node.start()
        _spare_garbage_collector()
        typer.echo(
            f"edge ready on {_scheme(config)}://{node.address} -> {_upstreams(config)} "
            f"(store {config.store or 'in memory'}, model {_model(config)}"
            + (f", admin on http://{node.admin_address})" if node.admin_address else ")")
        )
        stopping = asyncio.ensure_future(stop.wait())
        both: set[asyncio.Future[Any]] = {stopping, node.failure}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        has_failed = node.failure.done()
        stopping.cancel()
        if not has_failed:
            logger.info("edge.draining for=%.0fs; once more ends it at once", config.server.drain_s)
        await node.stop()
    return (1 if has_failed else 0), node.admin.report()


def _spare_garbage_collector() -> None:
    """What is there at the start stays. Looking through it again and again, and through each few
    hundred new objects that hardly ever form cycles, is time in which nobody is served."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_OBJECTS, 50, 50)


def _scheme(config: EdgeConfig) -> str:
    return "http" if config.tls.certificate is None else "https"


def _upstreams(config: EdgeConfig) -> str:
    services = config.service_configs()
    if len(services) == 1:
        return services[0].base()
    return f"{len(services)} services"


def _model(config: EdgeConfig) -> str:
    if not config.prefetch.enabled:
        return "off"
    return config.prefetch.model
