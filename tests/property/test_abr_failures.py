"""Whatever hosts, rungs and connections do, the player ends, keeps its books and floods nobody."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abr import events as ev
from abr.config import PlayerConfig, RetryConfig
from abr.setbacks import TRIES_AT_ONCE_MAX
from nearcast.record import ListRecorder
from nearcast.seeds import Seeds
from tests.abr_world import World, presentation, viewer

HOSTS = ("edge.test", "b.test", "c.test")
DURATION_S = 2.0
LADDER = (300.0, 900.0, 2000.0)


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong with some requests: of one host or any, one rung or any, one segment or any,
    from a time on and for a while."""

    kind: str
    host: str | None
    rung: int | None
    number: int | None
    from_s: float
    for_s: float

    def hits(self, request: ev.SendRequest, now_s: float) -> bool:
        place = urlsplit(request.url)
        parts = place.path.rsplit("/", 2)
        rung = int(parts[1][1:]) if parts[1][1:].isdigit() else None
        name = parts[2].split(".")[0]
        return (
            self.host in (None, place.netloc)
            and request.kind in ("init", "segment")
            and self.rung in (None, rung)
            and self.number in (None, int(name) if name.isdigit() else None)
            and self.from_s <= now_s < self.from_s + self.for_s
        )


TROUBLES = st.lists(
    st.builds(
        Trouble,
        kind=st.sampled_from(["refused", "404", "500", "503", "hang", "break", "page"]),
        host=st.none() | st.sampled_from(HOSTS),
        rung=st.none() | st.integers(0, 2),
        number=st.none() | st.integers(1, 10),
        from_s=st.floats(0.0, 20.0),
        for_s=st.floats(0.1, 60.0),
    ),
    max_size=5,
)


def build(
    troubles: list[Trouble], *, host_count: int, audio: bool, etag: str | None, seed: int | None
) -> World:
    config = PlayerConfig(
        controller="dynamic",
        request_timeout_s=6.0,
        fallback_hosts=HOSTS[1:host_count],
        retry=RetryConfig(failover_s=2.0),
    )
    generator = None if seed is None else Seeds(seed).stream("abr/v/hosts")

    def hit(request: ev.SendRequest, kinds: tuple[str, ...]) -> str | None:
        found = (t.kind for t in troubles if t.kind in kinds and t.hits(request, world.now_s))
        return next(found, None)

    def fail(request: ev.SendRequest) -> ev.ResponseFailed | None:
        kind = hit(request, ("refused", "404", "500", "503", "page"))
        if kind is None:
            return None
        return ev.ResponseFailed(
            request_id=request.request_id,
            detail=kind,
            status=int(kind) if kind.isdigit() else None,
            is_damage=kind == "page",
            retry_after_s=3.0 if kind == "503" else None,
        )

    world = World(
        viewer(config=config, recorder=ListRecorder(), generator=generator),
        presentation(LADDER, audio_kbps=64.0 if audio else None, count=10, duration_s=DURATION_S),
        rate_kbps=6000.0,
        latency_s=0.02,
        failure=fail,
        hangs=lambda request: hit(request, ("hang",)) is not None,
        breaks_after=lambda request: 30_000 if hit(request, ("break",)) else None,
        etag=etag,
    )
    return world


CASES = {
    "troubles": TROUBLES,
    "host_count": st.integers(1, 3),
    "audio": st.booleans(),
    "etag": st.sampled_from([None, '"v1"']),
    "seed": st.none() | st.integers(0, 9),
}


@settings(max_examples=60, deadline=None)
@given(**CASES)
def test_every_viewing_ends_and_adds_up(
    troubles: list[Trouble], host_count: int, audio: bool, etag: str | None, seed: int | None
) -> None:
    world = build(troubles, host_count=host_count, audio=audio, etag=etag, seed=seed)
    world.run(until_s=5000.0)
    (session,) = world.core.report().sessions
    assert world.is_over
    assert world.open_count == 0
    if session.ended == "finished":
        whole_s = session.played_s + session.skipped_s
        assert whole_s == pytest.approx(10 * DURATION_S, abs=1e-6)
    if session.startup_s is not None:
        accounted_s = session.startup_s + session.played_s + session.stalled_s
        assert accounted_s == pytest.approx(world.now_s, abs=1e-5)
    assert session.segment_count <= 10
    assert session.retry_count <= session.failure_count
    assert session.failover_count <= session.retry_count
    assert sum(use.request_count for use in session.hosts) == len(world.sent)
    assert {urlsplit(request.url).netloc for _, request in world.sent} <= set(HOSTS[:host_count])
    # Nothing but what it asked for and could use is taken for media.
    if session.bitrate_kbps is not None and session.segment_count:
        assert LADDER[0] * 0.99 <= session.bitrate_kbps <= LADDER[-1] * 1.01


@settings(max_examples=60, deadline=None)
@given(**CASES)
def test_no_trouble_makes_a_flood(
    troubles: list[Trouble], host_count: int, audio: bool, etag: str | None, seed: int | None
) -> None:
    """Of one track in any half second: what a round may ask for, and inits and segments that came.
    The link gives 375 kB in that time, and every 30 kB a connection may break and be gone on."""
    world = build(troubles, host_count=host_count, audio=audio, etag=etag, seed=seed)
    world.run(until_s=5000.0)
    by_track: dict[str, list[float]] = {}
    for at_s, request in world.sent:
        if request.kind == "segment":
            by_track.setdefault(request.url.rsplit("/", 2)[1][0], []).append(at_s)
    for times in by_track.values():
        for index, at_s in enumerate(times):
            close = sum(at_s <= other < at_s + 0.25 for other in times[index:])
            assert close <= 2 * TRIES_AT_ONCE_MAX + 12


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.builds(
            Trouble,
            kind=st.sampled_from(["refused", "404", "500", "503", "page"]),
            host=st.sampled_from(HOSTS[:2]),
            rung=st.none() | st.integers(0, 2),
            number=st.none() | st.integers(1, 10),
            from_s=st.floats(0.0, 20.0),
            for_s=st.floats(0.1, 60.0),
        ),
        max_size=6,
    ),
    st.booleans(),
)
def test_one_good_host_is_enough(troubles: list[Trouble], audio: bool) -> None:
    """Nothing is waited for, skipped or played at a lower rung for want of a host."""
    world = build(troubles, host_count=3, audio=audio, etag=None, seed=None)
    world.run(until_s=5000.0)
    (session,) = world.core.report().sessions
    calm = build([], host_count=3, audio=audio, etag=None, seed=None)
    calm.run(until_s=5000.0)
    (undisturbed,) = calm.core.report().sessions
    assert (session.ended, session.skipped_count) == ("finished", 0)
    assert session.stalled_s == pytest.approx(0.0, abs=0.01)
    assert session.startup_s is not None
    assert undisturbed.startup_s is not None
    assert session.startup_s < undisturbed.startup_s + 0.3


@settings(max_examples=15, deadline=None)
@given(**CASES)
def test_same_troubles_give_the_same_viewing(
    troubles: list[Trouble], host_count: int, audio: bool, etag: str | None, seed: int | None
) -> None:
    runs = []
    for _ in range(2):
        world = build(troubles, host_count=host_count, audio=audio, etag=etag, seed=seed)
        world.run(until_s=5000.0)
        runs.append((world.sent, world.core.report()))
    assert runs[0] == runs[1]
