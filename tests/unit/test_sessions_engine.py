"""The session simulator against a player that does one thing after the other."""

from __future__ import annotations

import numpy as np
import pytest

from abr.controllers import CONTROLLERS, build_controller
from abr.view import ASK_AGAIN, GO_ON, Attempt, Controller, Floats, Rungs, View
from nearcast.trace import Trace
from simulation.sessions.capacity import Capacity
from simulation.sessions.engine import Outcome, Settings, play
from simulation.sessions.plain import PlainTransport
from simulation.sessions.title import SessionTitle

LATENCY_S = 0.1
SEGMENT_S = 4.0
LADDER_KBPS = np.array([500.0, 1000.0, 4000.0])


def some_title(segment_count: int = 12) -> SessionTitle:
    draw = np.random.default_rng(1)
    sizes = LADDER_KBPS * 1000 * SEGMENT_S * draw.uniform(0.7, 1.3, (segment_count, 1))
    return SessionTitle(LADDER_KBPS, SEGMENT_S, sizes)


def some_traces(count: int = 5) -> list[Trace]:
    draw = np.random.default_rng(2)
    traces = []
    for _ in range(count):
        times_s = np.cumsum(draw.uniform(0.5, 6.0, 8))
        rates_kbps = draw.choice([0.0, 300.0, 2000.0, 9000.0], 7)
        rates_kbps[3] = 1500.0
        traces.append(Trace(times_s.tolist(), rates_kbps.tolist()))
    return traces


class Scripted:
    """Rungs in turn, but rung 1 when asked again about a segment; gives up after 1.5 s whatever is
    at the top rung, and says what to do then."""

    def __init__(self, instead: int = GO_ON) -> None:
        self.instead = instead
        self.views: list[View] = []
        self._asked: set[tuple[int, int]] = set()

    def choose(self, view: View) -> Rungs:
        self.views.append(view)
        due = list(zip(view.session.tolist(), view.segment_index.tolist(), strict=True))
        rungs = [1 if each in self._asked else each[1] % 3 for each in due]
        self._asked.update(due)
        return np.array(rungs, dtype=np.int64)

    def abandon(self, attempt: Attempt) -> Rungs:
        is_late = (attempt.elapsed_s >= 1.5) & (attempt.rung == 2)
        return np.where(is_late, self.instead, GO_ON).astype(np.int64)


def played(
    controller: Scripted, traces: list[Trace], settings: Settings | None = None
) -> tuple[SessionTitle, Outcome]:
    title = some_title()
    transport = PlainTransport(Capacity(traces), LATENCY_S)
    return title, play(title, controller, transport, len(traces), settings)


def one_after_the_other(
    title: SessionTitle, trace: Trace, limit_s: float
) -> tuple[list[float], list[float]]:
    """When each segment is here, and the stall before it, for rungs in turn."""
    now_s, buffer_s = 0.0, 0.0
    here_s, stalled_s = [], []
    for index in range(title.segment_count):
        wait_s = max(0.0, buffer_s + SEGMENT_S - limit_s)
        now_s, buffer_s = now_s + wait_s, buffer_s - wait_s
        size_bits = float(title.sizes_bits[index, index % 3])
        end_s = trace.finish_s(now_s + LATENCY_S, size_bits / 8)
        took_s = end_s - now_s
        stalled_s.append(max(0.0, took_s - buffer_s) if index else 0.0)
        buffer_s = max(0.0, buffer_s - took_s) + SEGMENT_S
        now_s = end_s
        here_s.append(now_s)
    return here_s, stalled_s


@pytest.mark.parametrize("limit_s", [8.0, 25.0])
def test_sessions_are_what_one_player_after_the_other_would_see(limit_s: float) -> None:
    traces = some_traces()
    title, outcome = played(Scripted(), traces, Settings(buffer_s_max=limit_s))
    for row, trace in enumerate(traces):
        here_s, stalled_s = one_after_the_other(title, trace, limit_s)
        assert outcome.here_s[row] == pytest.approx(here_s)
        assert outcome.stalled_s[row] == pytest.approx(stalled_s)
    assert outcome.stalled_s.sum() > 1.0
    assert (outcome.rungs == np.arange(12) % 3).all()


