"""The pump: events in order, effects started once, one timer, nothing lost on the way out."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable

import pytest

from nearcast.aio import Pump, Tasks, run, stop_signals
from nearcast.clock import SystemClock
from nearcast.machine import EffectQueue

TIMEOUT_S = 5.0


class Echo:
    """Repeats what it is told; `due_s` is when it wants to be woken, then says "woken"."""

    def __init__(self) -> None:
        self.effects: EffectQueue[str] = EffectQueue()
        self.due_s: float | None = None
        self.depth = 0

    def handle(self, event: str, now_s: float) -> None:
        assert self.depth == 0, "the machine was re-entered"
        self.depth += 1
        self.effects.emit(f"did {event}")
        self.depth -= 1

    def advance(self, now_s: float) -> None:
        assert self.depth == 0, "the machine was re-entered"
        if self.due_s is not None and now_s >= self.due_s:
            self.due_s = None
            self.effects.emit("woken")

    def deadline_s(self) -> float | None:
        return self.due_s

    def drain(self) -> list[str]:
        return self.effects.drain()


def in_loop(test: Callable[[], object]) -> None:
    async def main() -> None:
        made = test()
        assert asyncio.iscoroutine(made)
        await asyncio.wait_for(made, TIMEOUT_S)

    asyncio.run(main())


def test_effects_are_started_in_order_and_once() -> None:
    async def check() -> None:
        done: list[str] = []
        pump: Pump[str, str] = Pump(Echo(), done.append, SystemClock())
        pump.feed("a")
        pump.feed("b")
        assert done == ["did a", "did b"]
        await pump.close()

    in_loop(check)


def test_an_effect_that_feeds_at_once_waits_its_turn() -> None:
    async def check() -> None:
        done: list[str] = []

        def perform(effect: str) -> None:
            done.append(effect)
            if effect == "did a":
                pump.feed("b")
                pump.wake()
                done.append("after feeding")

        pump: Pump[str, str] = Pump(Echo(), perform, SystemClock())
        pump.feed("a")
        assert done == ["did a", "after feeding", "did b"]
        await pump.close()

    in_loop(check)


def test_the_machine_is_woken_when_it_asked_to_be() -> None:
    async def check() -> None:
        woken = asyncio.Event()
        machine, clock = Echo(), SystemClock()
        machine.due_s = clock.now_s() + 0.01
        pump: Pump[str, str] = Pump(machine, lambda effect: woken.set(), clock)
        pump.wake()
        assert not woken.is_set()
        await woken.wait()
        assert machine.due_s is None
        await pump.close()

    in_loop(check)


def test_a_deadline_moved_by_an_event_rearms_the_timer() -> None:
    async def check() -> None:
        done: list[str] = []
        woken = asyncio.Event()
        machine, clock = Echo(), SystemClock()

        def perform(effect: str) -> None:
            done.append(effect)
            if effect == "woken":
                woken.set()

        pump: Pump[str, str] = Pump(machine, perform, clock)
        machine.due_s = clock.now_s() + 1000.0
        pump.wake()
        machine.due_s = clock.now_s()
        pump.feed("a")
        await woken.wait()
        assert done == ["did a", "woken"]
        await pump.close()

    in_loop(check)


def test_a_failing_effect_leaves_the_pump_usable() -> None:
    async def check() -> None:
        done: list[str] = []

        def perform(effect: str) -> None:
            if effect == "did bad":
                raise RuntimeError("cannot start it")
            done.append(effect)

        pump: Pump[str, str] = Pump(Echo(), perform, SystemClock())
        with pytest.raises(RuntimeError):
            pump.feed("bad")
        pump.feed("good")
        assert done == ["did good"]
        await pump.close()

    in_loop(check)


def test_after_closing_nothing_happens_any_more() -> None:
    async def check() -> None:
        done: list[str] = []
        machine, clock = Echo(), SystemClock()
        pump: Pump[str, str] = Pump(machine, done.append, clock)
        machine.due_s = clock.now_s() + 0.001
        pump.wake()
        ended: list[str] = []

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("work")
                pump.feed("late")

        task = pump.spawn(work(), name="work")
        await asyncio.sleep(0)
        await pump.close()
        assert task.cancelled()
        assert ended == ["work"]
        pump.feed("later")
        pump.wake()
        loop = asyncio.get_running_loop()
        past_due = asyncio.Event()
        loop.call_later(0.01, past_due.set)
        await past_due.wait()
        assert done == []

    in_loop(check)


def test_an_effect_that_closes_the_pump_sets_no_further_timer() -> None:
    async def check() -> None:
        machine, clock = Echo(), SystemClock()
        done: list[str] = []
        closing: list[asyncio.Task[None]] = []

        def perform(effect: str) -> None:
            done.append(effect)
            if effect == "did stop":
                machine.due_s = clock.now_s()
                coroutine = pump.close()
                closing.append(asyncio.get_running_loop().create_task(coroutine))

        pump: Pump[str, str] = Pump(machine, perform, clock)
        pump.feed("stop")
        await asyncio.gather(*closing)
        past_due = asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, past_due.set)
        await past_due.wait()
        assert done == ["did stop"]

    in_loop(check)


def test_a_failed_task_is_logged_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        tasks = Tasks()

        async def fail() -> None:
            raise OSError("broken")

        tasks.spawn(fail(), name="fill")
        with caplog.at_level(logging.ERROR), pytest.raises(OSError, match="broken"):
            await tasks.failure
        assert "task.failed name=fill" in caplog.text
        await tasks.close()

    in_loop(check)


def test_a_machine_that_breaks_on_its_timer_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Echo):
        def advance(self, now_s: float) -> None:
            if self.due_s is not None and now_s >= self.due_s:
                raise RuntimeError("no such segment")

    async def check() -> None:
        machine = Broken()
        clock = SystemClock()
        pump: Pump[str, str] = Pump(machine, lambda effect: None, clock)
        machine.due_s = clock.now_s()
        pump.feed("a")
        with caplog.at_level(logging.ERROR), pytest.raises(RuntimeError, match="no such segment"):
            await pump.tasks.failure
        await pump.close()

    in_loop(check)


def test_signals_set_the_event_once() -> None:
    async def check() -> None:
        with stop_signals() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            await stop.wait()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    in_loop(check)


def test_run_gives_the_result() -> None:
    async def main() -> int:
        return 3

    assert run(main()) == 3
