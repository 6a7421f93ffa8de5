"""Virtual time: a heap of calls, and the pump that drives machines from it.

Calls happen in the order of their time, and among equal times in the order in which they were
asked for, so a run repeats exactly.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from nearcast.clock import VirtualClock
from nearcast.errors import LocalProtocolError
from nearcast.machine import Machine

EventT = TypeVar("EventT")
EffectT = TypeVar("EffectT")

# Turns of one machine at one instant after which it is taken to be stuck in a circle.
TURNS_AT_ONE_TIME_MAX = 100_000


class Timer:
    """A call that will be made, unless it is cancelled first."""

    __slots__ = ("call", "due_s")

    def __init__(self, due_s: float, call: Callable[[], None]) -> None:
        self.due_s = due_s
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class Scheduler:
    """Runs calls in virtual time."""

    def __init__(self, clock: VirtualClock | None = None) -> None:
        self.clock = VirtualClock() if clock is None else clock
        self.call_count = 0
        self._heap: list[tuple[float, int, Timer]] = []
        self._sequence_no = 0

    def now_s(self) -> float:
        return self.clock.now_s()

    def at(self, due_s: float, call: Callable[[], None]) -> Timer:
        """Call then, or now if that is past."""
        timer = Timer(max(due_s, self.clock.now_s()), call)
        self._sequence_no += 1
        heapq.heappush(self._heap, (timer.due_s, self._sequence_no, timer))
        return timer

    def after(self, delay_s: float, call: Callable[[], None]) -> Timer:
        return self.at(self.clock.now_s() + delay_s, call)

    def next_s(self) -> float:
        """When the next call is due; infinite when there is none."""
        while self._heap and self._heap[0][2].call is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else float("inf")

    def step(self) -> bool:
        """Make the next call; False when there is none."""
        while self._heap:
            due_s, _, timer = heapq.heappop(self._heap)
            call, timer.call = timer.call, None
            if call is not None:
                self.clock.move_to(due_s)
                self.call_count += 1
                call()
                return True
        return False

    def run(
        self, *, until_s: float = float("inf"), is_done: Callable[[], bool] = lambda: False
    ) -> None:
        """Make calls up to `until_s`, until `is_done`, or until none is left."""
        while not is_done() and self.next_s() <= until_s and self.step():
            pass


class SimulatedPump(Generic[EventT, EffectT]):
    """Drives one machine in virtual time the way `nearcast.aio.Pump` drives it on a real clock."""

    def __init__(
        self,
        machine: Machine[EventT, EffectT],
        perform: Callable[[EffectT], None],
        scheduler: Scheduler,
    ) -> None:
        self._machine = machine
        self._perform = perform
        self._scheduler = scheduler
        self._waiting: deque[EventT] = deque()
        self._turning = False
        self._is_stopped = False
        self._timer: Timer | None = None
        self.turn_count = 0
        self._turn_s = -1.0
        self._turns_at_one_time = 0

    def feed(self, event: EventT) -> None:
        """Tell the machine, then do what it wants done."""
        if self._is_stopped:
            return
        self._waiting.append(event)
        if not self._turning:
            self._turn()

    def stop(self) -> None:
        """The machine is no more: what it is told from now on goes nowhere."""
        self._is_stopped = True
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def wake(self) -> None:
        """Let the machine act on the time alone."""
        if not self._turning and not self._is_stopped:
            self._machine.advance(self._scheduler.now_s())
            self._turn()

    def _turn(self) -> None:
        self._count_turn()
        self._turning = True
        try:
            while True:
                for effect in self._machine.drain():
                    self._perform(effect)
                if not self._waiting:
                    break
                self._machine.handle(self._waiting.popleft(), self._scheduler.now_s())
        finally:
            self._turning = False
        self._arm()

    def _arm(self) -> None:
        due_s = self._machine.deadline_s()
        timer = self._timer
        if due_s is None:
            if timer is not None:
                timer.cancel()
                self._timer = None
        # A timer that fires early does no harm and arms the right one then; this is cheaper than
        # moving it whenever a deadline is put off.
        elif timer is None or timer.due_s > due_s:
            if timer is not None:
                timer.cancel()
            self._timer = self._scheduler.at(due_s, self._due)

    def _due(self) -> None:
        self._timer = None
        self.wake()

    def _count_turn(self) -> None:
        self.turn_count += 1
        now_s = self._scheduler.now_s()
        if now_s > self._turn_s:
            self._turn_s, self._turns_at_one_time = now_s, 0
        self._turns_at_one_time += 1
        if self._turns_at_one_time > TURNS_AT_ONE_TIME_MAX:
            raise LocalProtocolError(
                f"{type(self._machine).__name__} goes in circles at {now_s:.6f} s; its deadline "
                f"is {self._machine.deadline_s()}"
            )
