"""Takes what edges ship, many pieces to a transaction, and answers when it is committed.

Pieces wait in one bounded queue, the first of them a quarter of a second for others to share its
transaction: edges do not mind, and a commit costs as much as a hundred events.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from nearcast.errors import RemoteProtocolError
from nearcast.fleet import Refused
from nearcast.telemetry import Received
from origin.drivers.state.database import Database
from origin.drivers.state.errors import StateError, StateUnavailable
from origin.drivers.state.telemetry import PIECES_MAX, take_pieces
from origin.telemetry.cursors import Verdict
from origin.telemetry.pieces import Odd, Piece, read_piece

logger = logging.getLogger(__name__)

WAITING_BYTES_MAX: Final = 64_000_000
"""Of pieces, as they came. What comes on top is told to come again."""
BATCH_BYTES_MAX: Final = 8_000_000
"""In one transaction, so that none takes seconds."""
GATHER_S: Final = 0.25
TRIES: Final = 3
"""Of one transaction: two origins may meet at the same rows."""


class IntakeFigures(msgspec.Struct, kw_only=True):
    """Counted since the start of the process."""

    event_count: int = 0
    taken_count: int = 0
    repeated_count: int = 0
    early_count: int = 0
    refused_count: int = 0
    """Pieces that were none."""
    busy_count: int = 0
    """Pieces told to come again: too many wait, or the database is away."""
    odd: dict[Odd, int] = msgspec.field(default_factory=dict)
    """Lines that counted for nothing or not as they said, by reason."""


class _Waiting(NamedTuple):
    piece: Piece
    answer: asyncio.Future[Verdict]


class Intake:
    """One for all ways by which telemetry comes in. Make it inside the running loop."""

    def __init__(
        self, database: Database, *, keeps_raw: bool = True, gather_s: float = GATHER_S
    ) -> None:
        self._database = database
        self._gather_s = gather_s
        self._keeps_raw = keeps_raw
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._work: asyncio.Task[None] | None = None
        self._is_closed = False
        self.figures = IntakeFigures()

    async def receive(
        self,
        *,
        edge: str,
        boot_id: str,
        segment_no: int,
        offset_bytes: int,
        first_segment_no: int,
        body: bytes,
        received_wall_s: float,
    ) -> Received | Refused:
        """The answer to a piece (`origin.telemetry.pieces.inflate` has unpacked it)."""
        try:
            piece = read_piece(
                edge=edge,
                boot_id=boot_id,
                segment_no=segment_no,
                offset_bytes=offset_bytes,
                first_segment_no=first_segment_no,
                body=body,
                received_wall_s=received_wall_s,
            )
        except RemoteProtocolError as error:
            self.figures.refused_count += 1
            return Refused(error="bad_request", detail=str(error))
        verdict = await self.take(piece)
        if isinstance(verdict, Refused):
            return verdict
        return verdict.received

    async def take(self, piece: Piece) -> Verdict | Refused:
        """What becomes of a piece, once it is certain."""
        if self._is_closed or self._waiting_bytes + piece.size_bytes > WAITING_BYTES_MAX:
            self.figures.busy_count += 1
            return Refused(error="busy", detail="too much telemetry waits here; come again later")
        answer: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(piece, answer))
        self._waiting_bytes += piece.size_bytes
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._take_all(), name="telemetry.intake")
        try:
            return await answer
        except StateUnavailable as error:
            self.figures.busy_count += 1
            logger.warning("telemetry.not_taken edge=%s cause=%s", piece.edge, error)
            return Refused(error="busy", detail="the origin cannot write at the moment; come again")
        except StateError as error:
            self.figures.refused_count += 1
            logger.error("telemetry.refused edge=%s cause=%s", piece.edge, error)
            return Refused(error="bad_request", detail="the database does not take this piece")

    async def close(self) -> None:
        """Finish what has come; later pieces are told to come again."""
        self._is_closed = True
        if self._work is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._work

    async def _take_all(self) -> None:
        while self._waiting:
            if not self._is_closed and self._waiting_bytes < BATCH_BYTES_MAX:
                await asyncio.sleep(self._gather_s)
            batch = self._next_batch()
            if not await self._settle(batch) and len(batch) > 1:
                # One of them is more than the database takes: the others shall not suffer for it.
                for one in batch:
                    await self._settle([one])

    async def _settle(self, batch: Sequence[_Waiting]) -> bool:
        """Take these and answer them. False: refused for what one of several is."""
        try:
            verdicts = await self._take(tuple(one.piece for one in batch))
        except BaseException as error:
            # What nobody foresaw is taken for a fault of the piece: it shall not stop the others.
            is_refused = isinstance(error, Exception) and not isinstance(error, StateUnavailable)
            if is_refused and len(batch) > 1:
                return False
            if is_refused and not isinstance(error, StateError):
                logger.exception("telemetry.unforeseen edge=%s", batch[0].piece.edge)
            told = _told(error)
            for one in batch:
                if not one.answer.done():
                    one.answer.set_exception(told)
            if not isinstance(error, Exception):
                raise
            return True
        for one, verdict in zip(batch, verdicts, strict=True):
            self._count(one.piece, verdict)
            if not one.answer.done():  # whoever asked may have gone
                one.answer.set_result(verdict)
        return True

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        batch_bytes = 0
        while self._waiting and len(batch) < PIECES_MAX and batch_bytes < BATCH_BYTES_MAX:
            one = self._waiting.popleft()
            self._waiting_bytes -= one.piece.size_bytes
            batch_bytes += one.piece.size_bytes
            batch.append(one)
        return batch

    async def _take(self, pieces: tuple[Piece, ...]) -> tuple[Verdict, ...]:
        for try_no in range(1, TRIES + 1):
            try:
                return await take_pieces(self._database, pieces, keeps_raw=self._keeps_raw)
            except StateUnavailable:
                if try_no == TRIES:
                    raise
        raise AssertionError("the last try returns or raises")

    def _count(self, piece: Piece, verdict: Verdict) -> None:
        figures = self.figures
        if verdict.outcome == "repeated":
            figures.repeated_count += 1
        elif verdict.outcome == "early":
            figures.early_count += 1
        else:
            figures.taken_count += 1
            figures.event_count += len(piece.events)
            for reason, count in piece.odd.items():
                figures.odd[reason] = figures.odd.get(reason, 0) + count


def _told(error: BaseException) -> StateError:
    if isinstance(error, StateError):
        return error
    if isinstance(error, Exception):
        return StateError(f"{type(error).__name__}: {error}")
    return StateUnavailable("it was broken off")
