"""When the player asks its controller about the segment under way."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from abr.config import AbandonConfig, PlayerConfig
from abr.controllers import CONTROLLERS
from abr.rescue import LOOK_S
from abr.view import ASK_AGAIN, GO_ON, Attempt, Floats, Rungs, View
from tests.abr_world import World, presentation, viewer


class Spy:
    """Answers as told, and remembers what it was asked."""

    def __init__(self, answer: int = GO_ON) -> None:
        self.answer = answer
        self.attempts: list[Attempt] = []

    def choose(self, view: View) -> Rungs:
        return np.full(view.row_count, 1)

    def abandon(self, attempt: Attempt) -> Rungs:
        self.attempts.append(attempt)
        return np.full(attempt.rung.size, self.answer)


class PatientSpy(Spy):
    """Needs to be asked so long after each time that it was asked how long it bears."""

    def __init__(self, patience_s: float) -> None:
        super().__init__()
        self._patience_s = patience_s
        self.moments_s: list[float] = []

    def patience_s(self, attempt: Attempt) -> Floats:
        self.moments_s.append(float(attempt.elapsed_s[0]))
        return np.full(attempt.rung.size, self._patience_s)


def watched(spy: Spy, monkeypatch: pytest.MonkeyPatch, *, outage_s: float = 0.0) -> World:
    """Two segments of 2 s at 1000 kbit/s over a link of as much, which may pause after 1 s."""

    def build(name: str, settings: object, session_count: int) -> Spy:
        return spy

    monkeypatch.setattr("abr.selection.build_controller", build)

    def rate_kbps(now_s: float) -> float:
        return 0.0 if 3.0 <= now_s < 3.0 + outage_s else 1000.0

    world = World(viewer(), presentation((500.0, 1000.0), count=3), rate_kbps=rate_kbps)
    world.run()
    return world


def test_nothing_is_asked_before_the_grace_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy()
    watched(spy, monkeypatch)
    assert spy.attempts
    assert min(float(each.elapsed_s[0]) for each in spy.attempts) >= AbandonConfig().grace_s


def test_silent_transfer_is_asked_about_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy()
    watched(spy, monkeypatch, outage_s=3.0)
    received = [float(each.received_bits[0]) for each in spy.attempts]
    silent = [one for one, two in pairwise(received) if one == two]
    assert len(silent) >= 3.0 / LOOK_S - 2


def test_who_goes_on_whatever_comes_is_asked_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    spy = PatientSpy(math.inf)
    watched(spy, monkeypatch, outage_s=3.0)
    # Once for each of the segments that are not at rung 0, and when playback stopped.
    assert spy.moments_s == pytest.approx([0.5, 2.0, 0.5], abs=0.01)
    assert not spy.attempts


def test_patience_is_waited_for_also_while_bytes_come(monkeypatch: pytest.MonkeyPatch) -> None:
    spy = PatientSpy(0.6)
    watched(spy, monkeypatch)
    assert spy.moments_s[:3] == pytest.approx([0.5, 1.1, 1.7], abs=0.01)
    assert not spy.attempts


@pytest.mark.parametrize("name", list(CONTROLLERS))
def test_patience_changes_nothing_that_is_fetched(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rate_kbps(now_s: float) -> float:
        return 60.0 if now_s % 19.0 > 14.0 else 1500.0

    def sent() -> tuple[list[str], list[float]]:
        config = PlayerConfig(controller=name, startup_buffer_s=0.0, rebuffer_s=0.0)
        ladder = presentation((200.0, 500.0, 1000.0), count=15)
        world = World(viewer(config=config), ladder, rate_kbps=rate_kbps)
        world.run()
        return [each.url for _, each in world.sent], [at_s for at_s, _ in world.sent]

    patient_urls, patient_s = sent()
    monkeypatch.setattr("abr.rescue.Patient", Never)
    urls, asked_s = sent()
    assert patient_urls == urls
    # Polled every LOOK_S, what runs late is only seen so much later.
    assert patient_s == pytest.approx(asked_s, abs=2 * LOOK_S)


class Never:
    """Nobody is of this type."""


def tries(world: World) -> Counter[str]:
    """Requests of each segment, at whatever rung."""
    return Counter(
        request.url.split("/")[-1] for _, request in world.sent if request.kind == "segment"
    )


def test_named_rung_is_fetched_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    world = watched(Spy(0), monkeypatch)
    # The first is at rung 0, for nothing is measured yet.
    assert tries(world) == {"1.m4s": 1, "2.m4s": 2, "3.m4s": 2}
    assert len(world.cancelled) == 2


def test_controller_that_is_asked_again_for_ever_meets_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("abr.rescue.ASK_AGAIN_LIVE_COUNT_MAX", 5)
    world = watched(Spy(ASK_AGAIN), monkeypatch)
    assert world.core.is_done
    assert max(tries(world).values()) == 6
