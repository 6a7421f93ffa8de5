"""The slowest hits of a node at work: fills, inference, prefetching and eviction beside them.

Hits come at a steady rate, far below what the node can do, so that their times tell of the node
and not of a queue we made. Without the work the same background requests go to the origin itself:
generator and origin share a core, and what they do there must not count against the node.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from nearcast.messages import CATALOG_PATH, Catalog, TitleEntry
from simulation.bench.checks import fetch
from simulation.bench.load import Ask, Generator, Job, generator
from simulation.bench.peers import Server
from simulation.bench.report import Goal, Outcome, server_rows
from simulation.bench.rounds import Sample, measure, ratios, take_turns
from simulation.bench.stage import KB, Stage, edge, origin, plain_asks

CELL = "mixed"
GOAL = 1.5
HIT_BYTES = 64 * KB
HITS_PER_S = 1000.0
HIT_CONNECTIONS = 16
FILLS_PER_S = 100.0
WATCHES_PER_S = 50.0
CAPACITY = "64MB"
CAPACITY_FILLS = 1500
"""More than the capacity of HIT_BYTES each: from then on each fill evicts."""
ROUNDS = 4
"""A p99 needs more answers than a CPU figure: a turn is so many rounds long."""
SEGMENT_COUNT = 10
SEGMENT_S = 4
WATCHED = 7
"""Where the viewers are: past the share from which the model is asked."""


class Done(msgspec.Struct, frozen=True):
    """Of the node's own status at its end: that the work was done which the cell is about."""

    fill_count: int
    eviction_count: int
    predictions_asked: int
    predictions_failed: int


def run(stage: Stage) -> Outcome:
    folder = stage.folder / CELL
    write_series(stage.root)
    with (
        origin(stage, folder / "origin") as source,
        edge(folder / "store", source.port, capacity=CAPACITY) as server,
        generator("background") as background,
    ):
        fetch(server.port, playlist(0))
        _fill_up(background, server)
        stage.warm(server, HIT_BYTES)
        turns = {
            "without": lambda: _turn(stage, server, background, source),
            "with": lambda: _turn(stage, server, background, server),
        }
        seen = take_turns(turns, stage.round_count)
    done = msgspec.json.decode((folder / "store.json").read_bytes(), type=Done)
    p99 = {name: [one.p99_s for one in samples] for name, samples in seen.items()}
    work = "hit 64 KB, node at work"
    return Outcome(
        goals=(
            Goal(
                cell=CELL,
                work=work,
                measure="p99 x node at rest",
                unit="x",
                goal=GOAL,
                value=ratios(p99["with"], p99["without"]),
            ),
        ),
        servers=server_rows(CELL, work, seen, "without"),
        notes=(
            f"mixed: {done.fill_count} fills, {done.eviction_count} evictions and "
            f"{done.predictions_asked} questions to the model (none answered: "
            f"{done.predictions_failed}) ran beside the hits",
        ),
    )


def _turn(stage: Stage, server: Server, background: Generator, target: Server) -> Sample:
    """Hits at `server` while the other requests go to `target`."""
    duration_s = ROUNDS * stage.round_s
    hits = msgspec.structs.replace(
        stage.job(server, plain_asks(HIT_BYTES)),
        connection_count=HIT_CONNECTIONS,
        duration_s=duration_s,
        rate_per_s=HITS_PER_S,
    )
    background.connect(work_job(target.port, duration_s))
    background.begin()
    sample = measure(stage.generator, hits, server.process)
    background.result()
    return sample


def work_job(port: int, duration_s: float) -> Job:
    """New objects to fetch, and viewers who have come so far that the model is asked."""
    watch = Ask(f"/series/0/{WATCHED}?CMCD=bl%3D0%2Csid%3D%22viewer-%d%22", HIT_BYTES)
    fill = Ask(f"/new/{HIT_BYTES}/%d", HIT_BYTES)
    fills_per_watch = round(FILLS_PER_S / WATCHES_PER_S)
    return Job(
        port=port,
        asks=(watch, *(fill,) * fills_per_watch),
        connection_count=6,
        duration_s=duration_s,
        rate_per_s=FILLS_PER_S + WATCHES_PER_S,
    )


def _fill_up(background: Generator, server: Server) -> None:
    """Until the store is full."""
    job = msgspec.structs.replace(work_job(server.port, 0.2), rate_per_s=None)
    filled = 0
    while filled < CAPACITY_FILLS:
        filled += background.run(job).request_count


def playlist(episode: int) -> str:
    return f"/series/{episode}/media.m3u8"


def write_series(root: Path) -> None:
    """Two episodes as a Nearcast origin offers them: a catalogue, playlists, segments."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:6", f"#EXT-X-TARGETDURATION:{SEGMENT_S}"]
    lines += ["#EXT-X-PLAYLIST-TYPE:VOD"]
    for number in range(SEGMENT_COUNT):
        lines += [f"#EXTINF:{SEGMENT_S}.0,", str(number)]
    lines.append("#EXT-X-ENDLIST")
    titles = []
    for episode in range(2):
        folder = root / "series" / str(episode)
        folder.mkdir(parents=True)
        (root / playlist(episode).lstrip("/")).write_text("\n".join(lines) + "\n")
        for number in range(SEGMENT_COUNT):
            (folder / str(number)).write_bytes(os.urandom(HIT_BYTES))
        titles.append(
            TitleEntry(
                id=f"episode-{episode}",
                name=f"Episode {episode}",
                duration_s=float(SEGMENT_COUNT * SEGMENT_S),
                series="series",
                season_no=1,
                episode_no=episode + 1,
                dash=f"/series/{episode}/media.mpd",
                hls=playlist(episode),
            )
        )
    catalogue = root / CATALOG_PATH.lstrip("/")
    catalogue.parent.mkdir(parents=True, exist_ok=True)
    catalogue.write_bytes(msgspec.json.encode(Catalog(revision="1", titles=tuple(titles))))
