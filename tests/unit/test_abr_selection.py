"""What the player tells its controller beside the state: audio on the same link, what the edge has,
a network known from before."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from abr.config import PlayerConfig
from abr.controllers import CONTROLLERS, build_controller
from abr.foresight import foreseen
from abr.view import GO_ON, HISTORY, HORIZON, Attempt, History, Rungs, View
from predictor.bandwidth import Prior
from tests.abr_world import BASE, World, presentation, viewer

OURS = PlayerConfig(controller="nearcast", startup_buffer_s=0.0, rebuffer_s=0.0)
LADDER = (300.0, 450.0, 600.0, 1200.0)
LAST_MILE_KBPS = 20_000.0


def video_rungs(world: World) -> list[int]:
    """Of the video segments, in the order in which they were asked for."""
    videos = [each for _, each in world.sent if each.kind == "segment" and "/v" in each.url]
    return [int(each.url.removeprefix(f"{BASE}/v")[0]) for each in videos]


def view(
    kbps: list[float], *, is_hit: bool = False, buffer_s: float = 12.0, last_rung: int = 1
) -> View:
    """Of one session in the middle of a title of 4 s segments at LADDER."""
    samples = np.full((1, HISTORY), np.nan)
    samples[0, HISTORY - len(kbps) :] = kbps
    known = np.where(np.isnan(samples), np.nan, 1.0)
    durations_s = np.full((1, HORIZON), 4.0)
    return View(
        session=np.zeros(1, dtype=np.int64),
        ladder_kbps=np.array(LADDER),
        buffer_s=np.array([buffer_s]),
        buffer_limit_s=np.array([25.0]),
        durations_s=durations_s,
        sizes_bits=durations_s[:, :, None] * np.array(LADDER) * 1000.0,
        segment_index=np.array([10]),
        segments_left=np.array([40]),
        estimate_kbps=np.array([kbps[-1] if kbps else np.nan]),
        ttfb_s=np.array([0.02]),
        history=History(
            kbps=samples,
            bytes=samples * 125.0 * 4.0,
            duration_s=known * 4.0,
            ttfb_s=known * 0.02,
            gap_s=known * 0.0,
            is_hit=np.isfinite(samples) & is_hit,
        ),
        gap_s=np.zeros(1),
        last_rung=np.array([last_rung]),
        is_startup=np.array([False]),
        is_stalled=np.array([False]),
    )


def choose(asked: View, name: str = "nearcast") -> int:
    return int(build_controller(name, OURS.controllers, 1).choose(asked)[0])


@pytest.mark.parametrize(
    "name",
    [each for each in CONTROLLERS if each != "bola"],  # which goes by the buffer alone
)
def test_what_other_tracks_take_is_planned_for(name: str) -> None:
    bare_rungs, rungs = [], []
    for kbps in (500.0, 700.0, 900.0, 1400.0):
        for buffer_s in (8.0, 14.0, 20.0):
            bare = view([kbps] * HISTORY, buffer_s=buffer_s)
            beside = msgspec.structs.replace(bare, taken_kbps=np.array([400.0]))
            bare_rungs.append(choose(bare, name))
            rungs.append(choose(beside, name))
    assert all(rung <= bare for rung, bare in zip(rungs, bare_rungs, strict=True))
    assert sum(rungs) <= sum(bare_rungs) - 4


def test_what_the_edge_has_is_planned_by_the_last_mile() -> None:
    missed = view([400.0] * 8, buffer_s=6.0)
    seen = missed.history
    hits = np.where(np.arange(HISTORY) >= HISTORY - 2, True, False)[None]
    kbps = np.where(hits, LAST_MILE_KBPS, seen.kbps)
    history = msgspec.structs.replace(seen, kbps=kbps, is_hit=hits, bytes=kbps * 500.0)
    unknown = msgspec.structs.replace(missed, history=history)
    ahead = np.full(unknown.sizes_bits.shape, np.nan)
    ahead[:, :, 1] = 1.0
    assert choose(unknown) == 0
    assert choose(msgspec.structs.replace(unknown, hits_ahead=ahead)) == 1


def test_what_is_asked_as_of_another_session_changes_nothing_for_the_first() -> None:
    missed = view([900.0] * 12, last_rung=3)
    held = np.full(missed.sizes_bits.shape, np.nan)
    held[:, :, 3] = 1.0
    beside = view([900.0] * 6 + [LAST_MILE_KBPS] * 6, is_hit=True, last_rung=3)
    beside = msgspec.structs.replace(beside, hits_ahead=held, session=np.array([1]))
    alone, interrupted = (build_controller("nearcast", OURS.controllers, 2) for _ in range(2))
    for each in (alone, interrupted):
        each.choose(missed)
    interrupted.choose(beside)
    assert foreseen(interrupted, 1.0) == foreseen(alone, 1.0)
    answers = [
        [int(each.abandon(late(share, buffer_s))[0]) for share in SHARES for buffer_s in BUFFERS_S]
        for each in (alone, interrupted)
    ]
    assert answers[0] == answers[1]
    assert len(set(answers[0])) > 1


SHARES = np.linspace(0.05, 0.9, 18).tolist()
BUFFERS_S = np.linspace(0.5, 8.0, 16).tolist()


def late(received_share: float, buffer_s: float) -> Attempt:
    """A segment at the highest rung, of which so much came in 4 s."""
    sizes_bits = 4.0 * np.array([LADDER]) * 1000.0
    return Attempt(
        session=np.zeros(1, dtype=np.int64),
        ladder_kbps=np.array(LADDER),
        rung=np.array([3]),
        elapsed_s=np.array([4.0]),
        ttfb_s=np.array([0.02]),
        received_bits=sizes_bits[:, 3] * received_share,
        sizes_bits=sizes_bits,
        duration_s=np.array([4.0]),
        buffer_s=np.array([buffer_s]),
        is_hit=np.zeros(1, dtype=np.bool_),
        is_waiting=np.zeros(1, dtype=np.bool_),
    )


class Asked:
    """A controller that would rather leave the upper rung, unless the edge has it; it keeps what
    it was shown."""

    def __init__(self) -> None:
        self.views: list[View] = []

    def choose(self, view: View) -> Rungs:
        self.views.append(view)
        return np.array([1 if view.hits_ahead is not None or view.last_rung[0] < 0 else 0])

    def abandon(self, attempt: Attempt) -> Rungs:
        return np.array([GO_ON])


def asked(monkeypatch: pytest.MonkeyPatch, *, audio_kbps: float | None = None) -> Asked:
    """In a title of two rungs, of which an edge has the first six segments of the upper one, on a
    network that is known to be fast."""
    spy = Asked()
    monkeypatch.setattr("abr.selection.build_controller", lambda *_: spy)

    def status(url: str) -> str:
        is_held = "/v1/" in url and not url.endswith(("7.m4s", "8.m4s"))
        return "edge; hit" if is_held else "edge; fwd=miss"

    title = presentation((300.0, 1000.0), audio_kbps=audio_kbps, count=8)
    world = World(viewer(config=OURS, prior=FAST), title, cache_status=status)
    world.run()
    rungs = video_rungs(world)
    assert audio_kbps is not None or rungs == [1] * 7 + [0]
    return spy


def test_controller_is_told_that_the_edge_has_what_follows_at_the_held_rung(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = [each for each in asked(monkeypatch).views if each.hits_ahead is not None]
    assert len(told) == 6  # from the second segment to the seventh, which turned out to miss
    for each in told:
        assert each.hits_ahead is not None
        assert (each.hits_ahead[:, :, 1] == 1.0).all()
        assert np.isnan(each.hits_ahead[:, :, 0]).all()
        assert each.session.tolist() == [1]  # what it remembers of the real one stays true


def test_controller_is_told_what_sound_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        assert all(each.taken_kbps is None for each in asked(patch).views)
    for each in asked(monkeypatch, audio_kbps=96.0).views:
        assert each.taken_kbps is not None
        assert each.taken_kbps.tolist() == [96.0]


FAST = Prior(level=15.0, spread=0.6)
SLOW = Prior(level=8.2, spread=0.6)


@pytest.mark.parametrize("controller", ["nearcast", "throughput", "dynamic"])
def test_first_segment_goes_by_what_is_remembered_of_the_network(controller: str) -> None:
    config = msgspec.structs.replace(OURS, controller=controller)

    def first_rung(prior: Prior | None) -> int:
        title = presentation(LADDER, count=2, duration_s=4.0)
        world = World(viewer(config=config, prior=prior), title, rate_kbps=30_000.0)
        world.run(until_s=1.0)
        return video_rungs(world)[0]

    assert first_rung(FAST) == 3
    assert first_rung(SLOW) == 0
    assert first_rung(None) == 0
