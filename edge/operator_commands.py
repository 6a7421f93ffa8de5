"""What an operator asks of a running node: `nearcast edge models`, `forget`, `purge`, `explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from nearcast.errors import ConfigError, RemoteProtocolError
from nearcast.json_file import JsonFile, check_json_file, write_json

LISTEN_DEFAULT = "127.0.0.1:8081"

NodeOption = Annotated[
    str,
    typer.Option(
        "--edge",
        metavar="HOST:PORT",
        help="The node's --admin address; without --admin, where it listens.",
    ),
]


def models(
    node: NodeOption = LISTEN_DEFAULT,
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


def purge(
    admin: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where the node's --admin listens.")
    ],
    token_file: Annotated[
        Path, typer.Option(metavar="FILE", help="The node's --admin-token-file.")
    ],
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="One URL, as clients ask for it.")
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option(metavar="URL", help="All URLs with this beginning; / is everything."),
    ] = None,
    tag: Annotated[
        str | None,
        typer.Option(
            metavar="WORD", help="All that upstream marked so in Surrogate-Key or Cache-Tag."
        ),
    ] = None,
    soft: Annotated[
        bool,
        typer.Option(
            "--soft", help="Ask upstream next time, instead of dropping it; it may stand in."
        ),
    ] = False,
    json_file: JsonFile = None,
) -> int:
    """Let a node not serve again what is outdated.

    What is being fetched at the moment goes to those who wait for it and is not kept.

    Example: nearcast edge purge --admin 127.0.0.1:8082 --token-file token --tag series-7 --soft
    """
    from edge.drivers.purge_client import purge as ask

    check_json_file(json_file)
    given = {"url": url, "prefix": prefix, "tag": tag}
    wanted = {kind: value for kind, value in given.items() if value is not None}
    if len(wanted) != 1:
        raise ConfigError("give one of --url, --prefix and --tag")
    ((kind, value),) = wanted.items()
    count = ask(admin, token_file, kind, value, is_soft=soft)
    typer.echo(f"{'made stale' if soft else 'purged'}: {count}")
    write_json(json_file, {"count": count, "soft": soft, kind: value})
    return 0


def explain(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="As clients ask for it, or its path alone.")
    ],
    node: NodeOption = LISTEN_DEFAULT,
    json_file: JsonFile = None,
) -> int:
    """Say why an object was, is or was not fetched ahead.

    The source that foresaw it and how likely it said it was, what a byte of it is worth and costs,
    the budget at that time, what would have been fetched instead, and what became of it. A node
    remembers the last few thousand objects; no viewer is named.

    Example: nearcast edge explain /media/e2/manifest.mpd --edge 127.0.0.1:8082
    """
    import msgspec

    from edge.drivers.admin import EXPLAIN_PATH
    from edge.drivers.admin_client import read
    from edge.prefetch.explanation import Explanation
    from edge.prefetch.wording import lines

    check_json_file(json_file)
    said = read(node, f"{EXPLAIN_PATH}?url={quote(url, safe='')}", "--edge")
    try:
        explained = msgspec.convert(said, Explanation)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError(f"{node} is no admin port of a nearcast edge") from error
    for line in lines(explained):
        typer.echo(line)
    write_json(json_file, msgspec.to_builtins(explained))
    return 0
