"""An edge that has learnt a series fetches the next episode before it is asked for."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from typer.testing import CliRunner

from edge.cli import edge as commands
from edge.config import EdgeConfig
from edge.drivers.bodies import Bodies
from edge.drivers.upstream import Upstream
from edge.effects import PauseFill, ResumeFill, StartFill
from edge.events import Event, FillEnded, FillHeaders
from edge.services import Services
from nearcast.messages import Catalog, TitleEntry

if TYPE_CHECKING:
    from tests.e2e.conftest import EdgeProcess, Exchange, FaultyOrigin, StartEdge

LIMIT_S = 20.0
SEGMENT_COUNT = 8
SEGMENT = bytes(range(256)) * 40


def offer_series(origin: FaultyOrigin) -> None:
    """Two episodes of eight two-second segments, and a catalogue that says so."""
    titles = []
    for number in (1, 2):
        folder = f"/media/e{number}"
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2"]
        for segment in range(SEGMENT_COUNT):
            lines += ["#EXTINF:2.0,", f"{segment}.ts"]
            origin.serve(f"{folder}/{segment}.ts", SEGMENT, content_type="video/mp2t")
        playlist = "\n".join([*lines, "#EXT-X-ENDLIST", ""]).encode()
        origin.serve(f"{folder}/index.m3u8", playlist, content_type="application/vnd.apple.mpegurl")
        titles.append(
            TitleEntry(
                id=f"e{number}",
                name=f"Episode {number}",
                duration_s=2.0 * SEGMENT_COUNT,
                dash=f"{folder}/manifest.mpd",
                hls=f"{folder}/index.m3u8",
                series="s",
                season_no=1,
                episode_no=number,
            )
        )
    catalog = msgspec.json.encode(Catalog(revision="1", titles=tuple(titles)))
    origin.serve("/v1/catalog", catalog, content_type="application/json")


def watch_first_half(edge: EdgeProcess) -> None:
    """As a player does that has no buffer: what it asks for is what it shows."""
    said = 'bl=0,cid="e1",ot=v,sf=h,sid="a-viewer"'
    edge.get("/media/e1/index.m3u8")
    for segment in range(SEGMENT_COUNT // 2 + 1):
        edge.get(f"/media/e1/{segment}.ts", cmcd_request=said)


def assert_explained(process: EdgeProcess, source: str) -> None:
    """The command says of each object what became of it, and why."""
    runner = CliRunner()
    for path, words in (
        ("/media/e2/0.ts", "asked for"),
        ("/media/e2/1.ts", "here, not yet asked for"),
        ("/media/e9/0.ts", "Nothing is known of this URL"),
    ):
        done = runner.invoke(commands, ["explain", path, "--edge", process.url])
        assert done.exit_code == 0, done.output
        assert words in " ".join(done.output.split())
        assert all(len(line) <= 80 for line in done.output.splitlines())
        if path.startswith("/media/e2"):
            assert ("next-episode model" if source == "default" else "half watched") in done.output
    assert process.get("/.nearcast/explain").status == 400


@pytest.mark.parametrize("model", ["rule", "default"])
def test_successor_is_there_before_it_is_asked_for(
    origin: FaultyOrigin, start_edge: StartEdge, model: str
) -> None:
    offer_series(origin)
    settings = ("--set", f"prefetch.model={model}", "--set", "prefetch.threshold=0")
    asked_before = origin.count("/v1/catalog")
    with start_edge(origin.url, *settings, prefetch=True) as process:
        origin.wait_for("/v1/catalog", asked_before + 1)
        if model == "default":
            process.wait_status(lambda status: status["model_id"] is not None)
        watch_first_half(process)
        status = process.wait_status(
            lambda status: status["prefetch_resident_bytes"] >= SEGMENT_COUNT * len(SEGMENT)
        )
        assert status["prefetch_wanted"].get("rule" if model == "rule" else "model", 0) >= 1
        first = process.get("/media/e2/0.ts")
        assert first.is_hit
        assert first.body == SEGMENT
        status = process.wait_status(lambda status: status["prefetch_used_bytes"] > 0)
        assert status["prefetch_used_bytes"] == len(SEGMENT)
        assert_explained(process, model)
        if model == "default":
            assert status["inference"]["answer_count"] >= 1
            assert 0 < status["inference"]["p99_s"] < LIMIT_S
            assert (
                b'nearcast_edge_inference_seconds{quantile="0.99"}' in process.get("/metrics").body
            )


def test_prefetch_off_fetches_nothing_by_itself(
    origin: FaultyOrigin, start_edge: StartEdge
) -> None:
    offer_series(origin)
    before = origin.count("/v1/catalog")
    with start_edge(origin.url) as process:
        watch_first_half(process)
        status = process.wait_status(lambda status: status["checkpoint_count"] >= 3)
        assert status["prefetch_count"] == 0
    assert origin.count("/v1/catalog") == before


def test_paused_prefetch_stops_the_link_and_resumes(origin: FaultyOrigin) -> None:
    size_bytes = 32_000_000
    sent = threading.Event()
    stuck_at: list[int] = []

    def until_stuck(exchange: Exchange) -> None:
        """Send without pause until the client takes nothing for a while, then the rest."""
        end = exchange._end
        exchange.head(content_length=size_bytes)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
        sent_bytes = 0
        end.settimeout(0.3)
        try:
            while sent_bytes < size_bytes:
                sent_bytes += end.send(bytes(min(65_536, size_bytes - sent_bytes)))
        except TimeoutError:
            stuck_at.append(sent_bytes)
        sent.set()
        end.settimeout(LIMIT_S)
        end.sendall(bytes(size_bytes - sent_bytes))

    origin.routes["/paused"] = until_stuck
    events: list[Event] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        config = EdgeConfig(upstream=origin.url)
        bodies = Bodies(None, events.append, memory_object_bytes_max=0)

        def tell(event: Event) -> None:
            events.append(event)
            if isinstance(event, FillHeaders):
                upstream.pause(PauseFill(fill_id=1))
            if isinstance(event, FillEnded):
                ended.set()

        def spawn(work: Any, name: str) -> asyncio.Task[None]:
            return loop.create_task(work, name=name)

        upstream = Upstream(config, Services(config), bodies, tell, spawn)
        upstream.start(
            StartFill(fill_id=1, url=origin.url + "/paused", headers=(), priority="prefetch")
        )
        async with asyncio.timeout(LIMIT_S):
            await loop.run_in_executor(None, sent.wait, LIMIT_S)
            assert stuck_at, "all was sent although nobody read"
            assert stuck_at[0] < 1_000_000
            upstream.resume(ResumeFill(fill_id=1))
            await ended.wait()
        upstream.close()
        await bodies.close()

    asyncio.run(main())
    (end,) = [event for event in events if isinstance(event, FillEnded)]
    assert end.size_bytes == size_bytes
