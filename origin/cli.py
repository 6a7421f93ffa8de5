"""`nearcast origin`: make titles, look after them, serve them."""

from __future__ import annotations

import os
import re
import signal
import threading
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from nearcast.config import load
from nearcast.descriptors import raise_descriptor_limit
from nearcast.errors import InputError
from nearcast.json_file import JsonFile, check_json_file, write_json
from nearcast.units import format_size
from origin.catalog import catalog_of
from origin.commands.fleet import fleet_app
from origin.commands.history import history
from origin.commands.models import models_app
from origin.commands.plan import plan_app
from origin.commands.titles import title_app
from origin.commands.token import token_app
from origin.config import ObjectsConfig, OriginConfig

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Make streaming titles of video files, serve them, and look after a fleet of edges.",
    epilog="Example: nearcast origin ingest film.mp4 && nearcast origin serve",
)

app.add_typer(models_app, name="models")
app.command(
    "history",
    epilog='Example: nearcast origin history "SELECT edge, count(*) FROM sessions GROUP BY 1"',
)(history)
app.add_typer(fleet_app, name="fleet")
app.add_typer(plan_app, name="plan")
app.add_typer(title_app, name="title")
app.add_typer(token_app, name="token")

LIBRARY_DEFAULT = Path("library")
Library = Annotated[Path, typer.Option("--library", help="Folder that holds the titles.")]
Objects = Annotated[
    str | None, typer.Option("--objects", help="Where media go or are: s3://BUCKET/PREFIX.")
]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="Settings in a TOML file.")]


def _objects(url: str | None, config_file: Path | None) -> ObjectsConfig:
    """Where media are besides the library's folder."""
    assignments = [] if url is None else [f"objects.url={url}"]
    return load(
        OriginConfig, role="origin", file=config_file, environ=os.environ, assignments=assignments
    ).value.objects


@app.command(
    epilog="Example: nearcast origin ingest s1e1.mp4 s1e2.mp4 --series Harbour --season 1",
)
def ingest(
    files: Annotated[list[Path], typer.Argument(help="Video files, anything libav reads.")],
    library: Library = LIBRARY_DEFAULT,
    series: Annotated[
        str | None, typer.Option(help="Series that the files are episodes of.")
    ] = None,
    season: Annotated[int | None, typer.Option(min=0, help="Season, 1 if left out.")] = None,
    episode: Annotated[
        int | None, typer.Option(min=0, help="Number of the first file; the others follow.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Name to show for the title.")] = None,
    title_id: Annotated[
        str | None, typer.Option("--id", help="Name in URLs; else made of series or file name.")
    ] = None,
    genre: Annotated[
        str | None, typer.Option(help="For what edges' viewers like, e.g. crime; see title set.")
    ] = None,
    segment_duration: Annotated[
        float, typer.Option(min=0.5, max=20.0, help="Seconds per segment.")
    ] = 2.0,
    rungs: Annotated[
        str, typer.Option(help="Rungs such as 240p,360p,720p; auto follows the source.")
    ] = "auto",
    preset: Annotated[
        str, typer.Option(help="x264 preset: slower ones give better pictures.")
    ] = "veryfast",
    jobs: Annotated[
        int | None, typer.Option(min=1, max=64, help="Files at a time; as many as cores.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a title that has the same id.")
    ] = False,
    objects: Objects = None,
    config_file: ConfigFile = None,
    json_file: JsonFile = None,
) -> None:
    """Package video files as titles: an H.264 and AAC ladder in CMAF, for DASH and HLS alike."""
    from rich.console import Console

    from nearcast.clock import SystemClock
    from origin.drivers.ingest import Ingest, IngestSettings, make_orders
    from origin.drivers.storage import LibraryFolder
    from origin.packaging.encode import PRESETS
    from origin.packaging.ladder import parse_rungs
    from origin.progress import BarWatcher, LineWatcher

    check_json_file(json_file)
    if preset not in PRESETS:
        raise InputError(f"--preset {preset!r}: choose from {', '.join(PRESETS)}")
    orders = make_orders(
        files,
        title_id=title_id,
        name=title,
        series=series,
        season_no=season,
        episode_no=episode,
        genre=genre,
    )
    core_count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    job_count = min(len(orders), jobs or core_count)
    settings = IngestSettings(
        rungs=parse_rungs(rungs),
        segment_duration_s=segment_duration,
        preset=preset,
        jobs=job_count,
        thread_count=max(1, core_count // job_count),
        replace=replace,
    )
    clock = SystemClock()
    interrupted = threading.Event()

    def interrupt(number: int, frame: object) -> None:
        # Raising alone is not enough: Python drops what is raised while it runs a finaliser.
        interrupted.set()
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    objects_config = _objects(objects, config_file)
    folder = LibraryFolder(library, must_exist=False)
    try:
        outbox = None
        if objects_config.url:
            from origin.drivers.outbox import Outbox

            outbox = Outbox(folder, objects_config, interrupted)
        console = Console(stderr=True)
        watcher = (
            BarWatcher(console)
            if console.is_terminal
            else LineWatcher(lambda line: print(line, flush=True), clock.now_s)
        )
        with watcher:
            results = Ingest(folder, settings, clock, watcher, interrupted, outbox).run(orders)
    finally:
        folder.close()
    for result in results:
        if result.is_resumed:
            print(f"{result.title.id}: packaged before, uploaded now")
    write_json(
        json_file,
        {
            "titles": [
                {
                    **msgspec.to_builtins(result.title.entry()),
                    "size_bytes": result.title.size_bytes,
                    "wall_s": result.wall_s,
                    "renditions": [
                        {
                            **msgspec.to_builtins(entry.rendition),
                            "size_bytes": entry.size_bytes,
                            "segment_count": len(entry.segments),
                        }
                        for entry in result.title.renditions
                    ],
                }
                for result in sorted(results, key=lambda result: result.title.id)
            ]
        },
    )


@app.command(epilog="Example: nearcast origin serve --library library --listen 127.0.0.1:8080")
def serve(
    library: Annotated[
        Path | None, typer.Option("--library", help="Folder that holds the titles.")
    ] = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT; port 0 takes any.")] = None,
    config_file: Annotated[
        Path | None, typer.Option("--config", help="Settings in a TOML file.")
    ] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, over all other settings.")
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Show every setting and where it came from.")
    ] = False,
    json_file: JsonFile = None,
) -> int:
    """Serve a library: catalogue, manifests and segments. Titles ingested later appear by
    themselves."""
    layers = list(assignments or [])
    if library is not None:
        layers.append(f"library={library}")
    if listen is not None:
        layers.append(f"listen={listen}")
    loaded = load(
        OriginConfig, role="origin", file=config_file, environ=os.environ, assignments=layers
    )
    if print_config:
        for line in loaded.lines():
            print(without_passwords(line))
        shown = without_passwords(msgspec.json.encode(loaded.value).decode())
        write_json(json_file, msgspec.json.decode(shown))
        return 0
    check_json_file(json_file)
    from nearcast.aio import run
    from origin.assemble import serve as serve_library

    raise_descriptor_limit()
    write_json(json_file, {"totals": run(serve_library(loaded.value))})
    return 0


