"""One inference process, seen from the node: how it is started, asked, watched and replaced.

Nothing waits for it: what a crash loses and what comes too late is given up. A child that dies or
hangs is started anew, each time after a longer pause, as often in a row as its model may; a model
that cannot be used is not tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

import msgspec

from edge.drivers.inference_worker import Answers, Failed, Orders, Questions, Ready, ToNode
from edge.effects import Predict
from nearcast.clock import Clock

logger = logging.getLogger(__name__)

START_S_MAX: Final = 60.0
ANSWER_S_MAX: Final = 5.0
"""A child that is silent for longer with a question before it hangs, and is replaced."""
RESTART_PAUSE_S: Final = 1.0
STABLE_S: Final = 60.0
"""A child that lived this long had not failed at once: the count of restarts begins anew."""
LATENCIES_MAX: Final = 4096
MESSAGE_BYTES_MAX: Final = 4 << 20
_LENGTH: Final = struct.Struct(">I")


class Parent(Protocol):
    """Who is told what a child says."""

    def ready(self, child: Child, word: Ready) -> None: ...

    def unusable(self, child: Child, word: Failed) -> None: ...

    def lost(self, child: Child, detail: str, asked: tuple[int, ...], *, is_final: bool) -> None:
        """It is gone, and with it the answers to what it was asked."""

    def answered(
        self, child: Child, prediction_id: int, rows: tuple[tuple[float, ...], ...], took_s: float
    ) -> None: ...


class _ChildGone(Exception):
    """The child has ended or hangs."""


class Child:
    """A model in a process of its own."""

    def __init__(
        self, run_id: int, orders: Orders, parent: Parent, clock: Clock, *, restarts_max: int
    ) -> None:
        self.run_id = run_id
        self.restarts_max = restarts_max
        self.model_id: str | None = None
        """None while it cannot be asked."""
        self.restart_count = 0
        self.batch_count = 0
        self.run_times_s: deque[float] = deque(maxlen=LATENCIES_MAX)
        self.round_trips_s: deque[float] = deque(maxlen=LATENCIES_MAX)
        self.row_count = 0
        """Rows asked and not yet answered."""
        self._orders = orders
        self._parent = parent
        self._clock = clock
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._asked: dict[int, tuple[float, int]] = {}  # question -> when, how many rows
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def start(self, spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]) -> None:
        self._task = spawn(self._supervise(), "inference")

    def take(self, effect: Predict) -> None:
        """This will be part of the next batch."""
        self._asked[effect.prediction_id] = (self._clock.now_s(), len(effect.rows))
        self.row_count += len(effect.rows)

    def send(self, batch: list[Predict]) -> None:
        """Ask what of these it took."""
        mine = [one for one in batch if one.prediction_id in self._asked]
        if not mine or self._writer is None:
            return
        message = msgspec.msgpack.encode(
            Questions(
                ids=tuple(one.prediction_id for one in mine),
                counts=tuple(len(one.rows) for one in mine),
                rows=tuple(row for one in mine for row in one.rows),
            )
        )
        self._writer.write(_LENGTH.pack(len(message)) + message)

    async def close(self) -> None:
        """End it, and wait until it is gone."""
        self.model_id = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._bury()

    # -- its life

    async def _supervise(self) -> None:
        in_a_row = 0
        while True:
            started_s = self._clock.now_s()
            detail = await self._one_life()
            if detail is None:
                return  # the model itself is no good; another process would not help
            if self._clock.now_s() - started_s >= STABLE_S:
                in_a_row = 0
            in_a_row += 1
            is_final = in_a_row > self.restarts_max
            self._lost(detail, is_final=is_final)
            if is_final:
                logger.error("inference.given_up after=%d detail=%s", in_a_row, detail)
                return
            logger.warning("inference.lost detail=%s restarts=%d", detail, in_a_row)
            await asyncio.sleep(RESTART_PAUSE_S * 2.0 ** (in_a_row - 1))
            self.restart_count += 1

    async def _one_life(self) -> str | None:
        """Run a process until it ends. Why it ended, or None when its model cannot be used."""
        ours, theirs = socket.socketpair()
        writer: asyncio.StreamWriter | None = None
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # a folder called edge where the node was started is none of ours
                "-m",
                "edge.drivers.inference_worker",
                str(theirs.fileno()),
                msgspec.json.encode(self._orders).decode(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=_single_threaded(),
                start_new_session=True,  # Ctrl-C is for the node, which ends it
            )
            theirs.close()
            reader, writer = await asyncio.open_connection(sock=ours)
            async with asyncio.timeout(START_S_MAX):
                first = await _receive(reader)
            if isinstance(first, Failed):
                logger.warning("model.unusable reason=%s detail=%s", first.reason, first.detail)
                self._parent.unusable(self, first)
                return None
            if not isinstance(first, Ready):
                raise _ChildGone("it spoke out of turn")
            self._writer, self.model_id = writer, first.model_id
            self._parent.ready(self, first)
            await self._listen(reader)
        except (_ChildGone, TimeoutError, OSError) as error:
            return await self._epitaph(error)
        finally:
            self._writer = None
            theirs.close()
            if writer is not None:
                writer.close()
            else:
                ours.close()
            await self._bury()
        return "it ended"

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Take answers until the child is gone or owes one for too long. Raises _ChildGone."""
        while True:
            try:
                async with asyncio.timeout(ANSWER_S_MAX):
                    message = await _receive(reader)
            except TimeoutError:
                oldest_s = min((at_s for at_s, _ in self._asked.values()), default=None)
                if oldest_s is not None and self._clock.now_s() - oldest_s > ANSWER_S_MAX:
                    raise _ChildGone("it does not answer any more") from None
                continue
            if not isinstance(message, Answers):
                detail = message.detail if isinstance(message, Failed) else "it spoke out of turn"
                raise _ChildGone(detail)
            self._answered(message)

    def _answered(self, message: Answers) -> None:
        if len(message.ids) != len(message.probabilities):
            raise _ChildGone("its answers are not those to its questions")
        now_s = self._clock.now_s()
        self.batch_count += 1
        self.run_times_s.append(message.took_s)
        for prediction_id, rows in zip(message.ids, message.probabilities, strict=True):
            asked = self._asked.pop(prediction_id, None)
            if asked is None:
                raise _ChildGone("it answered what it was not asked")
            self.row_count -= asked[1]
            self.round_trips_s.append(now_s - asked[0])
            self._parent.answered(self, prediction_id, rows, message.took_s)

    async def _epitaph(self, error: Exception) -> str:
        process = self._process
        if isinstance(error, _ChildGone) and str(error):
            return str(error)
        if process is None:
            return f"it cannot be started: {error}"
        try:
            async with asyncio.timeout(1.0):
                return f"the inference process ended with status {await process.wait()}"
        except TimeoutError:
            return f"the inference process does not answer: {error}"

    async def _bury(self) -> None:
        """May be cancelled and called again: the child is forgotten only when it is gone."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            self._process = None

    def _lost(self, detail: str, *, is_final: bool) -> None:
        asked, self._asked = self._asked, {}
        self.row_count = 0
        self.model_id = None
        self._parent.lost(self, detail, tuple(asked), is_final=is_final)


async def _receive(reader: asyncio.StreamReader) -> ToNode:
    """Raises _ChildGone at the end of the stream, or when it holds nonsense."""
    try:
        (size_bytes,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if size_bytes > MESSAGE_BYTES_MAX:
            raise _ChildGone(f"it announced a message of {size_bytes} bytes")
        message: ToNode = msgspec.msgpack.decode(await reader.readexactly(size_bytes), type=ToNode)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise _ChildGone from error
    except msgspec.DecodeError as error:
        raise _ChildGone(f"its answer is nonsense: {error}") from error
    return message


def _single_threaded() -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(names, "1")}
