"""A viewer straight at the origin: player, origin, transport and links without an edge between."""

from typing import Any

import pytest

from abr.config import PlayerConfig
from abr.report import SessionReport
from abr.viewer import PlayItem, ViewerCore, ViewingPlan
from nearcast.record import DigestRecorder
from origin.core import OriginCore
from origin.library import MemoryLibrary
from simulation.link_shape import LinkShape
from simulation.origin_node import OriginNode
from simulation.scenario import Scenario, scenario_of
from simulation.scheduler import Scheduler
from simulation.transport import Client
from simulation.viewer_node import ViewerNode
from simulation.wire import Path
from simulation.workload import titles_of


def catalog(**changes: Any) -> Scenario:
    table = {
        "catalog": {"film_count": 1, "film_s": 40, "rungs_kbps": [400, 1000, 2500], **changes},
        "edges": [{"name": "unused", "backhaul": {"rate_kbps": 1}}],
        "audience": {"viewer_count": 1, "last_miles": [{"rate_kbps": 1}]},
    }
    return scenario_of(table, "test")


def watch(
    shape: LinkShape, read: Scenario, *, manifest: str = "manifest.mpd", cmcd: str = "query"
) -> tuple[SessionReport, str, Path]:
    scheduler = Scheduler()
    digest = DigestRecorder()
    origin = OriginNode(
        OriginCore(MemoryLibrary(titles_of(read))), scheduler, digest, answer_s=0.001
    )
    path = Path(*shape.build(), scheduler)
    plan = ViewingPlan(
        viewer_id="v", items=(PlayItem(url=f"http://origin.invalid/media/film1/{manifest}"),)
    )
    viewer = ViewerNode(
        "v",
        ViewerCore.from_config(PlayerConfig(), plan, recorder=digest),
        Client(path, origin, scheduler, connection_limit=6),
        scheduler,
        digest,
        title_count=1,
        cmcd=cmcd,  # type: ignore[arg-type]
        request_s=0.0005,
    )
    viewer.start()
    scheduler.run(until_s=1000, is_done=lambda: viewer.is_done)
    (session,) = viewer.core.report().sessions
    return session, digest.hexdigest(), path


@pytest.mark.parametrize("manifest", ["manifest.mpd", "master.m3u8"])
def test_film_on_a_good_link_plays_to_its_end_without_a_stall(manifest: str) -> None:
    session, _, path = watch(LinkShape(rate_kbps=20_000, delay_ms=10), catalog(), manifest=manifest)
    assert session.ended == "finished"
    assert session.played_s == pytest.approx(40, abs=0.01)
    assert session.stall_count == 0
    assert session.startup_s is not None
    assert 0.1 < session.startup_s < 1.0
    assert session.bitrate_kbps is not None
    assert session.bitrate_kbps > 1000
    assert session.started_from_edge is None
    delivered_bytes = path.down.link.counters().delivered_bytes
    assert 0 < delivered_bytes - session.received_bytes < 1_000 * (session.response_count + 1)


def test_link_slower_than_the_lowest_rung_stalls_for_as_long_as_it_must() -> None:
    read = catalog(vbr_spread=0, audio_kbps=0, rungs_kbps=[800.0])
    session, _, _ = watch(LinkShape(rate_kbps=400, delay_ms=10), read)
    assert session.ended == "finished"
    assert session.startup_s is not None
    # 40 s of 800 kbit/s take 80 s at 400: what is not played is start-up or stall.
    assert session.startup_s + session.played_s + session.stalled_s == pytest.approx(80, rel=0.06)


def test_same_film_twice_gives_the_same_digest_and_another_link_another() -> None:
    shape = LinkShape(trace="wifi", delay_ms=10)
    assert watch(shape, catalog())[1] == watch(shape, catalog())[1]
    assert watch(shape, catalog())[1] != watch(LinkShape(trace="mobile", delay_ms=10), catalog())[1]


@pytest.mark.parametrize("cmcd", ["headers", "off"])
def test_other_ways_to_carry_cmcd_play_too(cmcd: str) -> None:
    session, _, _ = watch(LinkShape(rate_kbps=20_000, delay_ms=10), catalog(), cmcd=cmcd)
    assert session.ended == "finished"
