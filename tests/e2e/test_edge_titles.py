"""A trained model of titles on a real edge: what it foresees is fetched, and shown."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from nearcast.messages import Catalog, TitleEntry
from predictor.train import recommend
from predictor.train.recommend_data import Listing

if TYPE_CHECKING:
    from tests.e2e.conftest import EdgeProcess, FaultyOrigin, StartEdge

FILM_COUNT = 30
VIEWER_COUNT = 60
SEGMENT_COUNT = 10
SEGMENT = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Learnt from viewers who watch one film after the other in the order of their numbers."""
    rng = np.random.default_rng(3)
    events = []
    for viewer in range(VIEWER_COUNT):
        first = int(rng.integers(0, FILM_COUNT))
        events += [(viewer, (first + step) % FILM_COUNT, step) for step in range(10)]
    events.sort(key=lambda event: event[2])
    listing = Listing(
        viewer=np.array([viewer for viewer, _, _ in events]),
        title=np.array([film for _, film, _ in events]),
        at_s=np.arange(len(events), dtype=np.float64),
        viewers=tuple(f"v{at}" for at in range(VIEWER_COUNT)),
        titles=tuple(f"Film {at}" for at in range(FILM_COUNT)),
        genre=np.zeros(FILM_COUNT, dtype=np.int64),
        genres=("any",),
    )
    folder = tmp_path_factory.mktemp("titles") / "model"
    recommend.write(folder, recommend.train(listing, data_sha256="0" * 64, latency_calls=1))
    return folder


def offer_films(origin: FaultyOrigin) -> None:
    """Some of the films, of ten two-second segments, and a catalogue that names them."""
    titles = []
    for number in range(5):
        folder = f"/media/f{number}"
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2"]
        for segment in range(SEGMENT_COUNT):
            lines += ["#EXTINF:2.0,", f"{segment}.ts"]
            origin.serve(f"{folder}/{segment}.ts", SEGMENT, content_type="video/mp2t")
        playlist = "\n".join([*lines, "#EXT-X-ENDLIST", ""]).encode()
        origin.serve(f"{folder}/index.m3u8", playlist, content_type="application/vnd.apple.mpegurl")
        titles.append(
            TitleEntry(
                id=f"f{number}",
                name=f"Film {number}",
                duration_s=2.0 * SEGMENT_COUNT,
                dash=f"{folder}/manifest.mpd",
                hls=f"{folder}/index.m3u8",
            )
        )
    catalog = msgspec.json.encode(Catalog(revision="1", titles=tuple(titles)))
    origin.serve("/v1/catalog", catalog, content_type="application/json")


def watch(edge: EdgeProcess, number: int) -> None:
    """As a player does that has no buffer: what it asks for is what it shows."""
    said = f'bl=0,cid="f{number}",ot=v,sf=h,sid="viewing-{number}"'
    edge.get(f"/media/f{number}/index.m3u8", user_agent="player")
    for segment in range(SEGMENT_COUNT):
        edge.get(f"/media/f{number}/{segment}.ts", cmcd_request=said, user_agent="player")


def rows(edge: EdgeProcess, user_agent: str) -> list[str]:
    answer = edge.get("/.nearcast/titles?count=3&format=hls", user_agent=user_agent)
    assert answer.status == 200
    assert answer.headers["cache-control"] == "private, no-store"
    return [row["name"] for row in json.loads(answer.body)["titles"]]


def test_the_film_that_is_likeliest_next_begins_from_the_edge_and_is_shown(
    origin: FaultyOrigin, start_edge: StartEdge, model: Path
) -> None:
    offer_films(origin)
    # As dear as it takes for what one viewer in seven goes on to.
    values = (f"titles.model={model}", "titles.home_rows=true", "prefetch.startup_value=9")
    settings = tuple(word for value in values for word in ("--set", value))
    with start_edge(origin.url, *settings, prefetch=True) as edge:
        origin.wait_for("/v1/catalog")
        edge.wait_status(lambda status: status["titles"]["model_id"] is not None)
        watch(edge, 1)
        status = edge.wait_status(lambda status: status["prefetch_resident_bytes"] > 0)
        assert status["titles"]["asked_count"] >= 1
        assert status["titles"]["failed_count"] == 0
        origin.wait_for("/media/f2/0.ts")
        edge.wait_status(lambda status: status["prefetches_in_flight"] == 0)
        assert rows(edge, "player")[0] == "Film 2"
        assert rows(edge, "somebody else") == []
        assert edge.get("/media/f2/0.ts", user_agent="player").is_hit
        status = edge.wait_status(lambda status: status["prefetch_used_bytes"] > 0)
        assert {one["source"] for one in status["prefetch_sources"]} == {"titles"}
        os.kill(status["titles_inference"]["pid"], signal.SIGKILL)
        edge.wait_status(lambda status: status["titles"]["model_id"] is None)
        assert edge.get("/media/f1/0.ts").is_hit
        edge.wait_status(lambda status: status["titles"]["model_id"] is not None)


def test_an_edge_serves_on_without_a_model_that_may_not_serve(
    origin: FaultyOrigin, start_edge: StartEdge, model: Path
) -> None:
    offer_films(origin)
    (model / "titles.json").write_bytes((model / "titles.json").read_bytes() + b" ")
    with start_edge(origin.url, "--set", f"titles.model={model}", prefetch=True) as edge:
        status = edge.wait_status(lambda status: status["titles"]["detail"].startswith("changed"))
        assert status["titles"]["model_id"] is None
        assert edge.get("/media/f1/0.ts").body == SEGMENT
        assert edge.get("/.nearcast/titles").status == 404  # upstream's word: it is off here
