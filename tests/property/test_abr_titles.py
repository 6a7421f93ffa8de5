"""Whatever is missing from a title, all that is there at some rung is played, once."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from abr.config import PlayerConfig
from abr.controllers import CONTROLLERS
from nearcast.media import Presentation, Representation
from tests.abr_world import World, presentation, viewer

COUNT = 8
SEGMENT_S = 2.0
RUNGS = (400.0, 900.0, 2000.0)

MISSING = st.lists(
    st.frozensets(st.integers(0, COUNT - 1), max_size=COUNT - 1),
    min_size=len(RUNGS),
    max_size=len(RUNGS),
)
LEFT_OUT = st.frozensets(st.integers(0, COUNT - 1), max_size=COUNT - 1)


def without(one: Representation, missing: frozenset[int]) -> Representation:
    kept = tuple(each for index, each in enumerate(one.segments) if index not in missing)
    return msgspec.structs.replace(one, segments=kept)


def holed(missing: list[frozenset[int]], audio_missing: frozenset[int]) -> Presentation:
    whole = presentation(RUNGS, audio_kbps=64.0, count=COUNT, duration_s=SEGMENT_S)
    return msgspec.structs.replace(
        whole,
        video=tuple(without(one, gone) for one, gone in zip(whole.video, missing, strict=True)),
        audio=(without(whole.audio[0], audio_missing),),
    )


@settings(max_examples=60, deadline=None)
@given(
    MISSING,
    LEFT_OUT,
    st.sampled_from(sorted(CONTROLLERS)),
    st.sampled_from([3_000.0, 8_000.0, 50_000.0]),
)
def test_what_is_there_at_some_rung_is_played_once(
    missing: list[frozenset[int]], audio_missing: frozenset[int], controller: str, rate_kbps: float
) -> None:
    title = holed(missing, audio_missing)
    config = msgspec.structs.replace(PlayerConfig(), controller=controller)
    world = World(viewer(config=config), title, rate_kbps=rate_kbps, latency_s=0.02)
    world.run()
    (session,) = world.core.report().sessions
    assert session.ended == "finished", session.detail
    asked = [request.url for _, request in world.sent if request.kind == "segment"]
    cancelled = len(world.cancelled)
    numbers = Counter(url.rpartition("/")[2] for url in asked if "/v" in url)
    there = set(range(COUNT)) - frozenset.intersection(*missing)
    assert set(numbers) == {f"{index + 1}.m4s" for index in there}
    assert sum(numbers.values()) <= len(there) + cancelled
    audio = [url.rpartition("/")[2] for url in asked if "/a0/" in url]
    assert audio == [f"{index + 1}.m4s" for index in range(COUNT) if index not in audio_missing]
