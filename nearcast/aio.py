"""The one place where machines meet asyncio.

A `Pump` feeds a machine its events, starts the effects that come out, and re-arms one timer.
Effects are started by a plain callable; work that takes time is spawned with `Pump.spawn` and
reports back with `Pump.feed`. Feeding while effects are being started is allowed (a fill that
fails at once): the event waits its turn, so the machine is never re-entered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Generic, TypeVar

from nearcast.clock import Clock
from nearcast.machine import Machine

logger = logging.getLogger(__name__)

EventT = TypeVar("EventT")
EffectT = TypeVar("EffectT")
ResultT = TypeVar("ResultT")


class Tasks:
    """Background tasks with an owner: none is lost to the garbage collector, none fails in
    silence."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def spawn(self, work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def fail(self, name: str, error: BaseException) -> None:
        """Something of ours broke: log it, and let whoever waits on `failure` know the first."""
        logger.error("task.failed name=%s", name, exc_info=error)
        if not self.failure.done():
            self.failure.set_exception(error)
            self.failure.exception()  # marked as seen: whoever waits on `failure` still gets it

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.fail(task.get_name(), error)

    async def close(self) -> None:
        """Cancel what runs and wait until it has ended."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Pump(Generic[EventT, EffectT]):
    """Drives one machine on a real clock, inside a running event loop."""

    def __init__(
        self,
        machine: Machine[EventT, EffectT],
        perform: Callable[[EffectT], None],
        clock: Clock,
    ) -> None:
        self._machine = machine
        self._perform = perform
        self._clock = clock
        self._waiting: deque[EventT] = deque()
        self._turning = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_s: float | None = None
        self._closed = False
        self.tasks = Tasks()

    def feed(self, event: EventT) -> None:
        """Tell the machine, then do what it wants done. Events after `close` are dropped."""
        if self._closed:
            return
        self._waiting.append(event)
        if not self._turning:
            self._turn()

    def wake(self) -> None:
        """Let the machine act on the time alone; call once after construction to arm the timer."""
        if not self._closed and not self._turning:
            self._machine.advance(self._clock.now_s())
            self._turn()

    def spawn(self, work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        return self.tasks.spawn(work, name=name)

    async def close(self) -> None:
        """Stop the timer, drop further events, cancel running effects."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        await self.tasks.close()

    def _turn(self) -> None:
        self._turning = True
        try:
            while True:
                for effect in self._machine.drain():
                    self._perform(effect)
                if not self._waiting:
                    break
                self._machine.handle(self._waiting.popleft(), self._clock.now_s())
        finally:
            self._turning = False
        self._arm()

    def _arm(self) -> None:
        """Have the machine woken in time. A timer that is too early stays: deadlines mostly move
        away, with every event, and waking early changes nothing."""
        due_s = self._machine.deadline_s()
        if due_s is None or (self._timer_due_s is not None and self._timer_due_s <= due_s):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due_s = due_s
        delay_s = max(0.0, due_s - self._clock.now_s())
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._due)

    def _due(self) -> None:
        self._timer = None
        self._timer_due_s = None
        try:
            self.wake()
        except Exception as error:  # the loop would log it and go on without the machine
            self.tasks.fail(f"{type(self._machine).__name__} timer", error)


@contextlib.contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set, so that servers drain instead of dying.

    The second signal restores the default and therefore ends the process at once.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def on_signal() -> None:
        stop.set()
        for number in numbers:
            loop.remove_signal_handler(number)

    for number in numbers:
        loop.add_signal_handler(number, on_signal)
    try:
        yield stop
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def on_hangup(callback: Callable[[], None]) -> Iterator[None]:
    """Call back on SIGHUP, where there is such a thing: it means "read your settings again"."""
    number = getattr(signal, "SIGHUP", None)
    if number is None:
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(number, callback)
    try:
        yield
    finally:
        loop.remove_signal_handler(number)


def run(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run a command's coroutine on uvloop where there is one, else on asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
