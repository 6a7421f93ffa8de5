"""The `nearcast` command.

Commands are entry points of the group `nearcast.commands`, so the ground never imports a role,
`nearcast edge --help` loads the edge alone, and a plugin can bring a command of its own. An entry
point names a Typer app, or a function to be run as a Typer command.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

# What takes long to import is imported where it is used: until `run` is reached, Ctrl-C would show
# a traceback.
from nearcast.errors import NearcastError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.metadata import EntryPoint

COMMAND_GROUP = "nearcast.commands"

# In the order a newcomer meets them; commands of plugins follow by name.
SUMMARIES = {
    "demo": "the whole path on this machine: prefetch off against on",
    "origin": "make titles, serve them, look after a fleet of edges",
    "edge": "run a cache node in front of any HTTP origin",
    "play": "play a DASH or HLS title without a screen, and report",
    "shape": "a loopback proxy that makes a link slow and far away",
    "simulate": "the same edges and players on a virtual clock",
    "train": "train and measure what foresees: plays, titles, demand, speed",
    "models": "sign, verify and list models",
    "bench": "measure this machine, baselines in the same run",
    "doctor": "check what this installation can do",
}
_OWN_PACKAGES = frozenset(("nearcast", "cache", "edge", "origin", "predictor", "abr", "simulation"))
_EXTRAS = {
    "aiosqlite": "origin",
    "alembic": "origin",
    "asyncpg": "origin",
    "av": "media",
    "libcachesim": "sim",
    "lightgbm": "train",
    "matplotlib": "sim",
    "numba": "sim",
    "onnxruntime": "cpu",
    "duckdb": "origin",
    "nats": "nats",
    "obstore": "origin",
    "sqlalchemy": "origin",
    "onnx": "train",
    "pyarrow": "train",
    "threadpoolctl": "train",
    "torch": "train",
}

EXAMPLES = """\
Try:
  nearcast demo                                 start here: about two minutes
  nearcast origin ingest film.mp4 && nearcast origin serve
  nearcast edge --upstream http://127.0.0.1:8080
  nearcast play http://127.0.0.1:8081/media/film/manifest.mpd
  nearcast origin fleet enrol ams-1             let an edge join the fleet
  nearcast simulate prefetch --seeds 1          what foresight is worth
"""


def commands() -> dict[str, EntryPoint]:
    """The commands of this installation, ours first."""
    from importlib.metadata import entry_points

    found = {point.name: point for point in entry_points(group=COMMAND_GROUP)}
    names = [*(name for name in SUMMARIES if name in found), *sorted(set(found) - set(SUMMARIES))]
    return {name: found[name] for name in names}


def overview() -> str:
    from importlib.metadata import version

    lines = [
        f"nearcast {version('nearcast')}: video from near the viewer, before it is asked for",
        "",
    ]
    lines.append("Usage: nearcast COMMAND [OPTIONS]      nearcast COMMAND --help")
    lines.append("")
    for name, point in commands().items():
        lines.append(f"  {name:<10}{SUMMARIES.get(name, f'(from {point.value})')}")
    return "\n".join([*lines, "", EXAMPLES])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 2 bad input, 130 interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if arguments[0] in ("--version", "-V", "version"):
        from importlib.metadata import version

        print(f"nearcast {version('nearcast')}")
        return 0
    name, rest = arguments[0], arguments[1:]
    point = commands().get(name)
    if point is None:
        print(f"nearcast: there is no command {name!r}\n\n{overview()}", file=sys.stderr)
        return 2
    return _run(point, name, rest)


def _run(point: EntryPoint, name: str, arguments: Sequence[str]) -> int:
    import logging

    import typer

    logging.basicConfig(
        level=logging.INFO, format="%(levelname).1s %(name)s %(message)s", stream=sys.stderr
    )
    try:
        app = point.load()
        if not isinstance(app, typer.Typer):
            function = app
            app = typer.Typer(add_completion=False, rich_markup_mode=None)
            app.command()(function)
        result = typer.main.get_command(app).main(
            args=list(arguments), prog_name=f"nearcast {name}", standalone_mode=False
        )
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in _OWN_PACKAGES:
            raise  # a bug of ours, not something to install
        print(_missing(name, error.name), file=sys.stderr)
        return 2
    except NearcastError as error:
        print(f"nearcast {name}: {error}", file=sys.stderr)
        return error.exit_code
    except typer.TyperException as error:  # typer carries a click of its own: never import click
        show = getattr(error, "show", None)  # usage errors have it, and name the usage
        if show is None:
            print(f"nearcast {name}: {error}", file=sys.stderr)
        else:
            show()
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        print(f"nearcast {name}: interrupted", file=sys.stderr)
        return 130
    return result if isinstance(result, int) else 0


def _missing(name: str, module: str) -> str:
    text = (
        f"nearcast {name}: this command needs the Python package {module!r}, which is not installed"
    )
    extra = _EXTRAS.get(module.partition(".")[0])
    return text if extra is None else f"{text}; install it with: pip install 'nearcast[{extra}]'"


def run() -> None:
    """The console script."""
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has left (`nearcast ... | head`), and there is nobody to tell.
        # Without this the interpreter's last flush would fail once more, and say so.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except KeyboardInterrupt:  # before the command was loaded
        print("nearcast: interrupted", file=sys.stderr)
        status = 130
    sys.exit(status)
