"""The inference process, seen from the node.

One low-priority child runs the model (edge.drivers.inference_worker). Questions go to it one way,
collected for a few milliseconds; answers come back as `Predicted`. Nothing waits for it: what does
not fit into the queue, what a crash loses and what comes too late is a `PredictionFailed`, and the
core decides by its rule. A model that cannot be loaded is reported once and not tried again; a
child that dies or hangs is started anew, each time after a longer pause.
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
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import msgspec

from edge.config import EdgeConfig
from edge.drivers.inference_worker import Answers, Failed, Questions, Ready, ToNode
from edge.effects import Predict
from edge.events import Event, ModelChanged, Predicted, PredictionFailed
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


class InferenceFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Of the last answers; None when there were none."""

    model_id: str | None
    pid: int | None
    restart_count: int
    answer_count: int
    batch_count: int
    dropped_count: int
    """Questions that were not asked, because the queue was full or there was no model."""
    p50_s: float | None
    """What the model took for a batch, measured around it."""
    p99_s: float | None
    round_trip_p50_s: float | None
    """From the question to the answer, collecting included."""
    round_trip_p99_s: float | None


class _ChildGone(Exception):
    """The child has ended or hangs."""


class Inference:
    """Owner of the child. `start` once, inside the running loop; `close` at the end."""

    def __init__(
        self,
        config: EdgeConfig,
        clock: Clock,
        tell: Callable[[Event], None],
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
    ) -> None:
        self._settings = config.inference
        self._model = config.prefetch.model
        self._is_wanted = config.prefetch.enabled and self._model != "rule"
        self._clock = clock
        self._tell = tell
        self._spawn = spawn
        self._model_id: str | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._batch: list[Predict] = []
        self._timer: asyncio.TimerHandle | None = None
        self._asked: dict[int, tuple[float, int]] = {}  # question -> when, how many rows
        self._row_count = 0
        self._task: asyncio.Task[None] | None = None
        self._restart_count = 0
        self._answer_count = 0
        self._batch_count = 0
        self._dropped_count = 0
        self._run_times_s: deque[float] = deque(maxlen=LATENCIES_MAX)
        self._round_trips_s: deque[float] = deque(maxlen=LATENCIES_MAX)

    def start(self) -> None:
        if not self._is_wanted:
            why = "prefetch is off" if self._model != "rule" else "prefetch.model is rule"
            self._tell(ModelChanged(model_id=None, detail=why))
            return
        self._task = self._spawn(self._supervise(), "inference")

    def ask(self, effect: Predict) -> None:
        if self._writer is None or self._model_id is None:
            self._refuse(effect, "no model is running")
        elif self._row_count + len(effect.rows) > self._settings.queue_max:
            self._refuse(effect, "the queue is full")
        else:
            self._asked[effect.prediction_id] = (self._clock.now_s(), len(effect.rows))
            self._row_count += len(effect.rows)
            self._batch.append(effect)
            if self._timer is None:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(self._settings.batch_s, self._send)

    def figures(self) -> InferenceFigures:
        return InferenceFigures(
            model_id=self._model_id,
            pid=self._process.pid if self._process is not None else None,
            restart_count=self._restart_count,
            answer_count=self._answer_count,
            batch_count=self._batch_count,
            dropped_count=self._dropped_count,
            p50_s=quantile(self._run_times_s, 0.5),
            p99_s=quantile(self._run_times_s, 0.99),
            round_trip_p50_s=quantile(self._round_trips_s, 0.5),
            round_trip_p99_s=quantile(self._round_trips_s, 0.99),
        )

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._bury()

    # The child's life

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
            self._lost(detail)
            if in_a_row > self._settings.restarts_max:
                logger.error("inference.given_up after=%d detail=%s", in_a_row, detail)
                return
            logger.warning("inference.lost detail=%s restarts=%d", detail, in_a_row)
            await asyncio.sleep(RESTART_PAUSE_S * 2.0 ** (in_a_row - 1))
            self._restart_count += 1

    async def _one_life(self) -> str | None:
        """Run a child until it ends. Why it ended, or None when its model cannot be used."""
        ours, theirs = socket.socketpair()
        writer: asyncio.StreamWriter | None = None
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(theirs.fileno()),
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
            if not isinstance(first, Ready):
                detail = first.detail if isinstance(first, Failed) else "it spoke out of turn"
                logger.warning("model.unusable detail=%s", detail)
                self._tell(ModelChanged(model_id=None, detail=detail))
                return None
            self._writer, self._model_id = writer, first.model_id
            self._tell(ModelChanged(model_id=first.model_id))
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

    def _command(self, fd: int) -> Sequence[str]:
        return (
            sys.executable,
            "-P",  # a folder called edge where the node was started is none of ours
            "-m",
            "edge.drivers.inference_worker",
            str(fd),
            self._model,
            str(self._settings.memory_bytes),
        )

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

    def _lost(self, detail: str) -> None:
        """The rule serves from here on; nothing asked so far will be answered."""
        self._batch.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        asked, self._asked = self._asked, {}
        self._row_count = 0
        self._model_id = None
        self._tell(ModelChanged(model_id=None, detail=detail))
        for prediction_id in asked:
            self._tell(PredictionFailed(prediction_id=prediction_id, detail=detail))

    # Questions and answers

    def _refuse(self, effect: Predict, detail: str) -> None:
        self._dropped_count += 1
        self._tell(PredictionFailed(prediction_id=effect.prediction_id, detail=detail))

    def _send(self) -> None:
        self._timer = None
        batch, self._batch = self._batch, []
        if not batch or self._writer is None:
            return
        message = msgspec.msgpack.encode(
            Questions(
                ids=tuple(one.prediction_id for one in batch),
                counts=tuple(len(one.rows) for one in batch),
                rows=tuple(row for one in batch for row in one.rows),
            )
        )
        self._writer.write(_LENGTH.pack(len(message)) + message)

    def _answered(self, message: Answers) -> None:
        now_s = self._clock.now_s()
        self._batch_count += 1
        self._run_times_s.append(message.took_s)
        for prediction_id, probabilities in zip(message.ids, message.probabilities, strict=True):
            asked_s, row_count = self._asked.pop(prediction_id, (now_s, 0))
            self._row_count -= row_count
            self._round_trips_s.append(now_s - asked_s)
            self._answer_count += 1
            self._tell(Predicted(prediction_id=prediction_id, probabilities=probabilities))


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


def quantile(values: Sequence[float] | deque[float], share: float) -> float | None:
    """The value that `share` of the others do not exceed; None of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
