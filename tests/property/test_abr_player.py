"""Whatever the network does, the player keeps its books straight."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abr import events as ev
from abr.config import AbandonConfig, PlayerConfig, RetryConfig
from abr.controllers import CONTROLLERS
from abr.records import PlaybackChanged, SegmentFetched
from abr.viewer import PlayItem
from nearcast.record import ListRecorder
from tests.abr_world import MPD, World, presentation, viewer

LADDERS = st.sampled_from([(400.0,), (300.0, 900.0), (250.0, 700.0, 1500.0, 3000.0)])


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """One viewing and its network: rates in steps of 2 s, repeating; which requests fail."""

    controller: str
    ladder_kbps: tuple[float, ...]
    audio_kbps: float | None
    count: int
    duration_s: float
    buffer_s_max: float
    startup_buffer_s: float
    rates_kbps: tuple[float, ...]
    latency_s: float
    fails: tuple[int, ...]
    hits: tuple[bool, ...]
    watch_s: float | None
    leave_at_s: float | None


CONDITIONS = st.builds(
    Conditions,
    controller=st.sampled_from(list(CONTROLLERS)),
    ladder_kbps=LADDERS,
    audio_kbps=st.sampled_from([None, 64.0, 300.0]),
    count=st.integers(1, 8),
    duration_s=st.sampled_from([0.5, 2.0, 5.0]),
    buffer_s_max=st.floats(1.0, 30.0),
    startup_buffer_s=st.floats(0.0, 8.0),
    # The first rate is never 0, so that every viewing comes to an end.
    rates_kbps=st.tuples(
        st.floats(300.0, 20_000.0), st.floats(0.0, 5_000.0), st.floats(0.0, 20_000.0)
    ),
    latency_s=st.floats(0.0, 1.5),
    fails=st.lists(st.integers(1, 30), max_size=4).map(tuple),
    hits=st.lists(st.booleans(), min_size=1, max_size=5).map(tuple),
    watch_s=st.none() | st.floats(0.0, 20.0),
    leave_at_s=st.none() | st.floats(0.0, 30.0),
)


def build(conditions: Conditions, recorder: ListRecorder) -> World:
    config = PlayerConfig(
        controller=conditions.controller,
        buffer_s_max=conditions.buffer_s_max,
        startup_buffer_s=conditions.startup_buffer_s,
        request_timeout_s=6.0,
        retry=RetryConfig(base_s=0.25, wait_s_max=1.0),
        abandon=AbandonConfig(),
    )
    items = (PlayItem(url=MPD, watch_s=conditions.watch_s), PlayItem(url=MPD, gap_s=1.0))

    def fail(request: ev.SendRequest) -> ev.ResponseFailed | None:
        if request.request_id not in conditions.fails:
            return None
        return ev.ResponseFailed(request_id=request.request_id, detail="HTTP 503", status=503)

    def status(url: str) -> str:
        is_hit = conditions.hits[len(url + str(world.now_s)) % len(conditions.hits)]
        return "edge; hit" if is_hit else "edge; fwd=miss"

    world = World(
        viewer(*items, config=config, recorder=recorder),
        presentation(
            conditions.ladder_kbps,
            audio_kbps=conditions.audio_kbps,
            count=conditions.count,
            duration_s=conditions.duration_s,
        ),
        rate_kbps=lambda t: conditions.rates_kbps[int(t / 2.0) % 3],
        latency_s=conditions.latency_s,
        failure=fail,
        cache_status=status,
    )
    return world


def run(world: World, conditions: Conditions) -> None:
    leave_at_s = conditions.leave_at_s
    if leave_at_s is None:
        world.run(until_s=2000.0)
    else:
        world.run(until_s=leave_at_s)
        world.feed(ev.Leave())


@settings(max_examples=60, deadline=None)
@given(CONDITIONS)
def test_time_bytes_and_requests_add_up(conditions: Conditions) -> None:
    recorder = ListRecorder()
    world = build(conditions, recorder)
    core = world.core
    fetched_s: Counter[tuple[str, str]] = Counter()
    seen = 0

    def check() -> None:
        nonlocal seen
        for record in recorder.records[seen:]:
            if isinstance(record, SegmentFetched):
                fetched_s[record.session_id, record.track] += 1
        seen = len(recorder.records)
        status = core.status()
        if status is not None:
            assert status.position_s <= status.buffered_end_s + 1e-6
            session_id = f"v-{len(core.report().sessions)}"
            tracks = ["video"] + (["audio"] if conditions.audio_kbps else [])
            held_s = min(fetched_s[session_id, track] for track in tracks) * conditions.duration_s
            assert status.position_s <= held_s + 1e-6
        due_s = core.deadline_s()
        assert due_s is None or not core.is_done

    world.on_step = check
    run(world, conditions)
    check()
    report = core.report()
    assert core.is_done, "every viewing comes to an end"

    # Every second is start-up, played or stalled.
    starts = [at_s for at_s, request in world.sent if request.kind == "manifest"]
    ends = [r for r in recorder.records if isinstance(r, PlaybackChanged) and r.state == "ended"]
    assert len(ends) == len(report.sessions) == len(world.ended)
    for session in report.sessions:
        mine = [at_s for at_s, r in world.sent if r.cmcd.session_id == session.session_id]
        end = next(each for each in ends if each.session_id == session.session_id)
        if session.startup_s is not None:
            accounted_s = session.startup_s + session.played_s + session.stalled_s
            assert accounted_s == pytest.approx(end.at_s - min(mine), abs=1e-5)
        assert session.played_s <= conditions.count * conditions.duration_s + 1e-6
        if session.ended == "finished":
            assert session.played_s == pytest.approx(conditions.count * conditions.duration_s)
    assert starts

    # Every request has one end: nothing is left open, nothing was cancelled twice.
    assert len(set(world.cancelled)) == len(world.cancelled)
    assert world.open_count == 0
    assert report.received_bytes == pytest.approx(
        world.delivered_bytes, abs=20_000 * (1 + len(world.cancelled))
    )


@settings(max_examples=25, deadline=None)
@given(CONDITIONS)
def test_one_segment_and_one_init_per_track_at_a_time(conditions: Conditions) -> None:
    world = build(conditions, ListRecorder())

    def check() -> None:
        kinds = Counter(
            (url.split("/")[-2][0], url.endswith("init.mp4")) for url in world.open_media_urls
        )
        assert all(count == 1 for count in kinds.values()), kinds

    world.on_step = check
    run(world, conditions)


@settings(max_examples=15, deadline=None)
@given(CONDITIONS)
def test_same_network_gives_the_same_viewing(conditions: Conditions) -> None:
    logs = []
    for _ in range(2):
        recorder = ListRecorder()
        world = build(conditions, recorder)
        run(world, conditions)
        logs.append((recorder.records, world.core.report()))
    assert logs[0] == logs[1]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.01, 50.0), min_size=1, max_size=20), st.floats(100.0, 4000.0))
def test_waking_early_or_often_changes_nothing(naps_s: list[float], rate_kbps: float) -> None:
    """`advance` at any times in between gives the same report as only at the deadlines."""
    plain = World(viewer(), presentation((300.0, 900.0), count=4), rate_kbps=rate_kbps)
    plain.run()
    nervous = World(viewer(), presentation((300.0, 900.0), count=4), rate_kbps=rate_kbps)
    times = [sum(naps_s[:n]) % 60.0 for n in range(len(naps_s))]

    def poke() -> None:
        if any(abs(nervous.now_s - at_s) < 5.0 for at_s in times):
            nervous.core.advance(nervous.now_s)

    nervous.on_step = poke
    nervous.run()
    ours, theirs = (
        msgspec.to_builtins(each.core.report())["sessions"][0] for each in (plain, nervous)
    )
    for name, value in ours.items():
        if isinstance(value, float):
            assert theirs[name] == pytest.approx(value, abs=1e-5), name
        else:
            assert theirs[name] == value, name


def test_pairs_of_deadlines_never_go_back() -> None:
    world = World(viewer(), presentation((300.0, 900.0)), rate_kbps=1200.0, latency_s=0.05)
    asked: list[tuple[float, float]] = []

    def note() -> None:
        due_s = world.core.deadline_s()
        if due_s is not None:
            asked.append((world.now_s, due_s))

    world.on_step = note
    world.run()
    assert all(due_s >= now_s - 1e-6 for now_s, due_s in asked)
    assert all(one[0] <= two[0] for one, two in pairwise(asked))
