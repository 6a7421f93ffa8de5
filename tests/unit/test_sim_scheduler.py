"""Virtual time and the pump that drives machines in it."""

import pytest

from nearcast.errors import LocalProtocolError
from simulation.scheduler import Scheduler, SimulatedPump


def test_calls_come_by_time_then_by_the_order_they_were_asked_for() -> None:
    scheduler = Scheduler()
    seen: list[tuple[str, float]] = []
    for name, due_s in (("late", 2.0), ("first", 1.0), ("second", 1.0)):
        scheduler.at(due_s, lambda name=name: seen.append((name, scheduler.now_s())))  # type: ignore[misc]
    scheduler.run()
    assert seen == [("first", 1.0), ("second", 1.0), ("late", 2.0)]


def test_cancelled_call_is_not_made_and_past_times_mean_now() -> None:
    scheduler = Scheduler()
    seen: list[float] = []
    timer = scheduler.at(1.0, lambda: seen.append(-1.0))

    def ask_for_the_past() -> None:
        scheduler.at(2.0, lambda: seen.append(scheduler.now_s()))

    scheduler.at(3.0, ask_for_the_past)
    timer.cancel()
    scheduler.run()
    assert seen == [3.0]


def test_run_stops_at_the_given_time_and_goes_on_later() -> None:
    scheduler = Scheduler()
    seen: list[float] = []
    for due_s in (1.0, 2.0, 3.0):
        scheduler.at(due_s, lambda: seen.append(scheduler.now_s()))
    scheduler.run(until_s=2.0)
    assert seen == [1.0, 2.0]
    scheduler.run(is_done=lambda: True)
    assert seen == [1.0, 2.0]
    scheduler.run()
    assert seen == [1.0, 2.0, 3.0]


class Echo:
    """A machine that answers each number below 3 with the next, and has one alarm."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, int]] = []
        self.alarm_s: float | None = None
        self._out: list[int] = []

    def handle(self, event: int, now_s: float) -> None:
        self.seen.append((now_s, event))
        if event < 3:
            self._out.append(event + 1)
        if event == 10:
            self.alarm_s = now_s + 5

    def advance(self, now_s: float) -> None:
        if self.alarm_s is not None and now_s >= self.alarm_s:
            self.alarm_s = None
            self.seen.append((now_s, -1))

    def deadline_s(self) -> float | None:
        return self.alarm_s

    def drain(self) -> list[int]:
        out, self._out = self._out, []
        return out


def test_pump_feeds_what_effects_bring_back_without_reentry() -> None:
    scheduler = Scheduler()
    echo = Echo()
    pump: SimulatedPump[int, int] = SimulatedPump(echo, lambda effect: pump.feed(effect), scheduler)
    pump.feed(1)
    assert echo.seen == [(0.0, 1), (0.0, 2), (0.0, 3)]


def test_pump_wakes_its_machine_at_the_deadline() -> None:
    scheduler = Scheduler()
    echo = Echo()
    pump: SimulatedPump[int, int] = SimulatedPump(echo, lambda effect: None, scheduler)
    scheduler.at(1.0, lambda: pump.feed(10))
    scheduler.at(2.0, lambda: pump.feed(4))
    scheduler.run()
    assert echo.seen == [(1.0, 10), (2.0, 4), (6.0, -1)]


class Stuck(Echo):
    def deadline_s(self) -> float | None:
        return 0.0


def test_machine_whose_deadline_never_passes_is_reported() -> None:
    scheduler = Scheduler()
    pump: SimulatedPump[int, int] = SimulatedPump(Stuck(), lambda effect: None, scheduler)
    pump.wake()
    with pytest.raises(LocalProtocolError, match="Stuck goes in circles"):
        scheduler.run()
