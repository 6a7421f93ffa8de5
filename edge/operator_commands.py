"""`nearcast edge models` and `nearcast edge forget`: what an operator asks of a running node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearcast.json_file import JsonFile, check_json_file, write_json

LISTEN_DEFAULT = "127.0.0.1:8081"


def models(
    node: Annotated[
        str,
        typer.Option(
            "--edge",
            metavar="HOST:PORT",
            help="The node's --admin address; without --admin, where it listens.",
        ),
    ] = LISTEN_DEFAULT,
    json_file: JsonFile = None,
) -> int:
    """Say which models run, how good they are here, and what was refused.

    Of each: its log-loss and calibration on what came true, and whether the viewers of this node
    are still those it was trained on.

    Example: nearcast edge models --edge 127.0.0.1:8082
    """
    from edge.drivers.admin import MODELS_PATH
    from edge.drivers.admin_client import read
    from edge.models.wording import lines

    check_json_file(json_file)
    report = read(node, MODELS_PATH, "--edge")
    for line in lines(report):
        typer.echo(line)
    write_json(json_file, report)
    return 0


def forget(
    viewer: Annotated[
        str,
        typer.Argument(metavar="VIEWER", help="An address as the node sees it."),
    ],
    admin: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where the node's --admin listens.")
    ],
    token_file: Annotated[
        Path, typer.Option(metavar="FILE", help="The node's --admin-token-file.")
    ],
    user_agent: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only who names this User-Agent; else all there."),
    ] = None,
    json_file: JsonFile = None,
) -> int:
    """Have a node forget a viewer: history, what is being watched, questions not yet settled.

    Several people may share an address. What they watch from now on is remembered anew.

    Example: nearcast edge forget 192.0.2.7 --admin 127.0.0.1:8082 --token-file token
    """
    from edge.drivers.admin import FORGET_PATH
    from edge.drivers.admin_client import change

    check_json_file(json_file)
    done = change(admin, token_file, FORGET_PATH, {"viewer": viewer, "user_agent": user_agent})
    typer.echo(
        f"forgotten: viewers {done['viewers']}, sessions {done['sessions']}, "
        f"questions {done['questions']}"
    )
    write_json(json_file, done)
    return 0