def without_passwords(text: str) -> str:
    """Settings as they may be shown: URLs keep the user and lose the password."""
    return re.sub(r'(://[^/@:\s"]*):[^@/\s"]*@', r"\1:***@", text)


@app.command("list", epilog="Example: nearcast origin list --library library")
def list_titles(library: Library = LIBRARY_DEFAULT, json_file: JsonFile = None) -> None:
    """Show the titles of a library."""
    from origin.drivers.storage import LibraryFolder

    folder = LibraryFolder(library, must_exist=True)
    try:
        lines = {line.entry.id: line for line in folder.database.lines()}
    finally:
        folder.close()
    catalog = catalog_of((line.entry, line.edition_no) for line in lines.values())
    for entry in catalog.titles:
        place = f"{entry.series} {entry.season_no}.{entry.episode_no}" if entry.series else "-"
        size = format_size(lines[entry.id].size_bytes)
        genre = entry.genre or "-"
        print(
            f"{entry.id:<28} {entry.duration_s:>8.1f} s {size:>10}  {place:<24} {genre:<12} "
            f"{entry.name}"
        )
    print(f"{len(lines)} titles, {format_size(sum(line.size_bytes for line in lines.values()))}")
    write_json(
        json_file,
        {
            "revision": catalog.revision,
            "titles": [
                {
                    **msgspec.to_builtins(entry),
                    "size_bytes": lines[entry.id].size_bytes,
                    "edition_no": lines[entry.id].edition_no,
                    "created_wall_s": lines[entry.id].created_wall_s,
                }
                for entry in catalog.titles
            ],
        },
    )


@app.command(epilog="Example: nearcast origin verify --library library")
def verify(
    library: Library = LIBRARY_DEFAULT,
    objects: Objects = None,
    config_file: ConfigFile = None,
    json_file: JsonFile = None,
) -> int:
    """Read every file of a library and compare it with its checksum; status 1 if any differs."""
    from origin.drivers.media import read_object
    from origin.drivers.storage import Damage, LibraryFolder

    objects_config = _objects(objects, config_file)
    folder = LibraryFolder(library, must_exist=True)
    damages: list[Damage] = []
    title_count = 0
    try:
        elsewhere = partial(read_object, objects_config) if objects_config.url else None
        for title, found in folder.verify(elsewhere):
            title_count += 1
            damages += found
            print(f"{title.id}: {f'{len(found)} files damaged' if found else 'ok'}")
            for damage in found:
                print(f"  {damage.path}: {damage.reason}")
    finally:
        folder.close()
    print(f"{title_count} titles, {len(damages)} damaged files")
    write_json(json_file, {"title_count": title_count, "damages": msgspec.to_builtins(damages)})
    return 1 if damages else 0


@app.command(epilog="Example: nearcast origin remove harbour-s01e02 --library library")
def remove(
    title_id: Annotated[str, typer.Argument(metavar="ID", help="The title's id.")],
    library: Library = LIBRARY_DEFAULT,
    objects: Objects = None,
    config_file: ConfigFile = None,
    json_file: JsonFile = None,
) -> None:
    """Take a title out of a library and delete its files."""
    from origin.drivers.storage import LibraryFolder

    objects_config = _objects(objects, config_file)
    folder = LibraryFolder(library, must_exist=True)
    left_count = 0
    try:
        if objects_config.url:
            from origin.drivers.outbox import Outbox

            outbox = Outbox(folder, objects_config, threading.Event())
            left_count = outbox.remove(title_id)
        else:
            folder.remove(title_id)
    finally:
        folder.close()
    print(f"{title_id}: removed")
    if left_count:
        print(
            f"the objects of {left_count} removed titles could not be deleted now; the next "
            "ingest or remove does it"
        )
    write_json(json_file, {"removed": title_id})
