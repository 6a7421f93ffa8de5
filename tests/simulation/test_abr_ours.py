"""Our controller in a player, on a virtual clock: beside audio, and behind an edge that has some of
the title. The link is that of tests/abr_world.py."""

from __future__ import annotations

from abr.config import PlayerConfig
from abr.report import SessionReport
from abr.viewer import PlayItem
from tests.abr_world import BASE, MPD, World, presentation, viewer

OURS = PlayerConfig(controller="nearcast", startup_buffer_s=0.0, rebuffer_s=0.0)
LADDER = (300.0, 450.0, 600.0, 1200.0)
LAST_MILE_KBPS = 20_000.0


def video_rungs(world: World) -> list[int]:
    """Of the video segments, in the order in which they were asked for."""
    videos = [each for _, each in world.sent if each.kind == "segment" and "/v" in each.url]
    return [int(each.url.removeprefix(f"{BASE}/v")[0]) for each in videos]


def test_video_takes_what_audio_leaves_of_the_link() -> None:
    title = presentation(LADDER, audio_kbps=128.0, count=24, duration_s=4.0)
    world = World(viewer(config=OURS), title, rate_kbps=600.0, latency_s=0.02)
    world.run()
    session = world.core.report().sessions[0]
    assert session.stalled_s == 0.0
    assert session.bitrate_kbps is not None
    assert LADDER[0] < session.bitrate_kbps < 600.0 - 128.0
    # Towards the end what is buffered is spent on rungs that the link does not carry.
    assert max(video_rungs(world)[:-8]) <= LADDER.index(450.0)


def second_title(held_count: int, backhaul_kbps: float) -> tuple[list[int], SessionReport]:
    """Played behind an edge that holds its first segments, at 1000 kbit/s alone, after a title on a
    backhaul of 5000 kbit/s that has since become poor."""

    def is_hit(url: str) -> bool:
        name = url.rsplit("/", 1)[1].removesuffix(".m4s")
        is_held = name == "init.mp4" or (name.isdigit() and int(name) <= held_count)
        return bool(world.ended) and "/v1/" in url and is_held

    def flow_kbps(url: str) -> float:
        return LAST_MILE_KBPS if is_hit(url) else backhaul_kbps if world.ended else 5000.0

    items = (PlayItem(url=MPD), PlayItem(url=MPD, is_next_episode=True))
    world = World(
        viewer(*items, config=OURS),
        presentation((300.0, 1000.0), count=30, duration_s=4.0),
        rate_kbps=LAST_MILE_KBPS,
        latency_s=0.02,
        flow_kbps=flow_kbps,
        cache_status=lambda url: "edge; hit" if is_hit(url) else "edge; fwd=miss",
    )
    world.run()
    return video_rungs(world)[30:], world.core.report().sessions[1]


def test_rung_that_the_edge_holds_is_kept_on_a_poor_backhaul() -> None:
    rungs, session = second_title(30, 400.0)
    assert rungs == [1] * 30
    assert session.stalled_s == 0.0
    assert session.edge_hit_count == 30 + 1


def test_first_misses_after_a_burst_of_hits_do_not_stall() -> None:
    rungs, session = second_title(20, 400.0)
    assert rungs[:20] == [1] * 20
    assert session.stalled_s == 0.0
    # What is buffered pays for three more at most. At the end of the title it pays again.
    behind = rungs[20:-3]
    assert behind.count(1) <= 3
    assert behind[3:] == [0] * len(behind[3:])