def test_view_says_what_was_measured() -> None:
    controller = Scripted()
    title, outcome = played(controller, [Trace.constant(2000.0)] * 2)
    last = controller.views[-1]
    assert last.history.kbps[0, -11:] == pytest.approx([2000.0] * 11)
    assert np.isnan(last.history.kbps[0, :-11]).all()
    assert last.history.ttfb_s[0, -1] == pytest.approx(LATENCY_S)
    assert last.history.bytes[0, -1] == pytest.approx(title.sizes_bits[10, 1] / 8)
    assert last.estimate_kbps == pytest.approx([2000.0] * 2)
    assert last.ttfb_s == pytest.approx([LATENCY_S] * 2)
    assert last.segments_left.tolist() == [1, 1]
    assert np.isnan(last.sizes_bits[0, 1:]).all()
    assert last.gap_s == pytest.approx(outcome.asked_s[:, 11] - outcome.here_s[:, 10])


def slow_after(start_s: float) -> Trace:
    return Trace([0.0, start_s, 1000.0], [9000.0, 600.0])


def test_named_rung_is_fetched_anew_and_the_bytes_so_far_are_lost() -> None:
    _, outcome = played(Scripted(instead=0), [slow_after(0.5)])
    given_up = outcome.abandoned[0] > 0
    assert given_up.tolist() == [index % 3 == 2 for index in range(12)]
    assert (outcome.rungs[0, given_up] == 0).all()
    # First look at 0.5 s, the last one not much after 1.5 s; latency 0.1 s.
    assert (outcome.wasted_bits[0, given_up] >= 0.6e6 * 1.4 - 1).all()
    assert (outcome.wasted_bits[0, given_up] <= 0.6e6 * 1.7).all()


def test_controller_is_asked_again_when_it_wants_to_be() -> None:
    _, outcome = played(Scripted(instead=ASK_AGAIN), [slow_after(0.5)])
    given_up = outcome.abandoned[0] > 0
    assert given_up.any()
    assert (outcome.rungs[0, given_up] == 1).all()


def test_session_that_gives_up_leaves_the_others_as_they_are() -> None:
    fast, slow = Trace.constant(20_000.0), slow_after(0.5)
    _, alone = played(Scripted(instead=0), [fast])
    _, beside = played(Scripted(instead=0), [fast, slow])
    assert beside.abandoned[1].sum() > 0
    assert beside.here_s[0].tolist() == alone.here_s[0].tolist()
    assert beside.rungs[0].tolist() == alone.rungs[0].tolist()


class Counting(Scripted):
    """Gives up by rate, and says for how long it would not."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_count = 0

    def abandon(self, attempt: Attempt) -> Rungs:
        self.asked_count += attempt.rung.size
        return np.where(attempt.rate_kbps < 700.0, 0, GO_ON).astype(np.int64)


class Patient(Counting):
    def patience_s(self, attempt: Attempt) -> Floats:
        slow_at_s = attempt.received_bits / 700_000.0 + attempt.ttfb_s
        return np.maximum(slow_at_s - attempt.elapsed_s, 0.0)


def test_patience_spares_questions_and_changes_no_answer() -> None:
    traces = some_traces(20)
    asked, patient = Counting(), Patient()
    _, by_asking = played(asked, traces)
    _, by_patience = played(patient, traces)
    assert by_asking.abandoned.sum() > 5
    assert by_patience.here_s.tolist() == by_asking.here_s.tolist()
    assert by_patience.abandoned.tolist() == by_asking.abandoned.tolist()
    assert patient.asked_count < asked.asked_count / 3


class Unasked:
    """A controller that does not say for how long it goes on."""

    def __init__(self, controller: Controller) -> None:
        self.choose = controller.choose
        self.abandon = controller.abandon


@pytest.mark.parametrize("name", list(CONTROLLERS))
def test_patience_of_each_controller_changes_no_answer(name: str) -> None:
    count = 12
    title, transport = some_title(), PlainTransport(Capacity(some_traces(count)), LATENCY_S)
    by_patience = play(title, build_controller(name, session_count=count), transport, count)
    unasked = Unasked(build_controller(name, session_count=count))
    by_asking = play(title, unasked, transport, count)
    assert by_patience.here_s.tolist() == by_asking.here_s.tolist()
    assert by_patience.abandoned.tolist() == by_asking.abandoned.tolist()
    assert name == "robust_mpc" or by_asking.abandoned.sum() > 0
